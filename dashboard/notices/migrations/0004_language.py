"""Each channel is told in a language; those that are there keep English."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notices", "0003_approvals")]
    operations = [
        migrations.AddField("channel", "language", models.CharField(db_default="en", default="en", max_length=8)),
    ]
