"""Codes of an authenticator app (RFC 6238): six digits, a new code every thirty seconds; each works once."""

import base64
import logging
import secrets
import time
from datetime import timedelta
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from django_otp.oath import TOTP

from accounts.models import TotpDevice
from config.errors import Refused
from config.outside import sealing

logger = logging.getLogger(__name__)

PURPOSE = "totp"
SECRET_BYTES = 20
DIGITS = 6
# How many steps a phone's clock may be ahead or behind.
DRIFT = 1
FREE_GUESSES = 5
LONGEST_WAIT = timedelta(minutes=15)
FORGIVEN_AFTER = timedelta(days=1)


class TooManyGuesses(Refused):
    """429: several wrong codes in a row. Until the wait is over, no code is checked."""

    def __init__(self, seconds):
        super().__init__(
            429,
            "throttled",
            _("Too many wrong codes. Wait %(seconds)d seconds, or use another way to confirm.") % {"seconds": seconds},
            retry_after=seconds,
        )


def new_secret():
    """A new random secret, encrypted."""
    return sealing.seal(PURPOSE, secrets.token_bytes(SECRET_BYTES))


def key_text(sealed):
    """Decrypt a secret and return it as people type it: base32. Raises sealing.SealBroken."""
    return base64.b32encode(sealing.unseal(PURPOSE, sealed)).decode()


def key_uri(sealed, *, email):
    """The text of the QR code: an otpauth:// URI. Raises sealing.SealBroken."""
    # A colon ends the issuer, so its own are left out, even when they are quoted.
    issuer = " ".join(settings.SITE_NAME.replace(":", " ").split())
    label = quote(f"{issuer}:{email}", safe="")
    query = urlencode({"secret": key_text(sealed), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{label}?{query}"


def matching_step(sealed, code, *, after=0):
    """The time step of `code`, which must be newer than the step `after`; None for a wrong or used code."""
    code = "".join(str(code).split())
    if not (len(code) == DIGITS and code.isascii() and code.isdigit()):
        return None
    try:
        clock = TOTP(sealing.unseal(PURPOSE, sealed))
    except sealing.SealBroken:
        logger.error("The key of an authenticator app cannot be read: was it sealed with a key of LINK_KEYS?")
        return None
    clock.time = time.time()
    found = None
    for drift in range(-DRIFT, DRIFT + 1):
        clock.drift = drift
        if constant_time_compare(f"{clock.token():0{DIGITS}d}", code) and clock.t() > after:
            found = clock.t()
    return found


def _wait(device):
    """How long to refuse every code after wrong ones in a row, a timedelta.

    No wait for the first FREE_GUESSES - 1 wrong codes. Then one minute, doubled after each FREE_GUESSES more, up to
    LONGEST_WAIT.
    """
    if device.failures < FREE_GUESSES or device.failed_at < timezone.now() - FORGIVEN_AFTER:
        return timedelta(0)
    doublings = min(device.failures // FREE_GUESSES - 1, 10)
    return device.failed_at + min(timedelta(minutes=1) * 2**doublings, LONGEST_WAIT) - timezone.now()


def check(user, code):
    """Check a code of the user's app. Returns (right, failures in a row); each code is right once.

    It counts the wrong codes of all clients together, because a client that gets here knows the password already.
    Raises TooManyGuesses (429) without checking the code.
    """
    with transaction.atomic():
        device = TotpDevice.objects.select_for_update().filter(user=user).first()
        if device is None:
            return False, 0
        wait = _wait(device).total_seconds()
        if wait > 0:
            raise TooManyGuesses(int(wait) + 1)
        step = matching_step(device.secret, code, after=device.last_step)
        mine = TotpDevice.objects.filter(pk=device.pk)
        if step is not None and mine.filter(last_step__lt=step).update(last_step=step, failures=0, failed_at=None):
            return True, 0
        forgiven = device.failed_at is not None and device.failed_at < timezone.now() - FORGIVEN_AFTER
        failures = 1 if forgiven else device.failures + 1
        mine.update(failures=failures, failed_at=timezone.now())
        return False, failures


def reseal():
    """Encrypt again, with the newest key, up to 500 secrets that an older key encrypted. Returns how many."""
    count = 0
    for device in TotpDevice.objects.exclude(secret__startswith=sealing.mark())[:500]:
        try:
            fresh = sealing.seal(PURPOSE, sealing.unseal(PURPOSE, device.secret))
        except sealing.SealBroken:
            logger.error("The key of an authenticator app cannot be read: was it sealed with a key of LINK_KEYS?")
            continue
        # Match the old secret, so as not to overwrite an app that was set up again meanwhile.
        count += TotpDevice.objects.filter(pk=device.pk, secret=device.secret).update(secret=fresh)
    return count
