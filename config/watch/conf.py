"""The settings of monitoring: logs, metrics, reports of faults."""

import re
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from config.environment import env


def read(given):
    """Settings by name, from the environment; `given` are the settings read before. Raises ImproperlyConfigured."""
    return _logs(given) | _metrics() | _sentry(given)


def _logs(given):
    level = env.one_of("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
    # "line" for people to read; "json", one object a line, for programs that collect logs.
    form = env.one_of("LOG_FORMAT", "line" if given.SITE_IS_LOCAL else "json", ["line", "json"])
    logging = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": "config.watch.logs.RequestFilter"}},
        "formatters": {
            "line": {"()": "config.watch.logs.LineFormatter"},
            "json": {"()": "config.watch.logs.JSONFormatter"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "filters": ["request"], "formatter": form}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Remove Django's own handlers, so that our handler writes every line once.
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.server": {"handlers": ["stderr"], "propagate": False},
            "celery": {"level": "WARNING"},
            # It names each letter that a receipt needs.
            "fontTools": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "kombu": {"level": "ERROR"},
        },
    }
    return {"LOG_LEVEL": level, "LOG_FORMAT": form, "LOGGING": logging}


def _metrics():
    # With this token other machines may read /metrics; without one only this machine may.
    token = env.secret("METRICS_TOKEN")
    if token:
        env.demand_secret("METRICS_TOKEN", token, least=32, least_different=10)
    return {"METRICS_TOKEN": token}


def _sentry(given):
    # Faults are reported to this Sentry; if empty, to none.
    dsn = env.secret("SENTRY_DSN")
    settings = {
        "SENTRY_DSN": dsn,
        "SENTRY_ENVIRONMENT": env.text("SENTRY_ENVIRONMENT", "local" if given.SITE_IS_LOCAL else "production"),
        "SENTRY_TRACES_SAMPLE_RATE": env.fraction("SENTRY_TRACES_SAMPLE_RATE", 0.0),
    }
    if dsn and not _is_dsn(dsn):
        # Do not show the address: it holds a key.
        raise ImproperlyConfigured("SENTRY_DSN must be like https://key@sentry.example.org/1; beyond loopback https.")
    return settings


def _is_dsn(text):
    try:
        dsn = urlsplit(text)
        host = dsn.hostname or ""
    except ValueError:
        return False
    if not (dsn.username and host and re.fullmatch(r"(/.*)?/[0-9]+", dsn.path)):
        return False
    return dsn.scheme == "https" or (dsn.scheme == "http" and env.is_loopback(host))
