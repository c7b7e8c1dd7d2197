"""Users with a second factor, and the codes of their app."""

import time

from django_otp.oath import TOTP

from accounts.models import TotpDevice
from accounts.second_factors import recovery_codes, totp
from config.outside import sealing


def give_app(user):
    """Give the user an authenticator app that has shown no code yet, and ten recovery codes; returns the codes."""
    TotpDevice.objects.update_or_create(user=user, defaults={"secret": totp.new_secret(), "last_step": 0})
    return recovery_codes.replace(user)


def code_of(user, *, steps=0):
    """The code that the user's app shows `steps` half minutes from now; a negative number is in the past."""
    return code_for(TotpDevice.objects.get(user=user).secret, steps=steps)


def code_for(sealed, *, steps=0):
    """The code that an app with this sealed secret shows."""
    clock = TOTP(sealing.unseal(totp.PURPOSE, sealed), drift=steps)
    clock.time = time.time()
    return f"{clock.token():06d}"


def wrong_code(user):
    """Six digits that differ from all codes of the user's app around now."""
    near = {code_of(user, steps=step) for step in range(-3, 4)}
    return next(f"{n:06d}" for n in range(20) if f"{n:06d}" not in near)
