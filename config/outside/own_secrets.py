"""The secrets of this installation. Log lines hide them, and each must be different from the others."""

from urllib.parse import unquote, urlsplit

from django.conf import settings

from config.contributions.registry import Registry

SETTINGS = Registry("secret of the settings")
"""Apps' settings that hold a secret; those of `config` are listed below."""


def register(*names):
    """Register an app's settings that hold a secret."""
    SETTINGS.add_all({name: name for name in names})


def own_secrets():
    """[(setting, value), …] of all secrets that are set. A setting with several secrets appears once for each."""
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
        *((name, getattr(settings, name)) for name in SETTINGS),
        ("METRICS_TOKEN", settings.METRICS_TOKEN),
    ]
    return [(name, value) for name, value in pairs if value]
