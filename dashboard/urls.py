"""Routes of the console: pages, and the sockets that keep them live."""

from django.urls import URLPattern, URLResolver, path, re_path

from dashboard.views import (
    agents,
    audit,
    coordinators,
    escalation,
    escalations,
    health,
    overview,
    performance,
    runs,
    session,
    settings,
    workflow,
    workflows,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("workflows/", workflows.workflows, name="workflows"),
    path("workflows/<str:workflow_id>/", workflow.workflow, name="workflow"),
    path("workflows/<str:workflow_id>/cancel/", workflow.cancel, name="workflow-cancel"),
    path("workflows/<str:workflow_id>/signal/", workflow.signal, name="workflow-signal"),
    path("workflows/<str:workflow_id>/retry-now/", workflow.retry_now, name="workflow-retry-now"),
    path("workflows/<str:workflow_id>/<str:part>.json", workflow.download, name="workflow-download"),
    path("escalations/", escalations.escalations, name="escalations"),
    path("escalations/<str:escalation_id>/", escalation.escalation, name="escalation"),
    path("escalations/<str:escalation_id>/claim/", escalation.claim, name="escalation-claim"),
    path("escalations/<str:escalation_id>/release/", escalation.release, name="escalation-release"),
    path("escalations/<str:escalation_id>/resolve/", escalation.resolve, name="escalation-resolve"),
    path("escalations/<str:escalation_id>/<str:part>.json", escalation.download, name="escalation-download"),
    path("agents/", agents.agents, name="agents"),
    path("agents/types/<str:task_type>/pause/", agents.pause, name="agent-type-pause"),
    path("agents/types/<str:task_type>/resume/", agents.resume, name="agent-type-resume"),
    path("agents/types/<str:task_type>/test/", agents.test_call, name="agent-type-test"),
    path("agents/remote/register/", agents.register_remote, name="agent-remote-register"),
    path("agents/remote/<str:name>/remove/", agents.remove_remote, name="agent-remote-remove"),
    path("agents/<str:instance>/", agents.agent, name="agent"),
    path("agents/<str:instance>/drain/", agents.drain, name="agent-drain"),
    path("agents/<str:instance>/undrain/", agents.undrain, name="agent-undrain"),
    path("coordinators/", coordinators.coordinators, name="coordinators"),
    path("runs/", runs.runs, name="runs"),
    path("performance/", performance.performance, name="performance"),
    path("audit/", audit.audit, name="audit"),
    path("settings/", settings.settings, name="settings"),
    path("settings/theme/", settings.theme, name="theme"),
    path("settings/password/", settings.password, name="password"),
    path("settings/tokens/", settings.create_token, name="token-create"),
    path("settings/tokens/<int:token_id>/revoke/", settings.revoke_token, name="token-revoke"),
    path("settings/people/", settings.create_person, name="person-create"),
    path("settings/people/<int:user_id>/", settings.change_person, name="person-change"),
    path("login/", session.log_in, name="login"),
    path("login/once/<str:raw>/", session.log_in_once, name="login-once"),
    path("logout/", session.log_out, name="logout"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
]

from dashboard.consumers import LiveConsumer  # noqa: E402 - a consumer finds its page by these routes

websocket_urlpatterns = [re_path(r"^live/", LiveConsumer.as_asgi())]
