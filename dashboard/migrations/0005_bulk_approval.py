"""Bulk actions that another person approves; a restarted workflow may fail again and be disposed of again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """On top of the groundwork."""

    dependencies = [
        ('dashboard', '0004_relay_mark'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='workflow',
            name='wf_undisposed',
        ),
        migrations.AddField(
            model_name='bulkaction',
            name='approved_by',
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AddField(
            model_name='bulkitem',
            name='other_id',
            field=models.CharField(blank=True, max_length=140),
        ),
        migrations.AlterField(
            model_name='bulkaction',
            name='state',
            field=models.CharField(choices=[('awaiting', 'Awaiting'), ('canary', 'Canary'), ('running', 'Running'), ('stopped', 'Stopped'), ('cancelled', 'Cancelled'), ('done', 'Done')], max_length=12),
        ),
        migrations.AddIndex(
            model_name='workflow',
            index=models.Index(condition=models.Q(('state', 'failed'), models.Q(('disposed_generation', None), ('disposed_generation__lt', models.F('generation')), _connector='OR')), fields=['finished_at', 'id'], name='wf_undisposed'),
        ),
    ]
