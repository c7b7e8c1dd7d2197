"""The secrets of this installation: what no log line shows, and what has to be a secret of its own each."""

from urllib.parse import unquote, urlsplit

from django.conf import settings


def own_secrets():
    """[(setting, value), …] of those that are set; a setting that holds several stands there for each."""
    anymail = [(name, settings.ANYMAIL[name]) for name in settings.ANYMAIL if name.endswith("_KEY")]
    pairs = [
        ("SECRET_KEY", settings.SECRET_KEY),
        *(("SECRET_KEY_FALLBACKS", key) for key in settings.SECRET_KEY_FALLBACKS),
        *(("LINK_KEYS", key) for key in settings.LINK_KEYS),
        ("DATABASE_URL", settings.DATABASES["default"].get("PASSWORD")),
        ("PGPASSWORD", settings.PGPASSWORD),
        ("REDIS_URL", unquote(urlsplit(settings.REDIS_URL).password or "")),
        ("AWS_SECRET_ACCESS_KEY", settings.STORAGES["default"].get("OPTIONS", {}).get("secret_key")),
        ("EMAIL_HOST_PASSWORD", settings.EMAIL_HOST_PASSWORD),
        *anymail,
        ("MPESA_CONSUMER_SECRET", settings.MPESA_CONSUMER_SECRET),
        ("MPESA_PASSKEY", settings.MPESA_PASSKEY),
        ("MPESA_CALLBACK_SECRET", settings.MPESA_CALLBACK_SECRET),
        ("METRICS_TOKEN", settings.METRICS_TOKEN),
    ]
    return [(name, value) for name, value in pairs if value]
