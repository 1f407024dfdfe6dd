"""What Redis looked like when the history was last known to be whole."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """The relay's mark."""

    dependencies = [("dashboard", "0003_people_at_work")]
    operations = [
        migrations.CreateModel(
            name="RelayMark",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("at", models.BigIntegerField()),
                ("server", models.CharField(blank=True, max_length=64)),
                ("added", models.JSONField(default=dict)),
            ],
        ),
    ]
