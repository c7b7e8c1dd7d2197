"""Settings of the portal, read from the environment or `.env`; `.env.example` explains each name.

In this order: place, secrets, applications, web, servers, queue, files, people, limits, API, payments, logs.
`config/environment/env.py` reads single values. An app, or a part of `config`, reads its own settings in its `conf.py`.
They are added here by module name, so that the settings import no app. A wrong value stops the start with a message
that names it.
"""

import base64
import os
import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from .environment import collected, env
from .lazy import leave_out
from .outside import secrets

# REST framework would import it for its fields, which the portal has not, and with them the driver of a database that
# it may not use: a tenth of the time and memory of a start.
leave_out("django.contrib.postgres")

BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"))


def _take_in(module):
    """Add the settings that `module`, a conf.py, reads; its `read` gets the settings defined so far."""
    given = SimpleNamespace(**{name: value for name, value in globals().items() if name.isupper()})
    taken = import_module(module).read(given)
    globals().update(taken)
    return taken


# --- Where we are -------------------------------------------------------------------------------

# How far the clocks of two machines may differ: what one of them dates into the future is no forgery to the other.
# Fernet, which encrypts the download links, allows as much.
CLOCK_SKEW_SECONDS = 60
MIB = 1024 * 1024
GIB = 1024 * MIB

DEBUG = env.switch("DEBUG", False)
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()
HOST = env.text("HOST", "127.0.0.1")
PORT = env.count("PORT", 8000, least=1)
SITE_URL = env.text("SITE_URL", f"http://{HOST if env.is_loopback(HOST) else '127.0.0.1'}:{PORT}").rstrip("/")
_site = urlsplit(SITE_URL)
if _site.scheme not in ("http", "https") or not _site.hostname:
    raise ImproperlyConfigured(f"SITE_URL must be like https://portal.example.org; it is {SITE_URL!r}.")
env.demand_port("SITE_URL", SITE_URL)
# "" or, for a portal that shares its host with others, such as "/portal".
SITE_PATH = _site.path
if _site.query or _site.fragment or not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", SITE_PATH):
    raise ImproperlyConfigured(f"SITE_URL's path must be plain, like /portal, and the last thing in it: {SITE_URL!r}.")
SITE_IS_LOCAL = env.is_loopback(_site.hostname) and env.is_loopback(HOST)
SITE_IS_SECURE = _site.scheme == "https"
SITE_HOST = _site.hostname
SITE_ORIGIN = f"{_site.scheme}://{_site.netloc}"
SITE_NAME = env.text("SITE_NAME", "Portal")
WEB_WORKERS = env.count("WEB_WORKERS", 1, least=1)
WEB_THREADS = env.count("WEB_THREADS", 8, least=1)
# The demo's passwords are public, so only this machine may reach the portal.
DEMO = env.switch("DEMO", SITE_IS_LOCAL)
if DEMO and not SITE_IS_LOCAL:
    raise ImproperlyConfigured("DEMO=1 makes accounts with well-known passwords: set DEMO=0 or serve on loopback only.")
if not (SITE_IS_SECURE or SITE_IS_LOCAL or DEBUG):
    raise ImproperlyConfigured(f"SITE_URL must begin with https:// beyond this machine; it is {SITE_URL!r}.")
if DEBUG and not SITE_IS_LOCAL:
    raise ImproperlyConfigured("DEBUG=1 shows secrets on its error pages: allowed on loopback only.")

# --- Secrets ------------------------------------------------------------------------------------

_kept = {}
if SITE_IS_LOCAL and not (env.secret("SECRET_KEY") and env.secret("LINK_KEYS")):
    _kept = secrets.load_or_create(DATA_DIR / "secrets.env")
SECRET_KEY = env.secret("SECRET_KEY", _kept.get("SECRET_KEY", ""))
SECRET_KEY_FALLBACKS = env.secrets("SECRET_KEY_FALLBACKS")
if not SITE_IS_LOCAL:
    env.demand_secret("SECRET_KEY", SECRET_KEY, least=50, least_different=10)
    for _key in SECRET_KEY_FALLBACKS:
        env.demand_secret("SECRET_KEY_FALLBACKS", _key, least=50, least_different=10)
if SECRET_KEY in SECRET_KEY_FALLBACKS:
    raise ImproperlyConfigured("SECRET_KEY_FALLBACKS holds SECRET_KEY itself: former keys only.")
# Fernet keys of the encrypted download links; the first encrypts, all of them decrypt.
LINK_KEYS = env.secrets("LINK_KEYS", [_kept["LINK_KEYS"]] if _kept else [])
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
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"

# --- Web ----------------------------------------------------------------------------------------

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
FORCE_SCRIPT_NAME = SITE_PATH or None
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS", [SITE_HOST])
if SITE_IS_LOCAL:
    ALLOWED_HOSTS += ["127.0.0.1", "localhost", "[::1]"]
if "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS must name the hosts served; '*' would trust any Host header.")
TRUSTED_PROXY_COUNT = env.count("TRUSTED_PROXY_COUNT", 0)
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS", [SITE_ORIGIN])

MIDDLEWARE = [
    "config.http.middleware.RequestFactsMiddleware",
    "config.watch.request_log.RequestLogMiddleware",
    "config.http.compression.CompressionMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.http.middleware.SecurityHeadersMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.watch.health.ProbesMiddleware",
    # Every open page asks this address twice a minute. It answers without the session and the database.
    "accounts.notices.live_count.LiveCountMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "config.http.middleware.BodyLimitMiddleware",
    "config.http.csrf.CsrfMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "accounts.people.languages.RememberMiddleware",
    "accounts.credentials.lockout.DeviceMiddleware",
    "accounts.second_factors.middleware.SecondFactorMiddleware",
    "config.http.refusals.RefusalMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["config.templatetags.assets", "config.templatetags.icons"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context_processors.site",
                "accounts.context_processors.joining",
                "accounts.context_processors.notices",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

STATIC_URL = f"{SITE_PATH}/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Collected files are bundled, hashed and compressed. A container image has collected its own. `make run` collects them
# into the data folder, again after each change; what starts while they are not those of this checkout serves the
# sources, as `make dev` always does.
STATIC_COLLECTED = env.switch("STATIC_COLLECTED", False)
STATIC_ROOT = env.text("STATIC_ROOT", str(BASE_DIR / "staticfiles")) if STATIC_COLLECTED else None
COLLECTS_STATIC = not DEBUG and env.text("STATIC_COLLECTED") == ""
if COLLECTS_STATIC and collected.is_fresh(DATA_DIR / "static", BASE_DIR):
    STATIC_COLLECTED, STATIC_ROOT = True, str(DATA_DIR / "static")
WHITENOISE_USE_FINDERS = not STATIC_COLLECTED
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    # fileshare.conf adds "default", which depends on where files are stored.
    "staticfiles": {
        "BACKEND": (
            "config.http.static.ManifestStorage"
            if STATIC_COLLECTED
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
}

# Browsers report breaches of the policy to this address: /csp-report of the portal, or another.
CSP_REPORT_URI = env.text("CSP_REPORT_URI")
if CSP_REPORT_URI and not re.fullmatch(r"(https://[A-Za-z0-9.:-]+)?/[A-Za-z0-9._~/?=&%-]*", CSP_REPORT_URI):
    raise ImproperlyConfigured(f"CSP_REPORT_URI must be /csp-report or an https:// address; it is {CSP_REPORT_URI!r}.")
if CSP_REPORT_URI == "/csp-report":
    CSP_REPORT_URI = f"{SITE_PATH}/csp-report"
# Report breaches without blocking them, to try a policy out.
CSP_REPORT_ONLY = env.switch("CSP_REPORT_ONLY", False)
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
SECURE_REDIRECT_EXEMPT = [rf"^({re.escape(SITE_PATH[1:])}/)?(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31_536_000 if SITE_IS_SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SITE_IS_SECURE
SECURE_HSTS_PRELOAD = SITE_IS_SECURE
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SITE_IS_SECURE
# Browsers take __Host- only for the path "/". Under a path of its own the cookies stay with the portal: other sites of
# the host do not get them.
COOKIE_PREFIX = ("__Secure-" if SITE_PATH else "__Host-") if SITE_IS_SECURE else ""
COOKIE_PATH = SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = SITE_PATH or "/"
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_ENGINE = "accounts.credentials.sessions"
CSRF_FAILURE_VIEW = "config.http.refusals.csrf_failure"

LANGUAGE_CODE = "en"
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_PATH = COOKIE_PATH
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SECURE = SITE_IS_SECURE
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGES = [("en", "English"), ("sw", "Kiswahili")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

# --- Servers: database, cache and queue, mail (config/outside/conf.py) ----------------------------

_take_in("config.outside.conf")

if EMAIL_BACKEND.startswith("anymail."):  # noqa: F821  taken in
    INSTALLED_APPS.append("anymail")  # only for a provider: it takes long to import

# --- Queue ----------------------------------------------------------------------------------------

CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Retry for ever, so that worker and beat need no restart after a long outage of the broker.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY = False
# Tasks that may take hours have their own queue and workers, so that payments, mail and sealing never wait for them.
# Each app names its long tasks (config.contributions.schedule). A worker without -Q serves both queues.
CELERY_TASK_QUEUES = {"celery": {}, "sweep": {}}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "config.watch.heartbeats:Scheduler"

# --- Files (fileshare/conf.py) --------------------------------------------------------------------

_take_in("fileshare.conf")
FILE_UPLOAD_HANDLERS = ["config.http.uploadhandlers.BoundedTemporaryFileUploadHandler"]
FILE_UPLOAD_TEMP_DIR = env.text("FILE_UPLOAD_TEMP_DIR", None)
DATA_UPLOAD_MAX_MEMORY_SIZE = env.count("MAX_BODY_BYTES", 1 * MIB, least=1024)
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# --- People ---------------------------------------------------------------------------------------

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
AUTHENTICATION_BACKENDS = ["accounts.signing_in.authentication.SessionBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    # Plain bcrypt reads only 72 bytes; the SHA-256 variant takes passwords of any length.
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# Who may get an account (accounts.people.joining): everybody where only this machine can reach the portal, also in the
# demo; elsewhere only invited people.
SIGNUP = env.one_of("SIGNUP", "", ["", "open", "invited", "closed"])
SIGNUP_IS_SET = bool(SIGNUP)
if not SIGNUP_IS_SET:
    SIGNUP = "open" if SITE_IS_LOCAL else "invited"
EXPOSE_VERIFICATION_LINK = env.switch("EXPOSE_VERIFICATION_LINK", DEBUG)
if EXPOSE_VERIFICATION_LINK and not SITE_IS_LOCAL:
    raise ImproperlyConfigured("EXPOSE_VERIFICATION_LINK=1 lets anybody own any address: allowed on loopback only.")
VERIFICATION_LINK_LIFETIME = timedelta(hours=24)
INVITATION_LINK_LIFETIME = timedelta(days=7)
RESET_LINK_LIFETIME = timedelta(minutes=15)
ACCESS_TOKEN_LIFETIME = timedelta(minutes=15)
REFRESH_TOKEN_LIFETIME = timedelta(days=7)
# A refresh family ends this long after its log-in, even if the client keeps rotating it.
REFRESH_FAMILY_LIFETIME = timedelta(days=30)
MAX_AVATAR_BYTES = 5 * MIB
# For this many days a super can restore an account that its owner closed; then its personal data is erased.
ACCOUNT_CLOSURE_DAYS = env.count("ACCOUNT_CLOSURE_DAYS", 30, least=1)
MAX_AVATAR_PIXELS = 40_000_000
# The daily digest goes out after this hour (UTC).
DIGEST_HOUR = env.count("DIGEST_HOUR", 5)
if DIGEST_HOUR > 23:
    raise ImproperlyConfigured(f"DIGEST_HOUR must be an hour from 0 to 23; it is {DIGEST_HOUR}.")

# --- Limits ---------------------------------------------------------------------------------------

RATELIMIT_ENABLE = env.switch("RATELIMIT_ENABLE", True)
# Overrides of the apps' limits (rates.py): {"login": "20/m"} for RATE_LOGIN=20/m.
RATE_LIMITS = {name[5:].lower(): env.rate(name, "") for name in os.environ if name.startswith("RATE_")}
# After this many failed log-ins to an account, only its known places may try (accounts.credentials.lockout).
LOGIN_LOCKOUT_FAILURES = env.count("LOGIN_LOCKOUT_FAILURES", 20, least=1)
LOGIN_LOCKOUT_SECONDS = 60 * env.count("LOGIN_LOCKOUT_MINUTES", 60, least=1)
# One process counts in its own memory, several count in Redis. Both work, though the library complains about the first.
SILENCED_SYSTEM_CHECKS = [
    "django_ratelimit.E003",
    "django_ratelimit.W001",
    # This check looks for Django's class by name; config.checks accepts our subclass.
    "security.W003",
]

# --- API ------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.signing_in.authentication.ApiTokenAuthentication",
        "accounts.signing_in.authentication.AccessTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.http.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "accounts.api.schema.ScopedSchema",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.http.negotiation.AlwaysJSON",
    "EXCEPTION_HANDLER": "config.http.refusals.api_exception_handler",
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
    # As the URL tables have them: in the order of use.
    "SORT_OPERATIONS": False,
    "GET_LIB_DOC_EXCLUDES": "config.api.schema.classes_without_description",
    "SERVERS": [{"url": SITE_PATH}] if SITE_PATH else [],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.api.schema.add_error_answers",
        "config.api.tags.add_headings",
    ],
}
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET_KEY,
    "ACCESS_TOKEN_LIFETIME": ACCESS_TOKEN_LIFETIME,
    "REFRESH_TOKEN_LIFETIME": REFRESH_TOKEN_LIFETIME,
    "LEEWAY": CLOCK_SKEW_SECONDS,
    "USER_ID_CLAIM": "user_id",
}

# --- Payments (payments/conf.py) ------------------------------------------------------------------

_take_in("payments.conf")

# --- Logs, metrics, faults (config/watch/conf.py) ---------------------------------------------------

_take_in("config.watch.conf")
