"""The project's settings for tests: plain static files, quick password hashes, nothing sent by mail."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_home = tempfile.mkdtemp(prefix="gt-", dir="/tmp")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["GANGLION_HOME"] = _home
os.environ["GANGLION_LAB"] = "1"
# without a server of the run's own, the fixture redis_url starts one on this socket when a test asks for it
os.environ["REDIS_URL"] = os.environ.get("GANGLION_TEST_REDIS_URL") or f"unix://{_home}/redis.sock"

from config.settings import *  # noqa: E402, F403
from config.settings import STORAGES  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
STATIC_ROOT = Path(_home, "static")
STATIC_ROOT.mkdir()
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
