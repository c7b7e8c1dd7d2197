"""Settings of the portal, read from the environment or `.env`; `.env.example` explains each name.

In reading order: where we are, secrets, applications, web, database, cache and queue, bytes, people,
mail, limits, API, payments. A wrong value stops the start and is named.
"""

import base64
import hmac
import ipaddress
import os
import re
import ssl
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import environ
from celery.schedules import crontab
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from . import secrets
from .weakness import PUBLISHED, weakness_of

BASE_DIR = Path(__file__).resolve().parent.parent


class _Env(environ.Env):
    """Takes a value for what it says: a `$` in front names no other variable, spaces around a list's items are none
    of theirs."""

    def get_value(self, var, cast=None, default=environ.Env.NOTSET, parse_default=False):
        if var in self.ENVIRON:
            return self.parse_value(self.ENVIRON[var], cast)
        if default is self.NOTSET:
            raise ImproperlyConfigured(f"{var} is missing.")
        return default

    @classmethod
    def parse_value(cls, value, cast):
        if cast is list:
            return [item for item in map(str.strip, value.split(",")) if item]
        return super().parse_value(value, cast)


env = _Env()
environ.Env.read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"))


def _one_of(name, default, choices):
    value = env.str(name, default=default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}; it is {value!r}.")
    return value


def _count(name, default, *, least=0):
    try:
        value = env.int(name, default=default)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number; it is {env.str(name)!r}.") from None
    if value < least:
        raise ImproperlyConfigured(f"{name} must be {least} or more; it is {value}.")
    return value


def _switch(name, default):
    text = env.str(name, default="").strip().lower()
    if text not in ("", "1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ImproperlyConfigured(f"{name} must be 1 or 0; it is {text!r}.")
    return default if text == "" else text in ("1", "true", "yes", "on")


def _rate(name, default):
    text = env.str(name, default=default)
    if not re.fullmatch(r"[1-9][0-9]*/[1-9]?[0-9]*[smhd]", text):
        raise ImproperlyConfigured(f"{name} must be like 10/m or 5/h; it is {text!r}.")
    return text


def _demand_port(name, url):
    """Raises for a URL whose port is none, without showing the rest."""
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    if port == 0:
        raise ImproperlyConfigured(f"{name} must have a port from 1 to 65535, or none.")


def _is_here(host):
    """Is it a server of this machine? "" and a path are sockets."""
    return not host or host.startswith("/") or _is_loopback(host)


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _demand_secret(name, value, **measures):
    """Names a setting whose secret is missing, weak or an example's, and never shows it."""
    if weakness := weakness_of(value, **measures):
        raise ImproperlyConfigured(f"{name} {weakness}. Give it random characters of its own.")


# --- Where we are -------------------------------------------------------------------------------

MIB = 1024 * 1024
GIB = 1024 * MIB

DEBUG = _switch("DEBUG", False)
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).expanduser().resolve()
HOST = env.str("HOST", default="127.0.0.1")
PORT = _count("PORT", 8000, least=1)
SITE_URL = env.str("SITE_URL", default=f"http://{HOST if _is_loopback(HOST) else '127.0.0.1'}:{PORT}").rstrip("/")
_site = urlsplit(SITE_URL)
if _site.scheme not in ("http", "https") or not _site.hostname:
    raise ImproperlyConfigured(f"SITE_URL must be like https://portal.example.org; it is {SITE_URL!r}.")
_demand_port("SITE_URL", SITE_URL)
SITE_IS_LOCAL = _is_loopback(_site.hostname) and _is_loopback(HOST)
SITE_IS_SECURE = _site.scheme == "https"
SITE_NAME = env.str("SITE_NAME", default="Portal")
WEB_WORKERS = _count("WEB_WORKERS", 1, least=1)
WEB_THREADS = _count("WEB_THREADS", 8, least=1)
# Known passwords belong on a machine nobody else can reach.
DEMO = _switch("DEMO", SITE_IS_LOCAL)
if DEMO and not SITE_IS_LOCAL:
    raise ImproperlyConfigured("DEMO=1 makes accounts with well-known passwords: set DEMO=0 or serve on loopback only.")
if not (SITE_IS_SECURE or SITE_IS_LOCAL or DEBUG):
    raise ImproperlyConfigured(f"SITE_URL must begin with https:// beyond this machine; it is {SITE_URL!r}.")
if DEBUG and not SITE_IS_LOCAL:
    raise ImproperlyConfigured("DEBUG=1 shows secrets on its error pages: allowed on loopback only.")

# --- Secrets ------------------------------------------------------------------------------------

_kept = {}
if SITE_IS_LOCAL and not (env.str("SECRET_KEY", default="") and env.str("LINK_KEYS", default="")):
    _kept = secrets.load_or_create(DATA_DIR / "secrets.env")
SECRET_KEY = env.str("SECRET_KEY", default=_kept.get("SECRET_KEY", ""))
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
if not SITE_IS_LOCAL:
    _demand_secret("SECRET_KEY", SECRET_KEY, least=50, least_different=10)
    for _key in SECRET_KEY_FALLBACKS:
        _demand_secret("SECRET_KEY_FALLBACKS", _key, least=50, least_different=10)
if SECRET_KEY in SECRET_KEY_FALLBACKS:
    raise ImproperlyConfigured("SECRET_KEY_FALLBACKS holds SECRET_KEY itself: former keys only.")
# Fernet keys of the encrypted download links; the first signs, all of them open.
LINK_KEYS = env.list("LINK_KEYS", default=[_kept["LINK_KEYS"]] if _kept else [])
if not LINK_KEYS:
    raise ImproperlyConfigured("LINK_KEYS is missing: one or more Fernet keys, the newest first.")
for _key in LINK_KEYS:
    try:
        Fernet(_key)
    except ValueError:
        raise ImproperlyConfigured("LINK_KEYS holds something that is not a Fernet key (32 bytes, base64).") from None
    if len(set(base64.urlsafe_b64decode(_key))) < 10:
        raise ImproperlyConfigured("LINK_KEYS is weak: it repeats a few bytes. Make one by Fernet.generate_key().")

# --- Applications -------------------------------------------------------------------------------

INSTALLED_APPS = [
    "payments",
    "fileshare",
    "accounts",
    "audit",
    "config",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "anymail",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"

# --- Web ----------------------------------------------------------------------------------------

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[_site.hostname])
if SITE_IS_LOCAL:
    ALLOWED_HOSTS += ["127.0.0.1", "localhost", "[::1]"]
if "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS must name the hosts served; '*' would trust any Host header.")
TRUSTED_PROXY_COUNT = _count("TRUSTED_PROXY_COUNT", 0)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[f"{_site.scheme}://{_site.netloc}"])

MIDDLEWARE = [
    "config.middleware.RequestFactsMiddleware",
    "config.request_log.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.SecurityHeadersMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.health.ProbesMiddleware",
    # An address that every open page asks twice a minute: it knows its people without session and database.
    "accounts.live.LiveCountMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "config.csrf.CsrfMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "accounts.languages.RememberMiddleware",
    "accounts.lockout.DeviceMiddleware",
    "accounts.middleware.SecondFactorMiddleware",
    "config.middleware.BodyLimitMiddleware",
    "config.refusals.RefusalMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context_processors.site",
                "accounts.context_processors.notices",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# A container image collects and hashes its static files once; a newcomer's machine serves them as they are.
STATIC_COLLECTED = _switch("STATIC_COLLECTED", False)
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")) if STATIC_COLLECTED else None
WHITENOISE_USE_FINDERS = not STATIC_COLLECTED
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    # "default" depends on where the bytes are, below.
    "staticfiles": {
        "BACKEND": (
            "config.static.ManifestStorage"
            if STATIC_COLLECTED
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
}

# Browsers tell breaches of the policy to this address: /csp-report of the portal, or one of your own.
CSP_REPORT_URI = env.str("CSP_REPORT_URI", default="")
if CSP_REPORT_URI and not re.fullmatch(r"(https://[A-Za-z0-9.:-]+)?/[A-Za-z0-9._~/?=&%-]*", CSP_REPORT_URI):
    raise ImproperlyConfigured(f"CSP_REPORT_URI must be /csp-report or an https:// address; it is {CSP_REPORT_URI!r}.")
# Told, and not enforced: for trying a policy out.
CSP_REPORT_ONLY = _switch("CSP_REPORT_ONLY", False)
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
SECURE_SSL_REDIRECT = SITE_IS_SECURE
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if SITE_IS_SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SITE_IS_SECURE
SECURE_HSTS_PRELOAD = SITE_IS_SECURE
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SITE_IS_SECURE
SESSION_COOKIE_NAME = "__Host-session" if SITE_IS_SECURE else "session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_ENGINE = "accounts.sessions"
CSRF_FAILURE_VIEW = "config.refusals.csrf_failure"

LANGUAGE_CODE = "en"
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SECURE = SITE_IS_SECURE
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGES = [("en", "English"), ("sw", "Kiswahili")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

# --- Database, cache, queue -----------------------------------------------------------------------

try:
    DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'portal.sqlite3'}")}
except ValueError:
    # Without showing it: it holds a password.
    raise ImproperlyConfigured("DATABASE_URL is not an address, or has a port that is none.") from None
_database = DATABASES["default"]
if _database.get("ENGINE") == "django.db.backends.sqlite3":
    DATA_DIR.mkdir(mode=0o750, parents=True, exist_ok=True)
    # In memory, every thread of a test's server would share one connection.
    _database["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    _database["OPTIONS"] = {
        "timeout": 20,
        # The write lock is taken at the start: two writers queue up instead of failing at the upgrade.
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
    }
    # The last one to close removes the log of writes, and nobody could even read again on a full disk.
    _database["CONN_MAX_AGE"] = None
elif _database.get("ENGINE") == "django.db.backends.postgresql":
    _database["CONN_MAX_AGE"] = _count("DATABASE_CONN_MAX_AGE", 60)
    _database["CONN_HEALTH_CHECKS"] = True
    _options = _database.setdefault("OPTIONS", {})
    # A database that is gone without a word is noticed: connecting in seconds, waiting within a minute (milliseconds).
    _options.setdefault("connect_timeout", 5)
    for _name, _value in (("keepalives_idle", 20), ("keepalives_interval", 10), ("keepalives_count", 3)):
        _options.setdefault(_name, _value)
    _options.setdefault("tcp_user_timeout", 50_000)
else:
    raise ImproperlyConfigured("DATABASE_URL must be a postgres:// or sqlite:/// address.")
# Without a password: a server on this machine that knows its users, a certificate, or one that libpq finds itself.
PGPASSWORD = os.environ.get("PGPASSWORD", "")
_finds_it = os.environ.get("PGPASSFILE") or os.environ.get("PGSERVICE")
_needs_none = _is_here(_database.get("HOST", "")) or {"sslcert", "passfile", "service"} & {*_database["OPTIONS"]}
if not SITE_IS_LOCAL and _database["ENGINE"].endswith("postgresql"):
    if _database["PASSWORD"] or not (PGPASSWORD or _finds_it or _needs_none):
        _demand_secret("DATABASE_URL's password", _database["PASSWORD"])
    elif PGPASSWORD:
        _demand_secret("PGPASSWORD", PGPASSWORD)

REDIS_URL = env.str("REDIS_URL", default="")
_redis = urlsplit(REDIS_URL)
# No unix://, which the cache could use and the queue could not.
if REDIS_URL and _redis.scheme not in ("redis", "rediss"):
    raise ImproperlyConfigured("REDIS_URL must be a redis:// or rediss:// address.")
_demand_port("REDIS_URL", REDIS_URL)
# For one of a private network that asks for none.
REDIS_WITHOUT_PASSWORD = _switch("REDIS_WITHOUT_PASSWORD", False)
_needs_none = REDIS_WITHOUT_PASSWORD or _is_here(_redis.hostname or "")
if REDIS_URL and not SITE_IS_LOCAL and (_redis.password or not _needs_none):
    _demand_secret("REDIS_URL's password", unquote(_redis.password or ""))
CACHES = {
    "default": (
        {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "portal",
            # One that hangs is refused as one that is away, and holds no thread.
            "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 3},
        }
        if REDIS_URL
        else {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "LOCATION": "portal",
            # The 300 of Django's default would throw out counters of limits as soon as a few hundred people are here.
            "OPTIONS": {"MAX_ENTRIES": 50_000},
        }
    )
}

# Without a broker the queue lives in the web process (config.embedded), and whatever must not be lost
# is a row that the schedule below picks up again.
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# However long a broker is away, nobody has to start worker and beat again when it is back.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {
        # A job that takes longer is delivered a second time while it runs, and some take hours. What a killed worker
        # had taken waits as long, but for what the schedule finds again, which is all that must not be lost. One for
        # both queues: Redis keeps what was taken from either in one place.
        "visibility_timeout": 86_400,
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
        # Of whoever puts a task into the queue, which is a request: kombu would try for six seconds. Worker and beat
        # wait for a broker as the settings above say.
        "max_retries": 0,
    }
    if REDIS_URL
    else {"polling_interval": 0.2}
)
if _redis.scheme == "rediss":
    # kombu's own default checks none. A ?ssl_ca_certs=… behind the address takes its place, and checks as well.
    CELERY_BROKER_USE_SSL = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
# What may take hours has a queue and workers of its own, so that payments, mail and sealing never wait behind it.
# Both are declared, and a worker that is not told which (-Q) serves both.
CELERY_TASK_QUEUES = {"celery": {}, "sweep": {}}
CELERY_TASK_ROUTES = {
    task: {"queue": "sweep"}
    for task in (
        "accounts.tasks.erase_closed_accounts",
        "audit.tasks.keep_head",
        "audit.tasks.verify",
        "fileshare.tasks.back_up",
        "fileshare.tasks.complete_checksums",
        "fileshare.tasks.recalculate_quotas",
        "fileshare.tasks.reconcile_store",
    )
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "send waiting mail": {"task": "accounts.tasks.send_waiting_mail", "schedule": timedelta(seconds=20)},
    "place rows of the audit log": {"task": "audit.tasks.seal", "schedule": timedelta(seconds=10)},
    "keep the head of the audit log": {"task": "audit.tasks.keep_head", "schedule": crontab(hour="*/6", minute=10)},
    "check the whole audit log": {"task": "audit.tasks.verify", "schedule": crontab(day_of_week=0, hour=1, minute=10)},
    "forget old tokens and links": {"task": "accounts.tasks.forget_expired", "schedule": timedelta(hours=1)},
    "write daily letters": {"task": "accounts.tasks.send_digests", "schedule": crontab(minute="2-59/15")},
    "tell of new files": {"task": "fileshare.tasks.tell_of_new_files", "schedule": timedelta(minutes=1)},
    "tell of expiring files": {"task": "fileshare.tasks.tell_of_expiring_files", "schedule": crontab(minute=20)},
    "remove abandoned uploads": {"task": "fileshare.tasks.remove_abandoned_uploads", "schedule": timedelta(minutes=5)},
    "complete received uploads": {
        "task": "fileshare.tasks.complete_received_uploads",
        "schedule": timedelta(minutes=10),
    },
    "recalculate quotas": {"task": "fileshare.tasks.recalculate_quotas", "schedule": crontab(hour=2, minute=30)},
    "reconcile store and rows": {"task": "fileshare.tasks.reconcile_store", "schedule": crontab(hour=3, minute=30)},
    "remove expired files": {"task": "fileshare.tasks.remove_expired_files", "schedule": timedelta(minutes=10)},
    "refresh the bucket's expiry": {"task": "fileshare.tasks.refresh_expiry", "schedule": crontab(hour=4, minute=30)},
    "erase closed accounts": {"task": "accounts.tasks.erase_closed_accounts", "schedule": crontab(hour=5, minute=30)},
    "mail receipts of file requests": {"task": "fileshare.tasks.mail_receipts", "schedule": timedelta(minutes=1)},
    "complete checksums": {"task": "fileshare.tasks.complete_checksums", "schedule": timedelta(minutes=2)},
}

# --- Bytes ----------------------------------------------------------------------------------------

STORAGE = _one_of("STORAGE", "local", ["local", "s3"])
STORAGES["default"] = {
    "BACKEND": "django.core.files.storage.FileSystemStorage",
    "OPTIONS": {"location": str(DATA_DIR / "media"), "base_url": "/media/"},
}
STORE_FSYNC = _switch("STORE_FSYNC", True)
# Behind nginx: the internal location that maps to DATA_DIR/store/objects/, such as /_store/.
X_ACCEL_PREFIX = env.str("X_ACCEL_PREFIX", default="")
# Behind nginx: the folder into which it receives the bodies of PUTs, and in which it names their files to us.
BODY_FILE_DIR = env.str("BODY_FILE_DIR", default="").rstrip("/")
if BODY_FILE_DIR and not (TRUSTED_PROXY_COUNT and BODY_FILE_DIR.startswith("/")):
    raise ImproperlyConfigured(
        "BODY_FILE_DIR is a whole path beginning with /, and needs a proxy of yours in front (TRUSTED_PROXY_COUNT)."
    )
PRESIGNED_URL_EXPIRY_SECONDS = _count("S3_PRESIGNED_URL_EXPIRY", 900, least=1)
PART_URL_EXPIRY_SECONDS = 3600
MULTIPART_THRESHOLD_BYTES = _count("MULTIPART_THRESHOLD", 100 * MIB, least=1)
PART_SIZE_BYTES = _count("PART_SIZE", 50 * MIB, least=1)
MAX_PARTS = 1000
MAX_UPLOAD_BYTES = _count("MAX_UPLOAD_BYTES", 5 * 1024 * GIB, least=1)
MAX_FORM_UPLOAD_BYTES = _count("MAX_FORM_UPLOAD_BYTES", 100 * MIB, least=1)
# An upload nobody finished is given up after this long; its space is free again.
UPLOAD_LIFETIME = timedelta(hours=_count("UPLOAD_LIFETIME_HOURS", 24, least=1))
# An object without a row is removed when it is this old.
ORPHAN_GRACE = timedelta(hours=_count("ORPHAN_GRACE_HOURS", 24, least=1))
DEFAULT_FOLDER_QUOTA_BYTES = _count("DEFAULT_FOLDER_QUOTA_BYTES", 50 * GIB, least=1)
PERSONAL_QUOTA_BYTES = _count("PERSONAL_QUOTA_BYTES", 5 * GIB, least=1)
DEFAULT_RETENTION_DAYS = 30
# What was deleted can be restored for this long, and still counts; then it is purged.
TRASH_DAYS = _count("TRASH_DAYS", 7, least=1)
TRASH_LIFETIME = timedelta(days=TRASH_DAYS)
LINK_EXPIRY_SECONDS = _count("LINK_EXPIRY_SECONDS", 900, least=1)
RESUME_GRACE_SECONDS = 600
# No share link lives longer; a folder may ask for less.
MAX_SHARE_DAYS = _count("MAX_SHARE_DAYS", 366, least=1)
# Backups: into this folder, or for want of one into the store itself; the newest so many stay.
BACKUP_TO = env.str("BACKUP_TO", default="")
BACKUP_KEEP = _count("BACKUP_KEEP", 14, least=1)
# A newcomer's disk is not filled every night.
BACKUP_SCHEDULED = _switch("BACKUP_SCHEDULED", STORAGE == "s3" or bool(BACKUP_TO))
if BACKUP_SCHEDULED:
    CELERY_BEAT_SCHEDULE["back up"] = {"task": "fileshare.tasks.back_up", "schedule": crontab(hour=1, minute=30)}

# Virus scanner: tcp://host:port or unix:///path of a clamd; empty: nothing is scanned.
CLAMD_URL = env.str("CLAMD_URL", default="")
if CLAMD_URL and not re.fullmatch(r"tcp://(\[[0-9a-fA-F:]+\]|[^\s:/@\[\]]+):[0-9]{1,5}|unix:///[^\s]+", CLAMD_URL):
    raise ImproperlyConfigured(f"CLAMD_URL must be tcp://host:port or unix:///path; it is {CLAMD_URL!r}.")
_demand_port("CLAMD_URL", CLAMD_URL)
# No more than clamd's own StreamMaxLength and MaxScanSize; what is larger cannot be checked.
CLAMD_MAX_BYTES = _count("CLAMD_MAX_BYTES", 100 * MIB, least=1)
CLAMD_TIMEOUT_SECONDS = _count("CLAMD_TIMEOUT_SECONDS", 120, least=1)
if CLAMD_URL:
    CELERY_BEAT_SCHEDULE["scan waiting files"] = {
        "task": "fileshare.tasks.scan_waiting_files",
        "schedule": timedelta(minutes=1),
    }

# --- S3 -------------------------------------------------------------------------------------------

S3_FILESHARE_BUCKET = env.str("S3_FILESHARE_BUCKET", default="")
S3_ENDPOINT_URL = env.str("S3_ENDPOINT_URL", default="").rstrip("/")
# What browsers call the same service, where that differs; signed URLs bear it.
S3_PUBLIC_ENDPOINT_URL = env.str("S3_PUBLIC_ENDPOINT_URL", default="").rstrip("/")
AWS_REGION = env.str("AWS_REGION", default="us-east-1")
S3_ADDRESSING_STYLE = _one_of("S3_ADDRESSING_STYLE", "path" if S3_ENDPOINT_URL else "virtual", ["path", "virtual"])
S3_SSE = _one_of("S3_SSE", "", ["", "AES256", "aws:kms"])
S3_SSE_KMS_KEY_ID = env.str("S3_SSE_KMS_KEY_ID", default="")
S3_ENCRYPTION = {"ServerSideEncryption": S3_SSE} if S3_SSE else {}
if S3_SSE_KMS_KEY_ID:
    if S3_SSE != "aws:kms":
        raise ImproperlyConfigured("S3_SSE_KMS_KEY_ID needs S3_SSE=aws:kms.")
    S3_ENCRYPTION["SSEKMSKeyId"] = S3_SSE_KMS_KEY_ID
S3_ORIGINS = []
# Pages of these origins may send to the bucket and read from it.
S3_CORS_ORIGINS = env.list("S3_CORS_ORIGINS", default=[f"{_site.scheme}://{_site.netloc}"])

if STORAGE == "s3":
    if X_ACCEL_PREFIX:
        raise ImproperlyConfigured("X_ACCEL_PREFIX is for STORAGE=local: nginx has no way to the bytes in a bucket.")
    if BODY_FILE_DIR:
        raise ImproperlyConfigured("BODY_FILE_DIR is for STORAGE=local: to a bucket the bytes go past the portal.")
    if not S3_FILESHARE_BUCKET:
        raise ImproperlyConfigured("STORAGE=s3 needs S3_FILESHARE_BUCKET.")
    _addresses = [("S3_ENDPOINT_URL", S3_ENDPOINT_URL), ("S3_PUBLIC_ENDPOINT_URL", S3_PUBLIC_ENDPOINT_URL)]
    for _name, _url in _addresses + [("S3_CORS_ORIGINS", _origin) for _origin in S3_CORS_ORIGINS]:
        # They end up in headers: nothing but a host's name and a port.
        if _url and not re.fullmatch(r"https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?", _url):
            raise ImproperlyConfigured(f"{_name} must be like https://s3.example.org; it is {_url!r}.")
        _demand_port(_name, _url)
    if bool(env.str("AWS_ACCESS_KEY_ID", default="")) != bool(env.str("AWS_SECRET_ACCESS_KEY", default="")):
        raise ImproperlyConfigured("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together; neither: a role's.")
    if not SITE_IS_LOCAL and env.str("AWS_SECRET_ACCESS_KEY", default=""):
        _demand_secret("AWS_SECRET_ACCESS_KEY", env.str("AWS_SECRET_ACCESS_KEY"))
    # The least part S3 takes, and the largest object it copies in one call.
    if PART_SIZE_BYTES < 5 * MIB or MULTIPART_THRESHOLD_BYTES > 5 * GIB:
        raise ImproperlyConfigured("On S3, PART_SIZE is 5 MiB or more and MULTIPART_THRESHOLD 5 GiB or less.")
    STORAGES["default"] = {
        "BACKEND": "config.bucket.BucketStorage",
        "OPTIONS": {
            # Without keys boto3 looks for those of the machine's or the pod's role.
            "access_key": env.str("AWS_ACCESS_KEY_ID", default="") or None,
            "secret_key": env.str("AWS_SECRET_ACCESS_KEY", default="") or None,
            "bucket_name": S3_FILESHARE_BUCKET,
            "region_name": AWS_REGION,
            "endpoint_url": S3_ENDPOINT_URL or None,
            "location": "media",
            "object_parameters": S3_ENCRYPTION,
            "file_overwrite": False,
        },
    }
    # Where pages send files to: what a page may talk to besides ourselves. Amazon's bucket has two names.
    _domain = "amazonaws.com.cn" if AWS_REGION.startswith("cn-") else "amazonaws.com"
    _amazon = [f"https://s3.{AWS_REGION}.{_domain}", f"https://s3.{_domain}"]
    _own = S3_PUBLIC_ENDPOINT_URL or S3_ENDPOINT_URL
    for _service in map(urlsplit, [_own] if _own else _amazon):
        _prefix = f"{S3_FILESHARE_BUCKET}." if S3_ADDRESSING_STYLE == "virtual" else ""
        S3_ORIGINS.append(f"{_service.scheme}://{_prefix}{_service.netloc}")
    CONTENT_SECURITY_POLICY += f"; connect-src 'self' {' '.join(S3_ORIGINS)}"

FILE_UPLOAD_HANDLERS = ["config.uploadhandlers.BoundedTemporaryFileUploadHandler"]
FILE_UPLOAD_TEMP_DIR = env.str("FILE_UPLOAD_TEMP_DIR", default=None)
DATA_UPLOAD_MAX_MEMORY_SIZE = _count("MAX_BODY_BYTES", 1 * MIB, least=1024)
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# --- People ---------------------------------------------------------------------------------------

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
AUTHENTICATION_BACKENDS = ["accounts.authentication.SessionBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    # Plain bcrypt ends at 72 bytes; the SHA-256 form takes passwords of any length.
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
EXPOSE_VERIFICATION_LINK = _switch("EXPOSE_VERIFICATION_LINK", DEBUG)
if EXPOSE_VERIFICATION_LINK and not SITE_IS_LOCAL:
    raise ImproperlyConfigured("EXPOSE_VERIFICATION_LINK=1 lets anybody own any address: allowed on loopback only.")
VERIFICATION_LINK_LIFETIME = timedelta(hours=24)
INVITATION_LINK_LIFETIME = timedelta(days=7)
RESET_LINK_LIFETIME = timedelta(minutes=15)
ACCESS_TOKEN_LIFETIME = timedelta(minutes=15)
REFRESH_TOKEN_LIFETIME = timedelta(days=7)
# However often it is rotated, a refresh family ends this long after its log-in.
REFRESH_FAMILY_LIFETIME = timedelta(days=30)
MAX_AVATAR_BYTES = 5 * MIB
# So long a super can bring back an account its owner closed; then what is personal is erased.
ACCOUNT_CLOSURE_DAYS = _count("ACCOUNT_CLOSURE_DAYS", 30, least=1)
MAX_AVATAR_PIXELS = 40_000_000

# --- Mail -----------------------------------------------------------------------------------------

EMAIL_BACKEND_KIND = _one_of("EMAIL_BACKEND_KIND", "file", ["file", "console", "smtp", "brevo", "sendgrid"])
EMAIL_BACKEND = {
    "file": "config.mail_backends.OneFileEachBackend",
    "console": "django.core.mail.backends.console.EmailBackend",
    "smtp": "django.core.mail.backends.smtp.EmailBackend",
    "brevo": "anymail.backends.brevo.EmailBackend",
    "sendgrid": "anymail.backends.sendgrid.EmailBackend",
}[EMAIL_BACKEND_KIND]
EMAIL_FILE_PATH = str(DATA_DIR / "mail")
EMAIL_HOST = env.str("EMAIL_HOST", default="localhost")
EMAIL_PORT = _count("EMAIL_PORT", 587, least=1)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_TLS = _switch("EMAIL_USE_TLS", True)
EMAIL_USE_SSL = _switch("EMAIL_USE_SSL", False)
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    raise ImproperlyConfigured("EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other: STARTTLS, or TLS from the start.")
if EMAIL_BACKEND_KIND == "smtp" and EMAIL_HOST_USER and not SITE_IS_LOCAL:
    _demand_secret("EMAIL_HOST_PASSWORD", EMAIL_HOST_PASSWORD)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"{SITE_NAME} <portal@{_site.hostname}>")
# The hour (UTC) after which the letter with what is new that day goes out.
DIGEST_HOUR = _count("DIGEST_HOUR", 5)
if DIGEST_HOUR > 23:
    raise ImproperlyConfigured(f"DIGEST_HOUR must be an hour from 0 to 23; it is {DIGEST_HOUR}.")
ANYMAIL = {
    "BREVO_API_KEY": env.str("BREVO_API_KEY", default=""),
    "SENDGRID_API_KEY": env.str("SENDGRID_API_KEY", default=""),
    "REQUESTS_TIMEOUT": 10,
}
for _kind, _name in (("brevo", "BREVO_API_KEY"), ("sendgrid", "SENDGRID_API_KEY")):
    if _kind == EMAIL_BACKEND_KIND and not ANYMAIL[_name]:
        raise ImproperlyConfigured(f"EMAIL_BACKEND_KIND={_kind} needs {_name}.")
    if _kind == EMAIL_BACKEND_KIND and not SITE_IS_LOCAL:
        _demand_secret(_name, ANYMAIL[_name], least=16)

# --- Limits ---------------------------------------------------------------------------------------

RATELIMIT_ENABLE = _switch("RATELIMIT_ENABLE", True)
RATE_LIMITS = {
    name: _rate(f"RATE_{name.upper()}", rate)
    for name, rate in {
        "initiate": "10/m",
        "download_url": "60/m",
        "login": "10/m",
        # Per address alone, for every log-in costs a hash and a row of the record.
        "login_address": "100/m",
        "refresh": "60/m",
        "second_factor": "10/m",
        "passkey": "60/m",
        "forgot_password": "5/h",
        # Per account, from wherever they are asked for: as long as their links are good, so that one always is.
        "reset_letters": "3/15m",
        # Per mailbox, of letters that anybody can have sent there: a sign-up's, a new address's, a receipt's.
        "unasked_letters": "10/h",
        "reset_password": "20/h",
        "signup": "10/h",
        "stkpush": "5/m",
        "share_password": "10/m",
        # Per link, from wherever they are sent.
        "share_password_link": "300/h",
        # Bytes behind encrypted links; and links that somebody else was given, or that nobody was.
        "redeem": "120/m",
        "foreign_link": "10/m",
        "csp_report": "30/m",
        "data_export": "5/h",
        "account_closure": "5/h",
        "share": "60/h",
        "preview": "30/m",
        "avatar": "10/m",
        # Recipients of letters that somebody makes the portal write to others.
        "letters": "200/d",
    }.items()
}
# Beyond so many failed log-ins to one account, only places it knows go on (accounts.lockout).
LOGIN_LOCKOUT_FAILURES = _count("LOGIN_LOCKOUT_FAILURES", 20, least=1)
LOGIN_LOCKOUT_SECONDS = 60 * _count("LOGIN_LOCKOUT_MINUTES", 60, least=1)
# One process counts in its own memory, many in Redis; both fit, whatever the library thinks of the first.
SILENCED_SYSTEM_CHECKS = [
    "django_ratelimit.E003",
    "django_ratelimit.W001",
    # It looks for Django's class by its name; config.checks knows that ours is one.
    "security.W003",
]

# --- API ------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiTokenAuthentication",
        "accounts.authentication.AccessTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "config.schema.PortalSchema",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.negotiation.AlwaysJSON",
    "EXCEPTION_HANDLER": "config.refusals.api_exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Portal API",
    "VERSION": "1",
    "DESCRIPTION": (
        "Files between a firm and its clients. Sign in at `/api/auth/login`, send `Authorization: Bearer <access>`. "
        "Ids are UUIDs (roles: integers), times RFC 3339 in UTC, sizes bytes. Every error is "
        '`{"detail", "code"}`; a 400 for invalid fields adds `errors`.'
    ),
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.schema.add_error_answers",
        "accounts.scopes.describe",
    ],
}
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET_KEY,
    "ACCESS_TOKEN_LIFETIME": ACCESS_TOKEN_LIFETIME,
    "REFRESH_TOKEN_LIFETIME": REFRESH_TOKEN_LIFETIME,
    "USER_ID_CLAIM": "user_id",
}

# --- Payments -------------------------------------------------------------------------------------

# off: no payments; simulator: our own Daraja, on this machine; sandbox and live: Safaricom's.
MPESA_ENV = _one_of("MPESA_ENV", "simulator" if SITE_IS_LOCAL else "off", ["off", "simulator", "sandbox", "live"])
_simulated = MPESA_ENV == "simulator"
if _simulated and not SITE_IS_LOCAL:
    raise ImproperlyConfigured("MPESA_ENV=simulator gives space away for nothing: allowed on loopback only.")
MPESA_CONSUMER_KEY = env.str("MPESA_CONSUMER_KEY", default="simulator" if _simulated else "")
MPESA_CONSUMER_SECRET = env.str("MPESA_CONSUMER_SECRET", default="simulator" if _simulated else "")
MPESA_SHORTCODE = env.str("MPESA_SHORTCODE", default="174379" if _simulated else "")
MPESA_PASSKEY = env.str("MPESA_PASSKEY", default="simulator" if _simulated else "")
MPESA_TRANSACTION_TYPE = _one_of(
    "MPESA_TRANSACTION_TYPE", "CustomerPayBillOnline", ["CustomerPayBillOnline", "CustomerBuyGoodsOnline"]
)
# For CustomerBuyGoodsOnline: the till; MPESA_SHORTCODE is then the store number.
MPESA_TILL_NUMBER = env.str("MPESA_TILL_NUMBER", default="")
# What the address M-Pesa calls back is known by; whoever has it can say that somebody paid.
MPESA_CALLBACK_SECRET = env.str(
    "MPESA_CALLBACK_SECRET",
    default=hmac.digest(SECRET_KEY.encode(), b"payment callbacks", "sha256").hex() if SITE_IS_LOCAL else "",
)
MPESA_CALLBACK_URL = env.str("MPESA_CALLBACK_URL", default=SITE_URL).rstrip("/")
# Addresses and networks callbacks may come from, after trusted proxies; empty: any, the secret decides.
MPESA_CALLBACK_ADDRESSES = env.list("MPESA_CALLBACK_ADDRESSES", default=[])
MPESA_TIMEOUT_SECONDS = _count("MPESA_TIMEOUT_SECONDS", 25, least=1)
MPESA_CONNECT_TIMEOUT_SECONDS = _count("MPESA_CONNECT_TIMEOUT_SECONDS", 5, least=1)
# Of the simulator; empty: `make run` starts one on a port that is free.
MPESA_BASE_URL = env.str("MPESA_BASE_URL", default="").rstrip("/")
if MPESA_BASE_URL and not (
    _simulated and urlsplit(MPESA_BASE_URL).scheme == "http" and _is_loopback(urlsplit(MPESA_BASE_URL).hostname or "")
):
    raise ImproperlyConfigured("MPESA_BASE_URL is that of a simulator on loopback, with MPESA_ENV=simulator.")
for _network in MPESA_CALLBACK_ADDRESSES:
    try:
        ipaddress.ip_network(_network)
    except ValueError:
        raise ImproperlyConfigured(
            f"MPESA_CALLBACK_ADDRESSES must hold addresses like 196.201.214.200 or networks; {_network!r} is none."
        ) from None
# Also while payments are off: callbacks of those that were under way are believed by it.
if MPESA_CALLBACK_SECRET:
    _least = 1 if SITE_IS_LOCAL else 32
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{{_least},100}}", MPESA_CALLBACK_SECRET):
        raise ImproperlyConfigured(f"MPESA_CALLBACK_SECRET must be {_least} to 100 letters, digits, - and _.")
    if not SITE_IS_LOCAL:
        _demand_secret("MPESA_CALLBACK_SECRET", MPESA_CALLBACK_SECRET)
if MPESA_ENV != "off":
    for _name in ("CONSUMER_KEY", "CONSUMER_SECRET", "SHORTCODE", "PASSKEY", "CALLBACK_SECRET"):
        if not globals()[f"MPESA_{_name}"]:
            raise ImproperlyConfigured(f"MPESA_ENV={MPESA_ENV} needs MPESA_{_name}.")
    if not re.fullmatch(r"[0-9]{5,7}", MPESA_SHORTCODE):
        raise ImproperlyConfigured(f"MPESA_SHORTCODE must be five to seven digits; it is {MPESA_SHORTCODE!r}.")
    if MPESA_TRANSACTION_TYPE == "CustomerBuyGoodsOnline" and not re.fullmatch(r"[0-9]{5,8}", MPESA_TILL_NUMBER):
        raise ImproperlyConfigured("MPESA_TRANSACTION_TYPE=CustomerBuyGoodsOnline needs MPESA_TILL_NUMBER, digits.")
    if not _simulated and not SITE_IS_LOCAL:
        for _name in ("CONSUMER_KEY", "CONSUMER_SECRET", "PASSKEY"):
            _demand_secret(f"MPESA_{_name}", globals()[f"MPESA_{_name}"])
    if MPESA_ENV == "live" and MPESA_PASSKEY in PUBLISHED:
        raise ImproperlyConfigured("MPESA_PASSKEY is the one that everybody has for the sandbox.")
    _callback = urlsplit(MPESA_CALLBACK_URL)
    if not _callback.hostname or _callback.scheme != ("http" if _simulated and not SITE_IS_SECURE else "https"):
        raise ImproperlyConfigured(f"MPESA_CALLBACK_URL must begin with https://; it is {MPESA_CALLBACK_URL!r}.")
    if re.search(r"m-?pesa|safaricom", f"{MPESA_CALLBACK_URL}{MPESA_CALLBACK_SECRET}", re.IGNORECASE):
        # Without showing the secret, which may be the one to blame.
        raise ImproperlyConfigured(
            "Daraja refuses addresses that name it: take those words out of MPESA_CALLBACK_URL or _SECRET."
        )
# Callbacks may come by another name than people do, through a tunnel for instance; those of payments that were
# under way when they were switched off too.
_callback_host = urlsplit(MPESA_CALLBACK_URL).hostname
if MPESA_CALLBACK_SECRET and _callback_host not in (None, *ALLOWED_HOSTS):
    ALLOWED_HOSTS += [_callback_host]
# That name opens every page, not the callback's alone: what is for nobody but this machine must be off.
if MPESA_CALLBACK_SECRET and not _is_loopback(_callback_host or "localhost"):
    for _name in ("DEMO", "DEBUG", "EXPOSE_VERIFICATION_LINK"):
        if globals()[_name]:
            raise ImproperlyConfigured(
                f"{_name} is on, and MPESA_CALLBACK_URL lets others in from beyond this machine: set {_name}=0."
            )
if MPESA_ENV in ("sandbox", "live"):
    if _is_loopback(urlsplit(MPESA_CALLBACK_URL).hostname):
        raise ImproperlyConfigured("MPESA_CALLBACK_URL must be an address that Safaricom can reach.")
    MPESA_BASE_URL = {"sandbox": "https://sandbox.safaricom.co.ke", "live": "https://api.safaricom.co.ke"}[MPESA_ENV]
CELERY_BEAT_SCHEDULE |= {
    "process waiting callbacks": {
        "task": "payments.tasks.process_waiting_callbacks",
        "schedule": timedelta(seconds=10),
    },
    "settle payments": {"task": "payments.tasks.settle_payments", "schedule": timedelta(seconds=10)},
    "remind of ending space": {"task": "payments.tasks.remind_of_ending_space", "schedule": timedelta(hours=1)},
    "forget old callbacks": {"task": "payments.tasks.forget_old_callbacks", "schedule": timedelta(days=1)},
}
# What comes again soon does not pile up behind a long job: the next of its kind does the same. A minute at least,
# so that clocks of two machines need not agree to the second.
for _entry in CELERY_BEAT_SCHEDULE.values():
    if isinstance(_entry["schedule"], timedelta):
        _entry["options"] = {"expires": max(60, _entry["schedule"].total_seconds())}

# --- Logs, metrics, faults -------------------------------------------------------------------------

LOG_LEVEL = _one_of("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
# For people, or one JSON object a line for whatever collects them.
LOG_FORMAT = _one_of("LOG_FORMAT", "line" if SITE_IS_LOCAL else "json", ["line", "json"])
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request": {"()": "config.logs.RequestFilter"}},
    "formatters": {"line": {"()": "config.logs.LineFormatter"}, "json": {"()": "config.logs.JSONFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "filters": ["request"], "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Without Django's own handlers: every line is written once, by ours.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": ["stderr"], "propagate": False},
        "celery": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "kombu": {"level": "ERROR"},
    },
}
# What may read /metrics from another machine; empty: this machine alone.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if METRICS_TOKEN:
    _demand_secret("METRICS_TOKEN", METRICS_TOKEN, least=32, least_different=10)
# Faults are told to a Sentry; empty: nobody is told.
SENTRY_DSN = env.str("SENTRY_DSN", default="")
SENTRY_ENVIRONMENT = env.str("SENTRY_ENVIRONMENT", default="local" if SITE_IS_LOCAL else "production")
try:
    SENTRY_TRACES_SAMPLE_RATE = env.float("SENTRY_TRACES_SAMPLE_RATE", default=0.0)
except ValueError:
    SENTRY_TRACES_SAMPLE_RATE = -1.0
if not 0 <= SENTRY_TRACES_SAMPLE_RATE <= 1:
    raise ImproperlyConfigured("SENTRY_TRACES_SAMPLE_RATE must be a number from 0 to 1.")
if SENTRY_DSN:
    # Without showing it: it holds a key.
    try:
        _dsn = urlsplit(SENTRY_DSN)
        _dsn_is_right = bool(_dsn.username and _dsn.hostname and re.fullmatch(r"(/.*)?/[0-9]+", _dsn.path))
        _dsn_is_right &= _dsn.scheme == "https" or (_dsn.scheme == "http" and _is_loopback(_dsn.hostname or ""))
    except ValueError:
        _dsn_is_right = False
    if not _dsn_is_right:
        raise ImproperlyConfigured("SENTRY_DSN must be like https://key@sentry.example.org/1; beyond loopback https.")
