"""Django's settings. What the coordination core also needs is read once, by ``coordination.config``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from csp.constants import NONCE, NONE, SELF
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import environment, sentinels
from coordination import config as coordination_config

BASE_DIR = Path(__file__).resolve().parent.parent
os.environ.setdefault("GANGLION_HOME", str(BASE_DIR / ".ganglion"))
GANGLION = coordination_config.current()
HOME = GANGLION.home.resolve()

DEBUG = GANGLION.debug
SECRET_KEY = environment.secret_key(HOME)
ALLOWED_HOSTS = environment.names("GANGLION_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = environment.names("GANGLION_ORIGINS", [])

LAB = environment.flag("GANGLION_LAB")  # parts of this system may be killed on purpose; only bin/up sets it

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "template_partials",
    "csp",
    "dashboard",
    "dashboard.notices",
    "dashboard.people",
    "dashboard.lab",
    *(["dashboard.lab.load"] if LAB else []),
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "agents",
    "coordination",
    "examples.legal_review",
    "examples.shipments",
    *environment.applications(),
]
MIDDLEWARE = [
    "config.server_timing.ServerTiming",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.static_files.StaticFilesMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # adds random bytes, and tokens are masked anew in each answer
    "django.contrib.sessions.middleware.SessionMiddleware",
    "dashboard.language.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "dashboard.people.sessions.MarkUse",
    "dashboard.views.errors.SayWhatIsAway",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
            "builtins": ["django.templatetags.i18n"],
        },
    }
]

# --- data -----------------------------------------------------------------------

DATABASES = {"default": environment.database(os.environ.get("DATABASE_URL"), HOME)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = GANGLION.redis_url
CHANNELS_URL = os.environ.get("GANGLION_CHANNELS_URL", REDIS_URL)
BROKER_URL = os.environ.get("GANGLION_BROKER_URL", REDIS_URL)
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            # without a read timeout, because a subscription may be silent for hours
            "hosts": [{**sentinels.channel_host(CHANNELS_URL), "socket_timeout": None}],
            "prefix": f"{GANGLION.prefix}channels",
        },
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": [CHANNELS_URL],  # a list, because Django would cut the text at its commas
        "KEY_PREFIX": f"{GANGLION.prefix}cache",
        # what is counted here is no reason to wait for a server that does not answer
        "OPTIONS": {
            "socket_timeout": 1,
            "socket_connect_timeout": 1,
            "retry": Retry(NoBackoff(), 0),
            **({"pool_class": "config.sentinels.Pool"} if sentinels.follows(CHANNELS_URL) else {}),
        },
    }
}
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
DATA_UPLOAD_MAX_MEMORY_SIZE = GANGLION.payload_bytes + 262_144  # a payload in a form, and the form around it

# --- periodic work ----------------------------------------------------------------

CELERY_BROKER_URL = environment.broker(BROKER_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": f"{GANGLION.prefix}celery:",
    # A job whose worker has died runs again after this. Jobs end well before it (see dashboard.jobs.PATIENCE_S).
    "visibility_timeout": int(environment.seconds("GANGLION_JOB_LOST_S", 60)),
    "unacked_restore_interval": 2,  # seconds between looks for such jobs; each look counts (throttle 1)
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 10,  # a worker that dies while it looks keeps others from it for so long
    "socket_connect_timeout": 5,
    "socket_timeout": None,
    **sentinels.broker_options(BROKER_URL),
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "jobs"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE_FILENAME = str(HOME / "beat-schedule")
CELERY_TIMEZONE = "UTC"

# --- notices ----------------------------------------------------------------------

PUBLIC_URL = os.environ.get("GANGLION_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")  # for links in messages
NOTIFY_HOSTS = environment.names("GANGLION_NOTIFY_HOSTS", ["hooks.slack.com"])
for _name, _value in environment.mail(os.environ.get("GANGLION_EMAIL_URL", "")).items():
    globals()[_name] = _value

# --- people -----------------------------------------------------------------------

LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "ganglion_language"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]  # nobody signs up here; allauth only keeps second factors
MFA_ADAPTER = "dashboard.people.factors.Adapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]

# --- the browser --------------------------------------------------------------------

TLS = environment.flag("GANGLION_TLS")  # the console is reached by https, through a proxy that ends TLS
SESSION_COOKIE_NAME = "__Host-session" if TLS else "ganglion_session"
CSRF_COOKIE_NAME = "__Host-csrf" if TLS else "ganglion_csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 86_400
CSRF_FAILURE_VIEW = "dashboard.views.errors.csrf_failure"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS else None
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = Path(os.environ.get("GANGLION_STATIC_ROOT", HOME / "static"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "filters": {"broker": {"()": "config.broker_log.OneLine"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["broker"]}},
    "root": {"handlers": ["console"], "level": environment.log_level()},
    "loggers": {"httpx": {"level": "WARNING"}, "celery.beat": {"level": "WARNING"}},
}
