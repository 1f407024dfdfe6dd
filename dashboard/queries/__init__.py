"""What pages and the API read: typed, cheap at a million rows, and free of secrets."""

from dashboard.queries.audit import AuditFilter, AuditPage, audit
from dashboard.queries.bulk import (
    BulkProgress,
    bulk_action,
    bulk_actions,
    bulk_items,
    bulk_of_cause,
    decided,
    in_bulk_actions,
)
from dashboard.queries.clocks import Clock, clocks
from dashboard.queries.courses import Courses, Span, courses, span
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
from dashboard.queries.ledger import Ledger, dispositions, ledger, undisposed_escalations, undisposed_workflows
from dashboard.queries.needs import Need, Needs, needs
from dashboard.queries.overview import Live, Overview, host_events, live, overview, relay_lag, samples, without_agents
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
    "BulkProgress",
    "Clock",
    "Courses",
    "EscalationDetail",
    "EscalationFilter",
    "EscalationGroup",
    "EscalationPage",
    "Ledger",
    "Live",
    "Need",
    "Needs",
    "Overview",
    "Span",
    "WorkflowDetail",
    "WorkflowFilter",
    "WorkflowPage",
    "archives",
    "audit",
    "bulk_action",
    "bulk_actions",
    "bulk_items",
    "bulk_of_cause",
    "children",
    "clocks",
    "count_workflows",
    "courses",
    "decided",
    "dispositions",
    "duration",
    "escalation",
    "escalation_groups",
    "escalations",
    "host_events",
    "in_bulk_actions",
    "ledger",
    "live",
    "needs",
    "open_escalations",
    "overview",
    "relay_lag",
    "samples",
    "span",
    "state_counts",
    "undisposed_escalations",
    "undisposed_workflows",
    "without_agents",
    "workflow",
    "workflow_escalations",
    "workflow_types",
    "workflows",
]
