"""The number of unread notices, for open pages. Each page asks every half minute; the answer comes from the cache.

A page has a signed token that only reads this number, so a request needs no session and no query. The token holds a
digest of the password's state, as sessions do: a new password ends it.
"""

import uuid

from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.db import transaction
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.urls import resolve
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import Notification, User

SALT = "accounts.live"
PATH = "/notifications/live"
COUNT_SECONDS = 15 * 60
VERSION_SECONDS = 24 * 3600


def token_of(user):
    """The token with which a page of `user` asks for their count."""
    return signing.dumps([user.pk.hex, _state(user)], salt=SALT)


def _state(user):
    return salted_hmac(SALT, user.get_session_auth_hash(), algorithm="sha256").hexdigest()[:16]


def mark_of(notice):
    """A text that changes when another notice becomes the newest, or the newest is updated; "" without a notice."""
    return f"{notice.pk.hex}.{int(notice.created_at.timestamp() * 1000)}" if notice else ""


def forget_after_commit(user_ids):
    """Invalidate the cached counts of these users after the commit of this transaction."""
    versions = {_version_key(user_id): uuid.uuid4().hex for user_id in user_ids}
    if versions:
        transaction.on_commit(lambda: cache.set_many(versions, VERSION_SECONDS), robust=True)


def _version_key(user_id):
    return f"notices-version:{uuid.UUID(str(user_id)).hex}"


def counted(user_id, state=None):
    """(state, unread, newest) of an active user, or None. It reads the cache, and the database if that has no answer.

    If the cached count has another password `state` than the token, it asks the database: only the row tells which of
    the two is old.

    The cache stores each count with a version. A change of notices sets a new version after its commit. So a count that
    was read just before the commit is not taken for the present one.
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


def counted_for(token):
    """(unread, newest) of the user of `token`; None for an invalid or expired token."""
    try:
        user_id, state = signing.loads(token, salt=SALT, max_age=settings.SESSION_COOKIE_AGE)
    except signing.BadSignature:
        return None
    counts = counted(user_id, state)
    return counts[1:] if counts and constant_time_compare(counts[0], state) else None


class LiveCountMiddleware:
    """Answers PATH before the middleware for sessions, languages and users runs, which would cost queries."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path_info != PATH:
            return self.get_response(request)
        # The log and the metrics read the route from here.
        request.resolver_match = resolve(PATH)
        return request.resolver_match.func(request)
