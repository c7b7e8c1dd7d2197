"""Is the process alive, and can it work: two addresses for whoever watches over it."""

import logging

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request):
    """200 while the process answers."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request):
    """200 when database, cache and store answer, else 503; each with its verdict."""
    verdicts = {"database": _works(_database), "cache": _works(_cache), "store": _works(_store)}
    ready = all(verdict == "ok" for verdict in verdicts.values())
    return JsonResponse({"status": "ok" if ready else "unavailable", **verdicts}, status=200 if ready else 503)


def _works(check):
    try:
        check()
    except (DatabaseError, OSError, RedisError) as error:
        logger.warning("Not ready: %s", type(error).__name__)
        return "unavailable"
    return "ok"


def _database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _cache():
    cache.get("readyz")


def _store():
    if settings.STORAGE == "local":
        settings.DATA_DIR.stat()
