"""What pages and the API read: typed, cheap at a million rows, and free of secrets."""

from dashboard.queries.audit import AuditFilter, AuditPage, audit
from dashboard.queries.detail import WorkflowDetail, archives, duration, workflow
from dashboard.queries.escalations import (
    EscalationDetail,
    EscalationFilter,
    EscalationGroup,
    EscalationPage,
    escalation,
    escalation_groups,
    escalations,
    open_escalations,
    workflow_escalations,
)
from dashboard.queries.overview import Live, Overview, host_events, live, overview, relay_lag, samples
from dashboard.queries.workflows import (
    WorkflowFilter,
    WorkflowPage,
    children,
    count_workflows,
    state_counts,
    workflow_types,
    workflows,
)

__all__ = [
    "AuditFilter",
    "AuditPage",
    "EscalationDetail",
    "EscalationFilter",
    "EscalationGroup",
    "EscalationPage",
    "Live",
    "Overview",
    "WorkflowDetail",
    "WorkflowFilter",
    "WorkflowPage",
    "archives",
    "audit",
    "children",
    "count_workflows",
    "duration",
    "escalation",
    "escalation_groups",
    "escalations",
    "host_events",
    "live",
    "open_escalations",
    "overview",
    "relay_lag",
    "samples",
    "state_counts",
    "workflow",
    "workflow_escalations",
    "workflow_types",
    "workflows",
]
