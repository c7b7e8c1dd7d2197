"""The number of unread notices, for the script of open pages."""

from django.db import DatabaseError
from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from accounts.notices import live_count


@require_safe
def live(request):
    """{unread, newest} of the user of the X-Notices-Token; 304 when nothing changed, 401 for an invalid token."""
    try:
        counts = live_count.counted_for(request.headers.get("X-Notices-Token", ""))
    except (DatabaseError, RedisError, OSError):
        response = _refused(503, "unavailable")
        response["Retry-After"] = "60"
        return response
    if counts is None:
        return _refused(401, "not_authenticated")
    unread, newest = counts
    etag = f'"{unread}.{newest}"'
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponse(status=304)
    else:
        response = JsonResponse({"unread": unread, "newest": newest})
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-store"
    return response


def _refused(status, code):
    response = JsonResponse({"detail": "Reload the page.", "code": code}, status=status)
    response["Cache-Control"] = "private, no-store"
    return response
