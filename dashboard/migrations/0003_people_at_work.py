"""Approvals, comments, drafts and rules for decisions; claims with a fence; the role approver."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """What people do beside deciding."""

    dependencies = [
        ("dashboard", "0002_search_and_audit_guard"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Approval",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=20)),
                ("subject", models.CharField(max_length=140)),
                ("headline", models.CharField(max_length=300)),
                ("detail", models.JSONField(default=dict)),
                ("requester", models.CharField(max_length=150)),
                ("state", models.CharField(default="waiting", max_length=12)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                ("decided_by", models.CharField(blank=True, max_length=150)),
                ("decided_at", models.DateTimeField(null=True)),
                ("note", models.CharField(blank=True, max_length=1000)),
            ],
        ),
        migrations.CreateModel(
            name="BulkAction",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("target", models.CharField(max_length=12)),
                ("action", models.CharField(max_length=16)),
                ("label", models.CharField(max_length=300)),
                ("query", models.TextField(blank=True)),
                ("fingerprint", models.CharField(blank=True, db_index=True, max_length=64)),
                ("payload", models.TextField(blank=True)),
                ("comment", models.TextField(blank=True)),
                ("digest", models.CharField(max_length=100)),
                ("total", models.PositiveIntegerField()),
                ("canary", models.BooleanField(default=True)),
                ("per_second", models.FloatField()),
                ("most_failing", models.FloatField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("canary", "Canary"),
                            ("running", "Running"),
                            ("stopped", "Stopped"),
                            ("cancelled", "Cancelled"),
                            ("done", "Done"),
                        ],
                        max_length=12,
                    ),
                ),
                ("why", models.CharField(blank=True, max_length=300)),
                ("actor", models.CharField(max_length=150)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("resumed_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("held_until", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="BulkItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("place", models.PositiveIntegerField()),
                ("object_id", models.CharField(max_length=140)),
                ("version", models.PositiveIntegerField()),
                ("label", models.CharField(max_length=300)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("sent", "Sent"),
                            ("succeeded", "Succeeded"),
                            ("failed_again", "Failed Again"),
                            ("refused", "Refused"),
                        ],
                        default="waiting",
                        max_length=12,
                    ),
                ),
                ("answer", models.CharField(blank=True, max_length=300)),
                ("sent_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Comment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("author", models.CharField(max_length=150)),
                ("text", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="Disposition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("object_type", models.CharField(max_length=12)),
                ("object_id", models.CharField(max_length=140)),
                ("generation", models.PositiveIntegerField(default=0)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("retried", "Retried with success"),
                            ("supplied", "Result supplied"),
                            ("accepted", "Accepted as is"),
                            ("superseded", "Superseded"),
                            ("duplicate", "Duplicate"),
                        ],
                        max_length=12,
                    ),
                ),
                ("other_id", models.CharField(blank=True, max_length=140)),
                ("note", models.CharField(blank=True, max_length=300)),
                ("actor", models.CharField(max_length=150)),
                ("at", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="Draft",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("action", models.CharField(max_length=16)),
                ("fields", models.JSONField()),
                ("saved_at", models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.CreateModel(
            name="Policy",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("four_eyes", models.JSONField(default=list)),
                ("bulk_limit", models.PositiveIntegerField(default=0)),
                ("undo_s", models.PositiveSmallIntegerField(default=10)),
                ("approval_minutes", models.PositiveIntegerField(default=60)),
            ],
        ),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("page", models.CharField(max_length=12)),
                ("name", models.CharField(max_length=60)),
                ("query", models.CharField(blank=True, max_length=1000)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.AlterModelOptions(
            name="workflow",
            options={
                "permissions": [
                    ("view_console", "May see every page of the console"),
                    ("operate", "May submit, cancel, signal and decide"),
                    ("approve", "May approve what others have asked for"),
                    ("administer", "May manage people, tokens, agents and schedules"),
                ]
            },
        ),
        migrations.AddField(
            model_name="decision",
            name="approved_by",
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AddField(
            model_name="decision",
            name="sent_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="decision",
            name="user",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="escalation",
            name="claim_fence",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="escalation",
            name="disposition",
            field=models.CharField(blank=True, db_default="", default="", max_length=12),
        ),
        migrations.AddField(
            model_name="workflow",
            name="disposed_generation",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name="escalation",
            index=models.Index(
                condition=models.Q(("disposition", "")), fields=["state", "opened_at"], name="esc_undisposed"
            ),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(
                condition=models.Q(("disposed_generation", None), ("state", "failed")),
                fields=["finished_at", "id"],
                name="wf_undisposed",
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="escalation",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="approvals",
                to="dashboard.escalation",
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="requested_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="bulkaction",
            name="user",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="bulkitem",
            name="bulk",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="items", to="dashboard.bulkaction"
            ),
        ),
        migrations.AddField(
            model_name="comment",
            name="escalation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="comments", to="dashboard.escalation"
            ),
        ),
        migrations.AddConstraint(
            model_name="disposition",
            constraint=models.UniqueConstraint(
                fields=("object_type", "object_id", "generation"), name="disposition_once"
            ),
        ),
        migrations.AddField(
            model_name="draft",
            name="escalation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="dashboard.escalation"
            ),
        ),
        migrations.AddField(
            model_name="draft",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="savedview",
            name="owner",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(fields=["state", "expires_at"], name="approval_state"),
        ),
        migrations.AddIndex(
            model_name="bulkaction",
            index=models.Index(fields=["state", "created_at"], name="bulk_state"),
        ),
        migrations.AddIndex(
            model_name="bulkitem",
            index=models.Index(fields=["bulk", "state", "place"], name="bulk_item_state"),
        ),
        migrations.AddIndex(
            model_name="bulkitem",
            index=models.Index(fields=["object_id", "state"], name="bulk_item_object"),
        ),
        migrations.AddConstraint(
            model_name="bulkitem",
            constraint=models.UniqueConstraint(fields=("bulk", "object_id"), name="bulk_item_once"),
        ),
        migrations.AddConstraint(
            model_name="draft",
            constraint=models.UniqueConstraint(fields=("escalation", "user"), name="draft_of_person"),
        ),
        migrations.AddConstraint(
            model_name="savedview",
            constraint=models.UniqueConstraint(fields=("page", "name"), name="saved_view_name"),
        ),
    ]
