"""Passkeys (WebAuthn): keys for this portal on a phone, a computer or a security key.

The browser's session stores the challenge. A challenge works once, within five minutes, for one purpose. The expected
site and origin come from SITE_URL, never from the request. The portal does not ask for attestation, the
authenticator's statement about its maker.
"""

import ipaddress
import json
import re
import secrets
import time
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Passkey
from config.errors import Refused
from config.lazy import LazyModule

from . import proofs

webauthn, structs = LazyModule("webauthn"), LazyModule("webauthn.helpers.structs")

KEY = "passkey-challenge"
REGISTER, LOGIN, SECOND_STEP, CONFIRM = "register", "login", "second-step", "confirm"
PURPOSES = (REGISTER, LOGIN, SECOND_STEP, CONFIRM)
CHALLENGE_SECONDS = 300
MAX_CREDENTIAL_LENGTH = 20_000
MAX_PUBLIC_KEY_BYTES = 2000
CREDENTIAL_ID = re.compile(r"[A-Za-z0-9_-]{1,1400}")


class PasskeyRefused(Refused):
    """400 for a new passkey, 401 at log-in: the signature, the site or the challenge is wrong."""

    def __init__(self, status=401):
        super().__init__(status, "passkey_invalid", _("That passkey did not work here. Try again, or use another way."))


class PasskeyCopied(PasskeyRefused):
    """401: the passkey's use count did not grow, so the passkey may be a copy."""


def site():
    """The host that passkeys are for (the relying party's id), from SITE_URL."""
    return urlsplit(settings.SITE_URL).hostname


def origin():
    """The only origin that is accepted, from SITE_URL."""
    parts = urlsplit(settings.SITE_URL)
    return f"{parts.scheme}://{parts.netloc}".lower()


def are_possible():
    """False when SITE_URL has an IP address instead of a name: there browsers offer no passkeys."""
    try:
        ipaddress.ip_address(site().strip("[]"))
    except ValueError:
        return True
    return False


def user_handle(user):
    """The id by which an authenticator tells accounts apart. It contains no name or address."""
    return user.pk.bytes


# --- Challenges -------------------------------------------------------------------------------------


def _challenge(session, purpose, user):
    challenge = secrets.token_bytes(32)
    session[KEY] = {
        "challenge": webauthn.helpers.bytes_to_base64url(challenge),
        "purpose": purpose,
        "user": str(user.pk) if user else "",
        "at": int(time.time()),
    }
    return challenge


def take_challenge(session, purpose, user=None):
    """Take the challenge out of this browser's session. It must have been made for this purpose and user.

    Raises PasskeyRefused: 400 to register a passkey, else 401.
    """
    status = 400 if purpose == REGISTER else 401
    facts = session.pop(KEY, None)
    if (
        not facts
        or facts["purpose"] != purpose
        or facts["user"] != (str(user.pk) if user else "")
        or time.time() - facts["at"] > CHALLENGE_SECONDS
        # Of two answers at once, accept one: both may have read the challenge from the session.
        or not proofs.spend(f"passkey:{facts['challenge']}", lifetime=CHALLENGE_SECONDS)
    ):
        raise PasskeyRefused(status)
    return webauthn.helpers.base64url_to_bytes(facts["challenge"])


def registration_options(session, user):
    """Options for the browser's dialog that makes a passkey for `user`, as JSON."""
    return webauthn.options_to_json(
        webauthn.generate_registration_options(
            rp_id=site(),
            rp_name=settings.SITE_NAME,
            user_id=user_handle(user),
            user_name=user.email,
            user_display_name=user.get_full_name(),
            challenge=_challenge(session, REGISTER, user),
            timeout=CHALLENGE_SECONDS * 1000,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.PREFERRED,
                user_verification=structs.UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=_descriptors(user),
        )
    )


def assertion_options(session, purpose, user=None):
    """Options for the browser's dialog that uses a passkey, as JSON.

    With `user`, it must be one of their passkeys. Without, it may be any passkey for this portal, and the authenticator
    must verify its owner.
    """
    verification = (
        structs.UserVerificationRequirement.PREFERRED if user else structs.UserVerificationRequirement.REQUIRED
    )
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
        structs.PublicKeyCredentialDescriptor(id=webauthn.helpers.base64url_to_bytes(credential_id))
        for credential_id in user.passkeys.values_list("credential_id", flat=True)
    ]


# --- Answers ----------------------------------------------------------------------------------------


def verify_new(credential, challenge):
    """(credential id, public key, sign count) of a new passkey. Raises PasskeyRefused (400)."""
    try:
        made = webauthn.verify_registration_response(
            credential=_parsed(credential),
            expected_challenge=challenge,
            expected_rp_id=site(),
            expected_origin=origin(),
        )
    except Exception:  # noqa: BLE001 - the library raises many errors for made-up bytes; each means no
        raise PasskeyRefused(400) from None
    credential_id = webauthn.helpers.bytes_to_base64url(made.credential_id)
    if not CREDENTIAL_ID.fullmatch(credential_id) or len(made.credential_public_key) > MAX_PUBLIC_KEY_BYTES:
        raise PasskeyRefused(400)
    return credential_id, made.credential_public_key, made.sign_count


def use(credential, challenge, *, user=None):
    """The Passkey that answered the challenge; store its use. Raises PasskeyRefused or PasskeyCopied (401).

    With `user`, the passkey must be theirs. Without, the authenticator must have verified its owner by PIN, finger or
    face, because the passkey then replaces the password too.
    """
    try:
        facts = _parsed(credential)
        if not CREDENTIAL_ID.fullmatch(facts["id"]):
            raise PasskeyRefused
        handle = facts["response"].get("userHandle")
        handle = webauthn.helpers.base64url_to_bytes(handle) if handle else None
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
            # Compared below, in the database, after the signature is verified.
            credential_current_sign_count=0,
            require_user_verification=user is None,
        )
    except Exception:  # noqa: BLE001 - the library raises many errors for made-up bytes; each means no
        raise PasskeyRefused from None
    count = answer.new_sign_count
    # Many authenticators do not count their uses and always send 0.
    forward = Q(sign_count__lt=count) if count else Q(sign_count=0)
    if not Passkey.objects.filter(forward, pk=passkey.pk).update(sign_count=count, used_at=timezone.now()):
        raise PasskeyCopied
    return passkey


def id_in(credential):
    """The credential id in a credential that `use` has parsed before."""
    return _parsed(credential)["id"]


def _parsed(credential):
    facts = json.loads(credential[:MAX_CREDENTIAL_LENGTH])
    if not isinstance(facts, dict):
        raise TypeError
    return facts
