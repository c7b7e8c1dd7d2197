"""Environments to start the portal in, and the settings that follow from them.

`settings_of` runs config/settings.py in this process, in milliseconds; `start` imports it in a process of its own.
"""

import importlib.util
import os
import subprocess
import sys
import traceback
from pathlib import Path
from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
FERNET_KEY = "c2V2ZW4gZ3JlZW4gYm9hdHMgYW5kIG9uZSBvYXIhISE="
PRODUCTION = {
    "SITE_URL": "https://portal.example.org",
    "HOST": "0.0.0.0",  # noqa: S104 (not listened to)
    "SECRET_KEY": "kqYt2vR8wN5xZ1cB7mL4pD9sF6gH3jT0aE_uI-oWyXzQbV3nK7rM2s",
    "LINK_KEYS": FERNET_KEY,
    "DATABASE_URL": "postgres://portal:zK4mQ9xW2r@127.0.0.1:5432/portal",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "EMAIL_BACKEND_KIND": "smtp",
}


def environment_of(folder, *, base=PRODUCTION, **changes):
    """The environment `base` with `changes`; None removes a name. The portal keeps its data in `folder`."""
    surroundings = {"ENV_FILE": os.devnull, "DATA_DIR": str(folder), "PATH": os.environ["PATH"]}
    return {name: value for name, value in {**surroundings, **base, **changes}.items() if value is not None}


def settings_of(folder, **facts):
    """The settings module of `environment_of(folder, **facts)`; the tests' own settings stay as they are.

    Raises ImproperlyConfigured if the portal would refuse to start.
    """
    spec = importlib.util.find_spec("config.settings")
    settings = importlib.util.module_from_spec(spec)
    with mock.patch.dict(os.environ, environment_of(folder, **facts), clear=True):
        spec.loader.exec_module(settings)
    return settings


def refusal_of(folder, **facts):
    """All that a refused start prints; its last line is the reason. The test fails if the start is not refused."""
    with pytest.raises(ImproperlyConfigured) as caught:
        settings_of(folder, **facts)
    return "".join(traceback.format_exception(caught.value)).strip()


def reason_of(folder, **facts):
    """Why the portal refuses to start: the last line of what it prints."""
    return refusal_of(folder, **facts).splitlines()[-1]


def start(folder, *, read="SITE_NAME", **facts):
    """The finished process that imported the settings and printed the expression `settings.<read>`."""
    code = f"import config.settings as settings; print(repr(settings.{read}))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment_of(folder, **facts),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
