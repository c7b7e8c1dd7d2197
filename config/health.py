"""Is the process alive, and can it work: two addresses for whoever watches over it."""

import logging

from django.conf import settings
from django.core.cache import cache
from django.core.files.storage import storages
from django.db import DatabaseError, connection
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from .errors import Refused

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request):
    """200 while the process answers."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request):
    """Database, cache and store, each with its verdict: 503 without a database, else 200, "degraded" without another.

    A portal whose store is down still signs people in and shows their lists, so a balancer that asks
    here goes on sending them; whoever watches reads the verdicts.
    """
    verdicts = {"database": _works(_database), "cache": _works(_cache), "store": _works(_store)}
    if verdicts["database"] != "ok":
        status = "unavailable"
    else:
        status = "ok" if set(verdicts.values()) == {"ok"} else "degraded"
    return JsonResponse({"status": status, **verdicts}, status=503 if status == "unavailable" else 200)


class ProbesMiddleware:
    """Answers the two under any Host: a container's watcher asks an address, not a name."""

    VIEWS = {"/healthz": healthz, "/readyz": readyz}

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.VIEWS.get(request.path_info, self.get_response)(request)


def _works(check):
    try:
        check()
    except (DatabaseError, OSError, RedisError, Refused) as error:
        logger.warning("Not ready: %s", type(error).__name__)
        return "unavailable"
    return "ok"


def _database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _cache():
    cache.get("readyz")


def _store():
    if settings.STORAGE == "s3":
        storages["default"].ping()
    else:
        settings.DATA_DIR.stat()
