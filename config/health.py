"""Is the process alive, and can it work: two addresses for whoever watches over it."""

import logging
import threading
import time

from django.conf import settings
from django.core.cache import cache
from django.core.files.storage import storages
from django.db import DatabaseError, connection
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import Redis
from redis.exceptions import RedisError

from . import embedded, metrics
from .errors import Refused

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 2
"""So long /readyz waits for all of them together; who has not answered by then is unavailable."""
KEPT_SECONDS = 1
"""So long a process goes on saying what it found: whoever asks all day costs the services one question a second."""


@never_cache
@require_safe
def healthz(request):
    """200 while the process answers."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request):
    """Database, cache, broker and store, each with its verdict, within PATIENCE_SECONDS: 503 without a database,
    else 200, "degraded" without another. At most KEPT_SECONDS old; while they are asked, others get what is known.

    A portal whose store is down still signs people in and shows their lists, so a balancer that asks
    here goes on sending them; whoever watches reads the verdicts.
    """
    verdicts = READINESS.verdicts()
    if verdicts["database"] != "ok":
        status = "unavailable"
    else:
        status = "ok" if set(verdicts.values()) == {"ok"} else "degraded"
    return JsonResponse({"status": status, **verdicts}, status=503 if status == "unavailable" else 200)


class ProbesMiddleware:
    """Answers them under any Host: a container's watcher asks an address, not a name.

    /metrics too, for those who may read it; everybody else is told, further on, that there is nothing.
    """

    VIEWS = {"/healthz": healthz, "/readyz": readyz}

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path_info == "/metrics" and metrics.may_read(request):
            return metrics.metrics(request)
        return self.VIEWS.get(request.path_info, self.get_response)(request)


class Readiness:
    """The verdicts on all services: one request at a time asks for them, and holds its thread while one hangs."""

    def __init__(self):
        self._lock = threading.Lock()
        self.forget()

    def verdicts(self):
        """{name: "ok" or "unavailable"}."""
        if time.monotonic() >= self._until and self._lock.acquire(blocking=self._known is None):
            try:
                if time.monotonic() >= self._until:
                    self._known = _ask_all()
                    self._until = time.monotonic() + KEPT_SECONDS
            finally:
                self._lock.release()
        return self._known

    def forget(self):
        """Ask anew the next time."""
        self._known, self._until = None, 0.0


def _ask_all():
    end = time.monotonic() + PATIENCE_SECONDS
    under_way = {name: check.begin() for name, check in CHECKS.items()}
    return {name: run.verdict(end - time.monotonic()) for name, run in under_way.items()}


class Check:
    """Asks one service, in a thread of its own and never twice at a time: one that hangs costs one thread,
    however often somebody asks meanwhile, and those wait for the same answer."""

    def __init__(self, name, ask):
        self.name, self.ask = name, ask
        self._lock = threading.Lock()
        self._run = None

    def begin(self):
        """The run that is under way, or a new one."""
        with self._lock:
            if self._run is None or self._run.done.is_set():
                self._run = _Run(self)
                # A daemon, so that a service that hangs does not keep the process from ending.
                threading.Thread(target=self._run.go, name=f"ready-{self.name}", daemon=True).start()
            return self._run


class _Run:
    def __init__(self, check):
        self.check, self.done, self.error = check, threading.Event(), None

    def go(self):
        try:
            self.check.ask()
        except Exception as error:  # noqa: BLE001 - told to the thread that waits, which knows which are faults
            self.error = error
        finally:
            self.done.set()

    def verdict(self, seconds):
        """ "ok" or "unavailable", within that time; a fault of ours is raised here."""
        answered = self.done.wait(max(0, seconds))
        if answered and self.error is None:
            return "ok"
        if answered and not isinstance(self.error, DatabaseError | OSError | RedisError | Refused):
            raise self.error
        why = type(self.error).__name__ if answered else "no answer"
        logger.warning("Not ready: %s (%s)", self.check.name, why)
        return "unavailable"


def _database():
    # This thread's own connection, of which nothing is kept.
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


def _cache():
    cache.get("readyz")


def _broker():
    if not embedded.wanted():
        seconds = {"socket_connect_timeout": 1, "socket_timeout": 1}
        with Redis.from_url(settings.CELERY_BROKER_URL, **seconds) as broker:
            broker.ping()


def _store():
    if settings.STORAGE == "s3":
        storages["default"].ping()
    else:
        settings.DATA_DIR.stat()


CHECKS = {
    name: Check(name, ask)
    for name, ask in {"database": _database, "cache": _cache, "broker": _broker, "store": _store}.items()
}
READINESS = Readiness()
