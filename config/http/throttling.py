"""Named rate limits for pages and API (django-ratelimit counts in the cache).

Each app registers its limits, "10/m", "5/h" …, by RATES.add_all. RATE_<NAME> in the environment overrides one;
RATELIMIT_ENABLE=0 switches all off.
"""

import hashlib
import ipaddress

from django.conf import settings
from django.utils.translation import gettext as _
from django_ratelimit.core import get_usage
from redis.exceptions import RedisError

from config.contributions.registry import Registry
from config.errors import Refused

RATES = Registry("rate limit")


def rate_of(name):
    """The rate of a limit: the environment's, else its app's. Raises KeyError for an unknown name."""
    usual = RATES[name]
    return settings.RATE_LIMITS.get(name, usual)


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
    """Count one request, or `times` requests, against the limit `name`. Raises Throttled beyond the limit.

    Counts per signed-in user, else per client address. With `account` (log-in, reset) counts per address and account
    together, so that an attacker who guesses at an account does not lock out its owner elsewhere. With `everybody`
    counts all callers together for that thing.

    A cache that does not answer raises its RedisError. With `strict=False` the request continues uncounted: use it for
    limits that only save work and do not stop guessing.
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
            seconds = _use(name, who, rate_of(name))
        except RedisError:
            if strict:
                raise
            return
        if seconds:
            raise Throttled(seconds)


def is_used_up(name, account, *, rate=None, strict=True):
    """Count one against the limit `name` of an account, for all addresses together; True beyond the limit.

    `rate` ("20/m") replaces the configured rate. A cache that does not answer raises its RedisError; with
    `strict=False` it counts as beyond the limit: use it for work that can be left out.
    """
    try:
        return bool(_use(name, f"account:{_digest(account)}", rate or rate_of(name)))
    except RedisError:
        if strict:
            raise
        return True


def _use(name, who, rate):
    """Count one. Returns 0 within the limit, else the seconds to wait."""
    if not settings.RATELIMIT_ENABLE:
        return 0
    usage = get_usage(
        None,
        group=f"portal.{name}",
        key=lambda group, request: who,
        rate=rate,
        increment=True,
    )
    # The window includes its last second, so wait one second more.
    return max(0, usage["time_left"]) + 1 if usage and usage["should_limit"] else 0


def _digest(text):
    return hashlib.sha256(text.strip().lower().encode()).hexdigest()


def network_of(address):
    """The address to count by; for IPv6 its /64 network, since a client can take a new address in it each time."""
    found = ipaddress.ip_address(address) if address else None
    if found is None or found.version == 4:
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found.packed[:8] + bytes(8), 64)))
