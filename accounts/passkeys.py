"""Passkeys (WebAuthn): keys that a phone, a computer or a stick holds for this very portal.

A challenge lies in the browser's session, for one purpose, five minutes, once. Which site and origin count is
what SITE_URL says, never what a request says. What an authenticator says of its maker is not asked for.
"""

import ipaddress
import json
import re
import secrets
import time
from urllib.parse import urlsplit

import webauthn
from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from config.errors import Refused

from . import proofs
from .models import Passkey

KEY = "passkey-challenge"
REGISTER, LOGIN, SECOND_STEP, CONFIRM = "register", "login", "second-step", "confirm"
PURPOSES = (REGISTER, LOGIN, SECOND_STEP, CONFIRM)
CHALLENGE_SECONDS = 300
MAX_CREDENTIAL_LENGTH = 20_000
MAX_PUBLIC_KEY_BYTES = 2000
CREDENTIAL_ID = re.compile(r"[A-Za-z0-9_-]{1,1400}")


class PasskeyRefused(Refused):
    """400 for a new one, 401 for one in use: not signed by the key, for us, or in answer to our challenge."""

    def __init__(self, status=401):
        super().__init__(status, "passkey_invalid", _("That passkey did not work here. Try again, or use another way."))


class PasskeyCopied(PasskeyRefused):
    """401: its count of uses went back, as that of a copy would."""


def site():
    """The host that passkeys are for, as SITE_URL says."""
    return urlsplit(settings.SITE_URL).hostname


def origin():
    """The one origin that counts."""
    parts = urlsplit(settings.SITE_URL)
    return f"{parts.scheme}://{parts.netloc}".lower()


def are_possible():
    """False where browsers know no passkeys: at a bare address instead of a name."""
    try:
        ipaddress.ip_address(site().strip("[]"))
    except ValueError:
        return True
    return False


def user_handle(user):
    """What an authenticator keeps to tell accounts apart; it names nobody."""
    return user.pk.bytes


# --- Challenges -------------------------------------------------------------------------------------


def _challenge(session, purpose, user):
    challenge = secrets.token_bytes(32)
    session[KEY] = {
        "challenge": bytes_to_base64url(challenge),
        "purpose": purpose,
        "user": str(user.pk) if user else "",
        "at": int(time.time()),
    }
    return challenge


def take_challenge(session, purpose, user=None):
    """The challenge of this browser, for the purpose and user it was made for; then it is gone.

    Raises PasskeyRefused.
    """
    status = 400 if purpose == REGISTER else 401
    facts = session.pop(KEY, None)
    if (
        not facts
        or facts["purpose"] != purpose
        or facts["user"] != (str(user.pk) if user else "")
        or time.time() - facts["at"] > CHALLENGE_SECONDS
        # Of two answers in one moment one counts: a session alone would let both read it.
        or not proofs.spend(f"passkey:{facts['challenge']}", lifetime=CHALLENGE_SECONDS)
    ):
        raise PasskeyRefused(status)
    return base64url_to_bytes(facts["challenge"])


def registration_options(session, user):
    """What the browser needs to make a passkey for `user`, as JSON."""
    return webauthn.options_to_json(
        webauthn.generate_registration_options(
            rp_id=site(),
            rp_name=settings.SITE_NAME,
            user_id=user_handle(user),
            user_name=user.email,
            user_display_name=user.get_full_name(),
            challenge=_challenge(session, REGISTER, user),
            timeout=CHALLENGE_SECONDS * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=_descriptors(user),
        )
    )


def assertion_options(session, purpose, user=None):
    """What the browser needs to use a passkey: one of the user's, or without `user` any it has for this portal,
    and then with its owner verified."""
    verification = UserVerificationRequirement.PREFERRED if user else UserVerificationRequirement.REQUIRED
    return webauthn.options_to_json(
        webauthn.generate_authentication_options(
            rp_id=site(),
            challenge=_challenge(session, purpose, user),
            timeout=CHALLENGE_SECONDS * 1000,
            allow_credentials=_descriptors(user) if user else [],
            user_verification=verification,
        )
    )


def _descriptors(user):
    return [
        PublicKeyCredentialDescriptor(id=base64url_to_bytes(credential_id))
        for credential_id in user.passkeys.values_list("credential_id", flat=True)
    ]


# --- Answers ----------------------------------------------------------------------------------------


def verify_new(credential, challenge):
    """(credential id, public key, sign count) of a passkey just made. Raises PasskeyRefused (400)."""
    try:
        made = webauthn.verify_registration_response(
            credential=_parsed(credential),
            expected_challenge=challenge,
            expected_rp_id=site(),
            expected_origin=origin(),
        )
    except Exception:  # noqa: BLE001 - whatever made-up bytes make the library raise, the answer is no
        raise PasskeyRefused(400) from None
    credential_id = bytes_to_base64url(made.credential_id)
    if not CREDENTIAL_ID.fullmatch(credential_id) or len(made.credential_public_key) > MAX_PUBLIC_KEY_BYTES:
        raise PasskeyRefused(400)
    return credential_id, made.credential_public_key, made.sign_count


def use(credential, challenge, *, user=None):
    """The Passkey that answered the challenge, its use noted. Raises PasskeyRefused or PasskeyCopied (401).

    With `user` it has to be theirs; without, its owner has to have been verified by PIN, finger or face, since
    it then stands for the password too.
    """
    try:
        facts = _parsed(credential)
        if not CREDENTIAL_ID.fullmatch(facts["id"]):
            raise PasskeyRefused
        handle = facts["response"].get("userHandle")
        handle = base64url_to_bytes(handle) if handle else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PasskeyRefused from None
    passkey = Passkey.objects.select_related("user").filter(credential_id=facts["id"]).first()
    if passkey is None or (user is not None and passkey.user_id != user.pk):
        raise PasskeyRefused
    if handle != user_handle(passkey.user) and (handle is not None or user is None):
        raise PasskeyRefused
    try:
        answer = webauthn.verify_authentication_response(
            credential=facts,
            expected_challenge=challenge,
            expected_rp_id=site(),
            expected_origin=origin(),
            credential_public_key=bytes(passkey.public_key),
            # Compared below, in the database, once the signature is known to be good.
            credential_current_sign_count=0,
            require_user_verification=user is None,
        )
    except Exception:  # noqa: BLE001 - whatever made-up bytes make the library raise, the answer is no
        raise PasskeyRefused from None
    count = answer.new_sign_count
    # Many authenticators do not count and always say 0.
    forward = Q(sign_count__lt=count) if count else Q(sign_count=0)
    if not Passkey.objects.filter(forward, pk=passkey.pk).update(sign_count=count, used_at=timezone.now()):
        raise PasskeyCopied
    return passkey


def id_in(credential):
    """The id that a credential `use` has looked at says it has."""
    return _parsed(credential)["id"]


def _parsed(credential):
    facts = json.loads(credential[:MAX_CREDENTIAL_LENGTH])
    if not isinstance(facts, dict):
        raise TypeError
    return facts
