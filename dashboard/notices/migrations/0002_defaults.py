"""A policy to begin with: whoever has the console open is told of every cause at once."""

from typing import Any

from django.db import migrations


def make(apps: Any, schema_editor: Any) -> None:
    """Add the channel to browsers, and the policy for everything."""
    using = schema_editor.connection.alias
    channel = apps.get_model("notices", "Channel").objects.using(using).create(name="Open pages", kind="browser")
    policy = apps.get_model("notices", "Policy").objects.using(using).create(name="Everything else", position=1000)
    level = apps.get_model("notices", "Level").objects.using(using).create(policy=policy, after_s=0)
    level.channels.add(channel)


class Migration(migrations.Migration):
    dependencies = [("notices", "0001_initial")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
