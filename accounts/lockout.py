"""A lock on guessing that an outsider cannot turn against the owner (after OWASP's device cookies).

Failed log-ins are counted per account, from wherever they come. Beyond LOGIN_LOCKOUT_FAILURES within
LOGIN_LOCKOUT_MINUTES nobody gets in from a place the account does not know, whatever the password; a place it
knows goes on with a small budget of its own: a browser, known by its cookie, from the first failure; an address,
which many may share, only once the account is locked. Whoever has no cookie sees no other answers for an address
without an account.
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

from audit.log import record
from audit.models import Action
from config import context
from config.errors import Refused
from config.queue import send_after_commit

from . import mail
from .models import RefreshToken, Session, User
from .notifications import notify

SALT = "accounts.lockout"
COOKIE_NAME = "__Host-device" if settings.SITE_IS_SECURE else "device"
COOKIE_AGE = timedelta(days=180)
# A browser that several people share knows the last of them.
MOST_ACCOUNTS = 5
# So many failures in a window an account forgives a browser it knows; then that is like any other.
BROWSER_FAILURES = 10
# And so many, once it is locked, an address it knows.
ADDRESS_FAILURES = 3
# A script that logged in within this time did so from a place its account knows.
RECENT = timedelta(days=30)


class LoginLocked(Refused):
    """429 with Retry-After, the same whether or not there is such an account."""

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
    """Around the proof of a password: one that fails with 401 `invalid_credentials` is counted.

    `device` is the cookie of the browser. Raises LoginLocked (429) before anything is proved, at an address that a
    locked account knows only for a proof that fails. Counted on the way in and taken back for a right password, so
    that many at once get no guess more than one after another.
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
            # Nor is a database that is away a guess.
            _take_back(counter)
        elif locked:
            # The same as elsewhere: it tells nobody at the owner's address that there is such an account.
            raise LoginLocked(_seconds_left()) from None
        raise
    _take_back(counter)


def lift(email, *, address):
    """Let everybody try again; the owner, who has just proved to read the mailbox, from this `address` in any case."""
    account = _digest(email)
    cache.delete_many([_counter(account), _counter(account, "told")])
    if address:
        cache.delete(_counter(account, f"address:{address}"))
        cache.set(f"login-known:{account}:{address}", 1, settings.LOGIN_LOCKOUT_SECONDS)


# --- The account ------------------------------------------------------------------------------------


def _digest(email):
    """What the cache calls an account, whether or not there is one: nobody reads addresses there."""
    return salted_hmac(SALT, email.strip().lower(), algorithm="sha256").hexdigest()[:40]


def _counter(account, place=""):
    """The key of this window's failures: with the window over nobody asks it, though it lost its expiry."""
    return f"login-failures:{account}:{place}:{int(time.time() // settings.LOGIN_LOCKOUT_SECONDS)}"


def _count(key):
    # Longer than its window, so that it does not end between two steps of the cache.
    if cache.add(key, 1, settings.LOGIN_LOCKOUT_SECONDS + 60):
        return 1
    try:
        return cache.incr(key)
    except ValueError:
        # Thrown out of a full cache between the two.
        cache.add(key, 1, settings.LOGIN_LOCKOUT_SECONDS + 60)
        return 1


def _take_back(key):
    # A cache that was full may have thrown it out.
    with suppress(ValueError):
        cache.decr(key)


def _seconds_left():
    return max(1, math.ceil(settings.LOGIN_LOCKOUT_SECONDS - time.time() % settings.LOGIN_LOCKOUT_SECONDS))


def _lock(account, email):
    """Record it and write to the owner, once in a window; for an address without an account the same rows."""
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
            # A notice written here would take its time for an account alone, and tell that there is one.
            send_after_commit("accounts.tasks.tell_of_lock", user_id=user_id)
    except BaseException:
        cache.delete(told)
        raise


def tell_owner(*, user_id):
    """Leave the owner of a locked account a notice besides the letter; an unread one is told anew."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is not None:
        notify(user, "security_changed", about="login_locked", what="login_locked")


# --- The place --------------------------------------------------------------------------------------


def _is_known(account, email, address):
    """Has somebody with the right password been at this address, or set a new one from it?"""
    if address is None:
        return False
    if cache.get(f"login-known:{account}:{address}") is not None:
        return True
    since, owner = timezone.now() - RECENT, {"user__email": email.strip().lower(), "address": address}
    sessions = Session.objects.filter(**owner, seen_at__gte=since).values("pk")[:1]
    families = RefreshToken.objects.filter(**owner, created_at__gte=since).values("pk")[:1]
    return sessions.exists() or families.exists()


def _known_browser(email, device):
    """The random name that the account of `email` gave the browser with this cookie, or None."""
    pairs = _read(device)
    if pairs:
        user_id = User.objects.filter(email=email.strip().lower()).values_list("pk", flat=True).first()
        own = _names(user_id) if user_id else []
        for known, nonce in pairs:
            if any(constant_time_compare(known, name) for name in own):
                return nonce
    return None


def _names(user_id):
    """What a cookie calls an account, whatever its address is meanwhile: the name of today, then those that former
    keys gave it."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [salted_hmac(SALT, str(user_id), secret=key, algorithm="sha256").hexdigest()[:40] for key in keys]


def _read(cookie):
    """[(account, nonce), …] of a cookie of ours; of anything else none."""
    try:
        pairs = signing.loads(str(cookie)[:4000], salt=SALT, max_age=COOKIE_AGE)
        return [(str(account), str(nonce)) for account, nonce in pairs]
    except (signing.BadSignature, TypeError, ValueError):
        return []


def knows(request, user):
    """True when the browser of `request` was remembered for this account: a log-in from it is nothing new."""
    names = _names(user.pk)
    return any(account in names for account, _nonce in _read(request.COOKIES.get(COOKIE_NAME, "")))


def remember(request, user):
    """Let the browser of `request` be known to this account from now on."""
    names = _names(user.pk)
    others = [pair for pair in _read(request.COOKIES.get(COOKIE_NAME, "")) if pair[0] not in names]
    pairs = [(names[0], secrets.token_urlsafe(12)), *others][:MOST_ACCOUNTS]
    request.device_to_remember = signing.dumps(pairs, salt=SALT)


class DeviceMiddleware:
    """Puts what a log-in remembered into a cookie."""

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
                secure=settings.SITE_IS_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response
