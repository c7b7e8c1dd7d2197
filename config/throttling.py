"""Named rate limits, one limiter for pages and API (django-ratelimit counts in the cache).

The names and rates are settings.RATE_LIMITS: "10/m", "5/h" …; RATELIMIT_ENABLE=0 switches all off.
"""

import hashlib
import ipaddress

from django.conf import settings
from django.utils.translation import gettext as _
from django_ratelimit.core import get_usage
from redis.exceptions import RedisError

from .errors import Refused


class Throttled(Refused):
    """429 with Retry-After."""

    def __init__(self, seconds):
        super().__init__(
            429,
            "throttled",
            _("Too many requests. Try again in %(seconds)d seconds.") % {"seconds": seconds},
            retry_after=seconds,
        )


def throttle(request, name, *, account=None, everybody=None, times=1, strict=True):
    """Count one request, or `times` of what it asks for, against the limit `name`; raises Throttled when that is
    used up.

    Counted per signed-in user, else per client address. With `account` (log-in, reset) counted
    per address and account together, so that guessing at one account never locks out its owner
    elsewhere. With `everybody` counted for that thing, whoever asks.

    A cache that does not answer raises its RedisError; with `strict` off the request goes on uncounted: for
    a limit that spares work and stops no guessing.
    """
    user = getattr(request, "user", None)
    who = f"address:{network_of(request.client_address)}"
    if account is not None:
        who = f"{who}:{_digest(account)}"
    elif everybody is not None:
        who = f"everybody:{_digest(everybody)}"
    elif user is not None and user.is_authenticated:
        who = f"user:{user.pk}"
    for _time in range(times):
        try:
            seconds = _use(name, who, settings.RATE_LIMITS[name])
        except RedisError:
            if strict:
                raise
            return
        if seconds:
            raise Throttled(seconds)


def is_used_up(name, account, *, rate=None, strict=True):
    """Count one against the limit `name` of an account, from wherever it comes; True beyond it.

    With `rate` against that one ("20/m"), which is none of the settings'. A cache that does not answer raises its
    RedisError; with `strict` off the limit is as good as used up: for work that nobody misses.
    """
    try:
        return bool(_use(name, f"account:{_digest(account)}", rate or settings.RATE_LIMITS[name]))
    except RedisError:
        if strict:
            raise
        return True


def _use(name, who, rate):
    """Count one; the seconds until there is another, 0 while there is one now."""
    if not settings.RATELIMIT_ENABLE:
        return 0
    usage = get_usage(
        None,
        group=f"portal.{name}",
        key=lambda group, request: who,
        rate=rate,
        increment=True,
    )
    # The window's last second still counts to it.
    return max(0, usage["time_left"]) + 1 if usage and usage["should_limit"] else 0


def _digest(text):
    return hashlib.sha256(text.strip().lower().encode()).hexdigest()


def network_of(address):
    """What one customer of a provider has: of IPv6 a /64, from which anybody can take a new address each time."""
    found = ipaddress.ip_address(address) if address else None
    if found is None or found.version == 4:
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found.packed[:8] + bytes(8), 64)))
