"""What experiments showed."""

from __future__ import annotations

from django.db import models


class LabRun(models.Model):
    """One experiment; at most one runs at a time, which the database sees to."""

    HOST, AGENT, SERVER, CENTRAL = KINDS = ("host", "agent", "server", "central")
    RUNNING, DONE, FAILED = STATES = ("running", "done", "failed")

    kind = models.CharField(max_length=10, choices=[(kind, kind) for kind in KINDS])
    state = models.CharField(max_length=10, default=RUNNING, choices=[(state, state) for state in STATES])
    target = models.CharField(max_length=120, blank=True)  # what was killed
    actor = models.CharField(max_length=150)
    web_pid = models.PositiveIntegerField()  # the process that conducts it
    began_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    lines = models.JSONField(default=list)  # [ms since it began, words]
    figures = models.JSONField(default=dict)  # see dashboard.lab.figures

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=models.Q(state="running"), name="lab_one_at_a_time")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"
