"""People with a second factor, and what their app shows."""

import time

from django_otp.oath import TOTP

from accounts import recovery_codes, totp
from accounts.models import TotpDevice
from config import sealing


def give_app(user):
    """An authenticator app that has shown no code yet, and ten recovery codes, which are returned."""
    TotpDevice.objects.update_or_create(user=user, defaults={"secret": totp.new_secret(), "last_step": 0})
    return recovery_codes.replace(user)


def code_of(user, *, steps=0):
    """What the user's app shows, or showed so many steps of half a minute ago (negative) or hence."""
    return code_for(TotpDevice.objects.get(user=user).secret, steps=steps)


def code_for(sealed, *, steps=0):
    """What an app with this sealed secret shows."""
    clock = TOTP(sealing.unseal(totp.PURPOSE, sealed), drift=steps)
    clock.time = time.time()
    return f"{clock.token():06d}"


def wrong_code(user):
    """Six digits that are none of the user's codes around now."""
    near = {code_of(user, steps=step) for step in range(-3, 4)}
    return next(f"{n:06d}" for n in range(20) if f"{n:06d}" not in near)
