"""Named rate limits, one limiter for pages and API (django-ratelimit counts in the cache).

The names and rates are settings.RATE_LIMITS: "10/m", "5/h" …; RATELIMIT_ENABLE=0 switches all off.
"""

import hashlib

from django.conf import settings
from django.utils.translation import gettext as _
from django_ratelimit.core import get_usage

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


def throttle(request, name, *, account=None):
    """Count one request against the limit `name`; raises Throttled when it is used up.

    Counted per signed-in user, else per client address. With `account` (log-in, reset) counted
    per address and account together, so that guessing at one account never locks out its owner
    elsewhere.
    """
    if not settings.RATELIMIT_ENABLE:
        return
    user = getattr(request, "user", None)
    who = f"user:{user.pk}" if user is not None and user.is_authenticated else f"address:{request.client_address}"
    if account is not None:
        who = f"address:{request.client_address}:{hashlib.sha256(account.strip().lower().encode()).hexdigest()}"
    usage = get_usage(
        request,
        group=f"portal.{name}",
        key=lambda group, request: who,
        rate=settings.RATE_LIMITS[name],
        increment=True,
    )
    if usage and usage["should_limit"]:
        # The window's last second still counts to it.
        raise Throttled(max(0, usage["time_left"]) + 1)
