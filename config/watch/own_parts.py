"""The parts of the portal that config itself stands on: database, cache, broker, clocks, disk, SITE_URL."""

import os
import shutil
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext_lazy as _
from redis import Redis

from config import embedded
from config.lazy import LazyModule
from config.outside import outbound

from . import clocks, lateness, parts

httpx = LazyModule("httpx")

MIB = 1024 * 1024
FULL_BYTES, NEARLY_FULL_BYTES = 64 * MIB, 1024 * MIB
NEARLY_FULL_SHARE = 0.03
"""A disk is nearly full with less than this share and less than NEARLY_FULL_BYTES free."""


def register():
    """Register the parts of config."""
    parts.register(
        "database",
        database,
        essential=True,
        cure=_("Start the database, and compare its address and password with DATABASE_URL."),
    )
    parts.register(
        "migrations",
        migrations,
        essential=True,
        kept_seconds=10,
        # Migrations that are applied stay so while this version runs, and to compare them takes long on a busy machine.
        kept_when_fine_seconds=600,
        in_turn=True,
        keeps_last=True,
    )
    redis_cure = _("Start Redis, and compare its address and password with REDIS_URL.")
    parts.register("cache", ask_cache, cure=redis_cure)
    parts.register("broker", broker, cure=redis_cure)
    parts.register("heartbeats", lateness.ask, kept_seconds=10, in_turn=True)
    parts.register("clock", clocks.ask, kept_seconds=60)
    parts.register("disk", disk, kept_seconds=10, cure=_("Check that DATA_DIR is there and can be read."))
    parts.register("SITE_URL", site_url, thorough=True)
    clocks.CLOCKS.add("Redis", clocks.of_redis)


def database():
    """The database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def migrations():
    """The tables are those of this version of the portal."""
    # The executor reads the migrations' files only once in a process: Python keeps the modules.
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    cure = _("Run: manage.py migrate")
    if not executor.loader.applied_migrations:
        return parts.unavailable(_("The database has no tables."), cure)
    if waiting:
        first = waiting[0][0]
        return parts.unavailable(
            _("Migrations are not applied yet (%(count)d), the first is %(name)s."),
            cure,
            count=len(waiting),
            name=f"{first.app_label}.{first.name}",
        )
    return None


def ask_cache():
    """The cache answers."""
    cache.get("readyz")


def broker():
    """The broker answers; without Redis it is in this process."""
    if not embedded.wanted():
        seconds = {"socket_connect_timeout": 1, "socket_timeout": 1}
        with Redis.from_url(settings.CELERY_BROKER_URL, **seconds) as client:
            client.ping()


def disk():
    """Room on the disks that the portal writes to."""
    for name, folder in _folders().items():
        free, total = shutil.disk_usage(folder)[2], shutil.disk_usage(folder).total
        facts = {"name": name, "free": free // MIB}
        cure = _("Make room: delete old backups, logs and images, or enlarge the disk.")
        if free < min(FULL_BYTES, total / 4):
            return parts.unavailable(
                _("The disk of %(name)s is full (%(free)d MiB free): nothing can be saved, and reads go on."),
                cure,
                **facts,
            )
        if free < min(NEARLY_FULL_BYTES, total * NEARLY_FULL_SHARE):
            return parts.degraded(_("The disk of %(name)s is nearly full: %(free)d MiB are free."), cure, **facts)
    return None


def _folders():
    """{setting: folder} of the disks that the portal writes to, each disk once."""
    found = {"DATA_DIR": settings.DATA_DIR}
    if connection.vendor == "sqlite":
        found["DATABASE_URL"] = Path(connection.settings_dict["NAME"]).parent
    if settings.FILE_UPLOAD_TEMP_DIR:
        found["FILE_UPLOAD_TEMP_DIR"] = Path(settings.FILE_UPLOAD_TEMP_DIR)
    devices = {}
    for name, folder in found.items():
        devices.setdefault(os.stat(folder).st_dev, (name, folder))
    return dict(devices.values())


def site_url():
    """The portal answers at the address that its links and letters contain."""
    facts = {"url": settings.SITE_URL}
    port = _("Compare SITE_URL with the address in a browser, then look at the proxy, the firewall and DNS.")
    try:
        socket.getaddrinfo(urlsplit(settings.SITE_URL).hostname, None)
        with outbound.client(timeout=5, allow_local=True) as client:
            answer = client.get(f"{settings.SITE_URL}/healthz")
            is_portal = answer.status_code == 200 and answer.json() == {"status": "ok"}
    except (socket.gaierror, UnicodeError):
        return parts.degraded(_("The name in SITE_URL, %(url)s, has no address."), port, **facts)
    except (httpx.HTTPError, outbound.ForbiddenAddress, ssl.SSLError) as error:
        facts["why"] = type(error).__name__
        return parts.degraded(_("SITE_URL, %(url)s, does not answer from here (%(why)s)."), port, **facts)
    except ValueError:
        is_portal = False
    if not is_portal:
        return parts.degraded(_("Another program answers at SITE_URL, %(url)s."), port, **facts)
    return None
