"""Celery, for periodic work only: nothing of a workflow's own way passes here."""

from celery import Celery

from config.start import read_settings

read_settings()

app = Celery("ganglion")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["dashboard", "dashboard.notices"], related_name="jobs")
app.autodiscover_tasks(["dashboard"], related_name="bulk_jobs")


@app.on_after_finalize.connect
def _schedule(sender: Celery, **_: object) -> None:
    """Take over the timetable that stands beside the jobs."""
    from dashboard import bulk_jobs, jobs
    from dashboard.notices import jobs as notices

    sender.conf.beat_schedule = {**jobs.BEAT_SCHEDULE, **notices.BEAT_SCHEDULE, **bulk_jobs.BEAT_SCHEDULE}
