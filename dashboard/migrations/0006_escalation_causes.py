"""Causes are counted, and their trend, from indexes alone."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Covering indexes in place of narrower ones."""

    dependencies = [
        ('dashboard', '0005_bulk_approval'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='escalation',
            name='esc_group',
        ),
        migrations.AlterField(
            model_name='escalation',
            name='fingerprint',
            field=models.CharField(max_length=64),
        ),
        migrations.AddIndex(
            model_name='escalation',
            index=models.Index(fields=['state', 'fingerprint', 'opened_at'], name='esc_causes'),
        ),
        migrations.AddIndex(
            model_name='escalation',
            index=models.Index(fields=['fingerprint', 'opened_at'], name='esc_trend'),
        ),
    ]
