"""Requests for approval are told, too; to begin with to the channels of open pages."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def tell_open_pages(apps: Any, schema_editor: Any) -> None:
    """Let channels to browsers, which show a request to approvers alone, be told of them."""
    channels = apps.get_model("notices", "Channel").objects.using(schema_editor.connection.alias)
    channels.filter(kind="browser").update(approvals=True)


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0007_takeover_workflows"), ("notices", "0002_defaults")]
    operations = [
        migrations.AddField("channel", "approvals", models.BooleanField(default=False)),
        migrations.AddField(
            "message",
            "approval",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="dashboard.approval",
            ),
        ),
        migrations.AddConstraint(
            "message",
            models.UniqueConstraint(fields=("approval", "channel"), name="message_of_approval_once"),
        ),
        migrations.RunPython(tell_open_pages, migrations.RunPython.noop),
    ]
