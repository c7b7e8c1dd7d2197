"""Races of two calls about second factors, tokens, passwords and sessions."""

import json
from datetime import timedelta

from cryptography.fernet import Fernet
from django.db import transaction
from django.utils import timezone
from webauthn.helpers import base64url_to_bytes

from accounts.credentials import api_tokens, passwords, sessions, tokens
from accounts.models import ApiToken, Passkey, Session
from accounts.notices import mailed_links
from accounts.second_factors import factors, passkeys, proofs, recovery_codes, totp
from config import context
from tests.accounts.second_factors.authenticator import Authenticator
from tests.accounts.second_factors.factors import code_for, code_of, give_app
from tests.factories import PASSWORD, UserFactory
from tests.guards.cases import loses, waits
from tests.guards.rows import EARLY, a_super, complete, text
from tests.guards.waiting import Statement

NEW_PASSWORD = f"new {PASSWORD}"


class Browser(dict):
    """A stand-in for a session: a dictionary."""

    session_key = None


# --- Second factors ---------------------------------------------------------------------------------


@waits("accounts.second_factors.factors.add_app", "list", None)
def an_app_is_added_and_removed():
    user, browser = UserFactory(), Browser()
    code = code_for(factors.pending_secret(browser))
    return (
        lambda: factors.add_app(user=user, session=browser, code=code),
        lambda: factors.remove_app(user=user),
    )


@waits("accounts.second_factors.factors._add_passkey", "list", "Conflict")
def a_passkey_is_added():
    user, credential_id = UserFactory(), text()
    return lambda: factors._add_passkey(user, Browser(), "Key", credential_id, b"key", 0)


@waits("accounts.second_factors.factors.new_codes", "list", "list")
def new_recovery_codes():
    user = UserFactory()
    give_app(user)
    return lambda: factors.new_codes(user=user)


@waits("accounts.second_factors.factors.remove_app", None, None)
def an_app_is_removed():
    user = UserFactory()
    give_app(user)
    return lambda: factors.remove_app(user=user)


@waits("accounts.second_factors.factors.remove_passkey", None, "Http404")
def a_passkey_is_removed():
    passkey = complete(Passkey)
    return lambda: factors.remove_passkey(user=passkey.user, passkey_id=passkey.pk)


@waits("accounts.second_factors.factors.remove_all", None, "Conflict")
def all_factors_are_removed():
    boss, passkey = a_super(), complete(Passkey)
    return lambda: factors.remove_all(by=boss, user_id=passkey.user_id)


@waits("accounts.second_factors.totp.check", (True, 0), (False, 1))
def a_code_of_an_app():
    user = UserFactory()
    give_app(user)
    code = code_of(user)
    return lambda: totp.check(user, code)


@loses("accounts.second_factors.totp.reseal", False, True)
def secrets_are_sealed_anew(world):
    give_app(UserFactory())
    world.settings.LINK_KEYS = [Fernet.generate_key().decode(), *world.settings.LINK_KEYS]
    return lambda: totp.reseal() > 0


@loses("accounts.second_factors.passkeys.use", "PasskeyCopied", "Passkey")
def a_passkey_and_its_copy(world):
    world.settings.SITE_URL = "http://portal.localhost:8000"
    user, browser, key = UserFactory(), Browser(), Authenticator(origin=world.settings.SITE_URL)
    made = key.create(json.loads(passkeys.registration_options(browser, user)))
    factors.register_passkey(user=user, session=browser, name="Key", credential=made)
    options = json.loads(passkeys.assertion_options(browser, passkeys.LOGIN))
    used, challenge = key.get(options), base64url_to_bytes(options["challenge"])
    return lambda: passkeys.use(used, challenge)


@loses("accounts.second_factors.recovery_codes.spend", False, True)
def a_recovery_code():
    user = UserFactory()
    code = give_app(user)[0]
    return lambda: recovery_codes.spend(user, code)


@loses("accounts.second_factors.proofs.spend", False, True, statement=Statement.INSERT)
def a_proof():
    proof = text()
    return lambda: proofs.spend(proof, lifetime=60)


# --- Log-ins ----------------------------------------------------------------------------------------


@waits("accounts.credentials.api_tokens.create", "ApiToken", "Conflict")
def one_token_too_many(world):
    world.patch(api_tokens, "MAX_LIVE", 1)
    facts = {"user": UserFactory(), "name": "x", "scopes": ["files:read"], "expires_at": timezone.now() + timedelta(1)}
    return lambda: api_tokens.create(**facts)[0]


@waits("accounts.credentials.api_tokens._revoke", "ApiToken", "Http404")
def a_token_is_revoked():
    token = complete(ApiToken)
    return lambda: api_tokens.revoke(user=token.user, token_id=token.pk)


@waits("accounts.credentials.api_tokens._revoke", "ApiToken", None, number=2)
def a_token_is_revoked_and_all_are():
    token = complete(ApiToken)
    return (
        lambda: api_tokens.revoke(user=token.user, token_id=token.pk),
        transaction.atomic(lambda: api_tokens.revoke_all(token.user)),
    )


@waits("accounts.credentials.api_tokens.revoke_all", None, None)
def all_tokens_are_revoked():
    token = complete(ApiToken)
    return transaction.atomic(lambda: api_tokens.revoke_all(token.user))


def used_from(address, use):
    """The result of use() in a request from `address`."""
    context.enter(context.RequestFacts(address=address))
    return use()


@loses("accounts.credentials.api_tokens.note_use", "192.0.2.2", "192.0.2.2")
def a_token_is_used():
    token = complete(ApiToken)

    def use():
        api_tokens.note_use(token)
        return ApiToken.objects.get(pk=token.pk).last_used_address

    return lambda: used_from("192.0.2.1", use), lambda: used_from("192.0.2.2", use)


@waits("accounts.credentials.passwords.reset", "User", "LinkUsed")
def a_new_password_by_mail():
    token = mailed_links.make_link_token(UserFactory(), mailed_links.RESET)
    return lambda: passwords.reset(token=token, new_password=NEW_PASSWORD)


@waits("accounts.credentials.passwords.change", "User", "Invalid")
def a_new_password():
    user = UserFactory()
    return lambda: passwords.change(user=user, current_password=PASSWORD, new_password=NEW_PASSWORD)


@waits("accounts.credentials.sessions.end", None, "Http404")
def a_session_is_ended():
    session = complete(Session, user=UserFactory())
    return lambda: sessions.end(user=session.user, session_id=session.pk)


@waits("accounts.credentials.sessions.end_others", 1, 0)
def other_sessions_are_ended():
    session = complete(Session, user=UserFactory())
    return lambda: sessions.end_others(user=session.user)


def kept_session(**facts):
    """(a Session, its key)."""
    key, data = text(), sessions.SessionStore().encode({})
    return complete(Session, key_hash=sessions.hash_of(key), session_data=data, user=UserFactory(), **facts), key


@loses("accounts.credentials.sessions.SessionStore._note_seen", "192.0.2.2", "192.0.2.2")
def a_session_is_seen():
    session, key = kept_session(seen_at=EARLY)

    def use():
        sessions.SessionStore(key).load()
        return Session.objects.get(pk=session.pk).address

    return lambda: used_from("192.0.2.1", use), lambda: used_from("192.0.2.2", use)


@loses("accounts.credentials.sessions.SessionStore.save", "UpdateError", None)
def a_session_is_saved_and_ended():
    session, key = kept_session()
    return (
        lambda: sessions.SessionStore(key).save(),
        lambda: sessions.end(user=session.user, session_id=session.pk),
    )


@waits("accounts.credentials.tokens._locked", "dict", "TokenReused")
def a_refresh_token_is_traded():
    refresh = tokens.open_family(UserFactory())["refresh"]
    return lambda: tokens.rotate(refresh=refresh)


@waits("accounts.credentials.tokens._locked", "dict", None, number=2)
def a_refresh_token_is_traded_and_all_are_ended():
    user = UserFactory()
    refresh = tokens.open_family(user)["refresh"]
    return lambda: tokens.rotate(refresh=refresh), lambda: tokens.close_all_families(user)


@loses("accounts.credentials.tokens._end", False, True)
def a_family_is_ended():
    user = UserFactory()
    tokens.open_family(user)
    family = user.refresh_tokens.get().family
    return lambda: tokens.close_one(user, family)
