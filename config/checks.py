"""Warnings of `manage.py check --deploy` about settings that work but are unwise.

config.settings stops the start for settings that must never run. The checks here tell an operator about the rest.
"""

import base64
import hashlib
import hmac
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.module_loading import import_string

from .http.throttling import RATES
from .outside.own_secrets import own_secrets
from .watch import parts

MIB = 1024 * 1024


@checks.register(checks.Tags.security)
def forms_are_protected(app_configs, **options):
    """E001 when no middleware is CsrfViewMiddleware or a subclass; Django's own check knows only the class's name."""
    for path in settings.MIDDLEWARE:
        found = import_string(path)
        if isinstance(found, type) and issubclass(found, CsrfViewMiddleware):
            return []
    return [checks.Error("MIDDLEWARE holds no CsrfViewMiddleware, nor a kind of it.", id="config.E001")]


@checks.register(checks.Tags.security, deploy=True)
def keys_are_independent(app_configs, **options):
    """E002 for LINK_KEYS that are derived from SECRET_KEY, E003 for one secret used in several places."""
    if settings.SITE_IS_LOCAL:
        return []
    found = []
    if any(key in derived_keys(settings.SECRET_KEY) for key in settings.LINK_KEYS):
        found.append(
            checks.Error(
                "LINK_KEYS can be worked out from SECRET_KEY: who learns one has both.",
                hint="Make them by Fernet.generate_key().",
                id="config.E002",
            )
        )
    owners = {}
    for name, value in own_secrets():
        owners.setdefault(value, []).append(name)
    return found + [
        checks.Error(f"{_told(names)}: give each its own.", id="config.E003")
        for names in owners.values()
        if len(names) > 1
    ]


def secrets_part():
    """The part "secrets" of `manage.py doctor`: what the check above finds."""
    found = keys_are_independent(None)
    cure = "Make a key of its own for each, as .env.example says."
    return parts.degraded(found[0].msg.replace("%", "%%"), found[0].hint or cure) if found else None


parts.register("secrets", secrets_part, thorough=True)


def _told(names):
    different = list(dict.fromkeys(names))
    if len(different) == 1:
        return f"{different[0]} has the same secret twice"
    return f"{' and '.join(different)} have the same secret"


def derived_keys(secret):
    """The Fernet keys that common recipes derive from a SECRET_KEY, and the key itself."""
    raw = secret.encode()
    digests = [hashlib.sha256(raw).digest(), raw[:32].ljust(32, b"\0"), hmac.digest(raw, b"", "sha256")]
    digests.append(hashlib.md5(raw, usedforsecurity=False).hexdigest().encode())
    return {secret, *(base64.urlsafe_b64encode(digest).decode() for digest in digests)}


def _warn(number, text, hint):
    return checks.Warning(text, hint=hint, id=f"config.W{number:03}")


@checks.register(checks.Tags.security, deploy=True)
def parts_fit_the_place(app_configs, **options):
    """W001… for trial-only choices (no Redis, SQLite, mail to files …) on a portal that other machines reach."""
    if settings.SITE_IS_LOCAL:
        return []
    rules = [
        (
            not settings.REDIS_URL,
            1,
            "Without REDIS_URL the queue and the counters of rate limits live in one web process.",
            "Set REDIS_URL; WEB_WORKERS above 1 needs it.",
        ),
        (
            not settings.REDIS_URL and settings.WEB_WORKERS > 1,
            2,
            "Each of several web processes counts rate limits and failed log-ins for itself.",
            "Set REDIS_URL, or WEB_WORKERS=1.",
        ),
        (
            settings.SITE_IS_SECURE and not settings.TRUSTED_PROXY_COUNT,
            3,
            "SITE_URL is https and no proxy is trusted: every request seems to come in plain http, from the proxy.",
            "Set TRUSTED_PROXY_COUNT to the number of proxies of yours in front.",
        ),
        (
            settings.DATABASES["default"]["ENGINE"].endswith("sqlite3") and settings.WEB_WORKERS > 1,
            4,
            "SQLite lets one write at a time: several web processes wait for each other.",
            "Set DATABASE_URL to a PostgreSQL.",
        ),
        (
            settings.EMAIL_BACKEND_KIND in ("file", "console"),
            5,
            f"EMAIL_BACKEND_KIND={settings.EMAIL_BACKEND_KIND} mails nothing: nobody can confirm an address.",
            "Set smtp, brevo or sendgrid.",
        ),
        (
            settings.EMAIL_BACKEND_KIND == "smtp"
            and settings.EMAIL_HOST_USER
            and not (settings.EMAIL_USE_TLS or settings.EMAIL_USE_SSL),
            6,
            "The password of the mail server travels in the clear.",
            "Set EMAIL_USE_TLS=1 or EMAIL_USE_SSL=1.",
        ),
        (
            not settings.RATELIMIT_ENABLE,
            7,
            "RATELIMIT_ENABLE=0: passwords can be guessed at any speed.",
            "Set RATELIMIT_ENABLE=1.",
        ),
        (
            settings.CSP_REPORT_ONLY,
            8,
            "CSP_REPORT_ONLY=1: browsers report breaches of the policy and let them happen.",
            "Set CSP_REPORT_ONLY=0 once the reports have stopped.",
        ),
        (
            settings.STORAGE == "s3"
            and any(
                urlsplit(url).scheme == "http"
                for url in (settings.S3_PUBLIC_ENDPOINT_URL or settings.S3_ENDPOINT_URL,)
                if url
            ),
            9,
            "Browsers send files to the bucket in the clear, or refuse to from an https page.",
            "Set S3_PUBLIC_ENDPOINT_URL, or S3_ENDPOINT_URL, to an https address.",
        ),
        (
            settings.LOGIN_LOCKOUT_FAILURES > 100,
            10,
            "LOGIN_LOCKOUT_FAILURES leaves more than a hundred guesses at a password in a window.",
            "Set it to 20 or so.",
        ),
    ]
    return [_warn(number, text, hint) for applies, number, text, hint in rules if applies]


def who_may_join():
    """Who gets an account (SIGNUP), and why: a sentence for the operator."""
    words = {
        "open": "everybody who signs up gets an account",
        "invited": "only invited people get an account",
        "closed": "nobody gets an account",
    }
    if settings.SIGNUP_IS_SET:
        why = "as it is set"
    elif settings.SITE_IS_LOCAL:
        why = "the default where only this machine can reach the portal"
    else:
        why = "the default where other machines can reach the portal"
    return f"SIGNUP={settings.SIGNUP}, {why}: {words[settings.SIGNUP]}."


@checks.register(checks.Tags.security, deploy=True)
def signup_is_told(app_configs, **options):
    """I001 tells who gets an account, and why. W017 in its place when strangers do on a portal that they can reach."""
    if settings.SIGNUP == "open" and not settings.SITE_IS_LOCAL:
        hint = "Such people see the folder Client documents. Set SIGNUP=invited unless that is what you want."
        return [_warn(17, who_may_join(), hint)]
    return [checks.Info(who_may_join(), id="config.I001")]


@checks.register(checks.Tags.security)
def limits_exist(app_configs, **options):
    """W016 for a RATE_<NAME> that has no effect, because no app has a limit of that name."""
    unknown = sorted(set(settings.RATE_LIMITS) - set(RATES))
    hint = "`.env.example` names them all."
    return [_warn(16, f"RATE_{name.upper()} is the name of no rate limit.", hint) for name in unknown]


@checks.register(checks.Tags.security, deploy=True)
def sizes_make_sense(app_configs, **options):
    """W011… for sizes that contradict each other."""
    rules = [
        (
            settings.DATA_UPLOAD_MAX_MEMORY_SIZE > 32 * MIB,
            11,
            "MAX_BODY_BYTES lets each request fill that much memory.",
            "1 MiB is enough for every call.",
        ),
        (
            settings.MAX_FORM_UPLOAD_BYTES > settings.MAX_UPLOAD_BYTES,
            12,
            "MAX_FORM_UPLOAD_BYTES is larger than MAX_UPLOAD_BYTES: such a form is taken whole and then refused.",
            "Make it the smaller of the two.",
        ),
        (
            settings.PART_SIZE_BYTES > settings.MULTIPART_THRESHOLD_BYTES,
            13,
            "PART_SIZE is larger than MULTIPART_THRESHOLD: uploads in parts have one part.",
            "Make it the smaller of the two.",
        ),
        (
            settings.MAX_UPLOAD_BYTES < settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
            14,
            "MAX_UPLOAD_BYTES is smaller than MAX_BODY_BYTES.",
            "Sizes are bytes: 5 GiB is 5368709120.",
        ),
        (
            settings.LINK_EXPIRY_SECONDS > 24 * 3600 or settings.PRESIGNED_URL_EXPIRY_SECONDS > 24 * 3600,
            15,
            "Download links are good for more than a day: whoever finds one in a history has time.",
            "900 seconds is enough for a click; a download that began goes on.",
        ),
    ]
    return [_warn(number, text, hint) for applies, number, text, hint in rules if applies]
