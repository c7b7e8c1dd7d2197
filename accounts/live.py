"""How many notices are unread, for pages that stay open: asked every half minute by each, answered from the cache.

A page carries a signed token that is good for this number and nothing else, so neither session nor
database is touched. It bears a digest of the password's state, as sessions do: a new password ends it.
"""

import uuid

from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.db import DatabaseError, transaction
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse, JsonResponse
from django.urls import resolve
from django.utils.crypto import constant_time_compare, salted_hmac
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from .models import Notification, User

SALT = "accounts.live"
PATH = "/notifications/live"
COUNT_SECONDS = 15 * 60
VERSION_SECONDS = 24 * 3600


def token_of(user):
    """What a page of `user` shows to ask for their count."""
    return signing.dumps([user.pk.hex, _state(user)], salt=SALT)


def _state(user):
    return salted_hmac(SALT, user.get_session_auth_hash(), algorithm="sha256").hexdigest()[:16]


def mark_of(notice):
    """What differs as soon as another notice is the newest, or the same one says more."""
    return f"{notice.pk.hex}.{int(notice.created_at.timestamp() * 1000)}" if notice else ""


def forget_after_commit(user_ids):
    """Let the counts of these users be made anew, once this transaction is committed."""
    versions = {_version_key(user_id): uuid.uuid4().hex for user_id in user_ids}
    if versions:
        transaction.on_commit(lambda: cache.set_many(versions, VERSION_SECONDS), robust=True)


def _version_key(user_id):
    return f"notices-version:{uuid.UUID(str(user_id)).hex}"


def counted(user_id, state=None):
    """(state, unread, newest) of an active user, or None; from the cache, by one query where that does not know.

    A count kept under another password `state` than the asker's is made anew: which of the two is old, only the
    row can tell.

    A count is kept with the version it was made under. Whoever changes notices changes the version after
    the commit, so a count read just before is never taken for the present one.
    """
    key, version_key = f"notices:{user_id}", _version_key(user_id)
    kept = cache.get_many([key, version_key])
    version = kept.get(version_key)
    if version and key in kept and kept[key][0] == version and state in (None, kept[key][1]):
        return kept[key][1:]
    if not version:
        version = cache.get_or_set(version_key, uuid.uuid4().hex, VERSION_SECONDS)
    counts = _count(user_id)
    if counts:
        cache.set(key, (version, *counts), COUNT_SECONDS)
    return counts


def _count(user_id):
    own = Notification.objects.filter(user=OuterRef("pk"))
    unread = own.filter(is_read=False).order_by().values("user").annotate(n=Count("pk")).values("n")
    newest = own.order_by("-created_at", "-id")
    user = (
        User.objects.filter(pk=uuid.UUID(user_id), is_active=True)
        .annotate(
            unread=Coalesce(Subquery(unread), 0),
            newest_id=Subquery(newest.values("pk")[:1]),
            newest_at=Subquery(newest.values("created_at")[:1]),
        )
        .first()
    )
    if user is None:
        return None
    newest = Notification(pk=user.newest_id, created_at=user.newest_at) if user.newest_id else None
    return _state(user), user.unread, mark_of(newest)


@require_safe
def live(request):
    """{unread, newest} of the user of the X-Notices-Token; 304 while nothing changed, 401 for no token of ours."""
    try:
        user_id, state = signing.loads(
            request.headers.get("X-Notices-Token", ""), salt=SALT, max_age=settings.SESSION_COOKIE_AGE
        )
        counts = counted(user_id, state)
    except signing.BadSignature:
        return _refused(401, "not_authenticated")
    except (DatabaseError, RedisError, OSError):
        response = _refused(503, "unavailable")
        response["Retry-After"] = "60"
        return response
    if counts is None or not constant_time_compare(counts[0], state):
        return _refused(401, "not_authenticated")
    _state_now, unread, newest = counts
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


class LiveCountMiddleware:
    """Answers the one address before sessions, languages and people are looked at."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path_info != PATH:
            return self.get_response(request)
        # By which the log and the metrics know the route.
        request.resolver_match = resolve(PATH)
        return live(request)
