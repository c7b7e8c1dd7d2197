"""A lock against guessing passwords that an attacker cannot use to lock the owner out (after OWASP's device cookies).

The portal counts failed log-ins per account, from all clients together. More than LOGIN_LOCKOUT_FAILURES within
LOGIN_LOCKOUT_MINUTES lock the account: then the portal refuses even the right password from an unknown place.

A known place has a small budget of failures of its own. A known browser has a cookie and uses its own budget from the
first failure. A known IP address uses its own budget only once the account is locked, because many people may share it.

A client without a cookie gets the same answers for an e-mail address with and without an account.
"""

import math
import secrets
import time
from contextlib import contextmanager, suppress
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from accounts.contributions.actions import Action
from accounts.models import RefreshToken, Session, User
from accounts.notices import mail
from accounts.notices.notifications import notify
from audit.log import record
from config import context
from config.errors import Refused
from config.outside.queue import send_after_commit

SALT = "accounts.lockout"
COOKIE_NAME = f"{settings.COOKIE_PREFIX}device"
COOKIE_AGE = timedelta(days=180)
# A cookie holds the last few accounts, for a browser that several people share.
MOST_ACCOUNTS = 5
# Failures of a known browser in one window; after that it counts as an unknown one.
BROWSER_FAILURES = 10
# Failures of a known IP address in one window, once the account is locked.
ADDRESS_FAILURES = 3
# An IP address is known to an account for this long after a session or a script used the account from there.
RECENT = timedelta(days=30)


class LoginLocked(Refused):
    """429 with Retry-After. It is the same with and without such an account."""

    def __init__(self, seconds):
        super().__init__(
            429,
            "login_locked",
            _(
                "Too many log-ins to this account have failed. Log in where you have done so before, "
                "set a new password by mail, or try again in %(minutes)d minutes."
            )
            % {"minutes": -(-seconds // 60)},
            retry_after=seconds,
        )


@contextmanager
def guarded(*, email, device=""):
    """Run the check of a password in this context; it counts a check that fails with 401 `invalid_credentials`.

    `device` is the browser's cookie. Raises LoginLocked (429) before the check when the account is locked. From a
    known IP address it runs the check, and raises LoginLocked only for a wrong password, until that address's budget
    is used up.

    It counts before the check and takes the count back after a right password. Otherwise many requests at once could
    each make a guess before the first one counts.
    """
    if not settings.RATELIMIT_ENABLE:
        yield
        return
    account, locked = _digest(email), False
    browser = _known_browser(email, device)
    counter = None if browser is None else _counter(account, f"device:{browser}")
    if counter is None or _count(counter) > BROWSER_FAILURES:
        counter = _counter(account)
        locked = _count(counter) > settings.LOGIN_LOCKOUT_FAILURES
    if locked:
        _lock(account, email)
        address = context.current().address
        counter = _counter(account, f"address:{address}")
        if not _is_known(account, email, address) or _count(counter) > ADDRESS_FAILURES:
            raise LoginLocked(_seconds_left())
    try:
        yield
    except BaseException as error:
        if getattr(error, "code", "") != "invalid_credentials":
            # Count only wrong passwords; other errors, such as a lost database, are not guesses.
            _take_back(counter)
        elif locked:
            # Give the answer that unknown places get. A 401 here would tell other people at this IP address
            # that the account exists.
            raise LoginLocked(_seconds_left()) from None
        raise
    _take_back(counter)


def lift(email, *, address):
    """Unlock the account, and make the IP `address` known to it: its user has just proved to own the mailbox."""
    account = _digest(email)
    cache.delete_many([_counter(account), _counter(account, "told")])
    if address:
        cache.delete(_counter(account, f"address:{address}"))
        cache.set(f"login-known:{account}:{address}", 1, settings.LOGIN_LOCKOUT_SECONDS)


# --- The account ------------------------------------------------------------------------------------


def _digest(email):
    """The name of an account in the cache: a digest, so that the cache holds no e-mail addresses."""
    return salted_hmac(SALT, email.strip().lower(), algorithm="sha256").hexdigest()[:40]


def _counter(account, place=""):
    """The cache key of the failures in this window.

    It holds the number of the window, so the next window starts at zero even if the cache loses the key's expiry.
    """
    return f"login-failures:{account}:{place}:{int(time.time() // settings.LOGIN_LOCKOUT_SECONDS)}"


def _count(key):
    # Expire after the window ends, so that the key does not expire between add() and incr().
    if cache.add(key, 1, settings.LOGIN_LOCKOUT_SECONDS + 60):
        return 1
    try:
        return cache.incr(key)
    except ValueError:
        # The cache was full and dropped the key between add() and incr().
        cache.add(key, 1, settings.LOGIN_LOCKOUT_SECONDS + 60)
        return 1


def _take_back(key):
    # A full cache may have dropped the key.
    with suppress(ValueError):
        cache.decr(key)


def _seconds_left():
    return max(1, math.ceil(settings.LOGIN_LOCKOUT_SECONDS - time.time() % settings.LOGIN_LOCKOUT_SECONDS))


def _lock(account, email):
    """Record the lock and e-mail the owner, once in a window.

    Write the same rows for an address without an account, so that the time of the answer does not tell them apart.
    """
    told = _counter(account, "told")
    if not cache.add(told, 1, settings.LOGIN_LOCKOUT_SECONDS):
        return
    email = email.strip().lower()
    try:
        with transaction.atomic():
            user = User.objects.filter(email=email).first()
            record(Action.LOGIN_LOCKED, user=user, email=email, failures=settings.LOGIN_LOCKOUT_FAILURES)
            user_id = str(user.pk) if user is not None and user.is_active else None
            mail.post("login_locked", to=email[:254], user_id=user_id)
            # Write the notice in the background. Here it would take time only for an account, and so reveal it.
            send_after_commit("accounts.tasks.tell_of_lock", user_id=user_id)
    except BaseException:
        cache.delete(told)
        raise


def tell_owner(*, user_id):
    """Notify the owner of a locked account on the pages too, besides the e-mail; an unread notice is updated."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is not None:
        notify(user, "security_changed", about="login_locked", what="login_locked")


# --- The place --------------------------------------------------------------------------------------


def _is_known(account, email, address):
    """True when the account was used from this IP address lately, or its password was reset from there."""
    if address is None:
        return False
    if cache.get(f"login-known:{account}:{address}") is not None:
        return True
    since, owner = timezone.now() - RECENT, {"user__email": email.strip().lower(), "address": address}
    sessions = Session.objects.filter(**owner, seen_at__gte=since).values("pk")[:1]
    families = RefreshToken.objects.filter(**owner, created_at__gte=since).values("pk")[:1]
    return sessions.exists() or families.exists()


def _known_browser(email, device):
    """The nonce that the cookie `device` holds for the account of `email`, or None when the cookie does not name it."""
    pairs = _read(device)
    if pairs:
        user_id = User.objects.filter(email=email.strip().lower()).values_list("pk", flat=True).first()
        own = _names(user_id) if user_id else []
        for known, nonce in pairs:
            if any(constant_time_compare(known, name) for name in own):
                return nonce
    return None


def _names(user_id):
    """The names of an account in cookies: the one under the present SECRET_KEY, then those under former keys.

    They come from the user's id, so a change of the e-mail address keeps the browsers known.
    """
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [salted_hmac(SALT, str(user_id), secret=key, algorithm="sha256").hexdigest()[:40] for key in keys]


def _read(cookie):
    """[(account, nonce), …] of a cookie that we signed; an empty list for any other text."""
    try:
        pairs = signing.loads(str(cookie)[:4000], salt=SALT, max_age=COOKIE_AGE)
        return [(str(account), str(nonce)) for account, nonce in pairs]
    except (signing.BadSignature, TypeError, ValueError):
        return []


def knows(request, user):
    """True when this account was used in the browser of `request` before."""
    names = _names(user.pk)
    return any(account in names for account, _nonce in _read(request.COOKIES.get(COOKIE_NAME, "")))


def remember(request, user):
    """Make the browser of `request` known to this account; DeviceMiddleware sets the cookie."""
    names = _names(user.pk)
    others = [pair for pair in _read(request.COOKIES.get(COOKIE_NAME, "")) if pair[0] not in names]
    pairs = [(names[0], secrets.token_urlsafe(12)), *others][:MOST_ACCOUNTS]
    request.device_to_remember = signing.dumps(pairs, salt=SALT)


class DeviceMiddleware:
    """Sets the device cookie after `remember`."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        device = getattr(request, "device_to_remember", "")
        if device:
            response.set_cookie(
                COOKIE_NAME,
                device,
                max_age=COOKIE_AGE,
                path=settings.COOKIE_PATH,
                secure=settings.SITE_IS_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response
