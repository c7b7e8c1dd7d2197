"""The Keeper of this app (accounts.keepers): the personal data in accounts, to copy and to erase."""

from django.urls import reverse

from accounts.contributions.actions import Action
from accounts.keepers import Keeper, named_targets, register
from accounts.models import (
    ApiToken,
    Notification,
    NotificationPreference,
    Passkey,
    RecoveryCode,
    RefreshToken,
    Session,
    TotpDevice,
)
from accounts.people import roles
from audit.models import Event
from config.http.site_path import absolute

from .subject_rights import erase_rows, newest_first

OWN = (
    ApiToken,
    Notification,
    NotificationPreference,
    Passkey,
    RecoveryCode,
    RefreshToken,
    Session,
    TotpDevice,
)


def account(user):
    """The account itself, without the password's hash."""
    return {
        "id": user.pk,
        "email": user.email,
        "pending_email": user.pending_email,
        "name": user.name,
        "bio": user.bio,
        "language": user.language,
        "picture": absolute(reverse("avatar", args=[user.pk])) if user.avatar else None,
        "company": user.company.name if user.company else None,
        "roles": roles.role_names(user),
        "email_verified_at": user.email_verified_at,
        "last_login": user.last_login,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }


def browser_logins(user):
    """The browsers in which the user is logged in."""
    for row in newest_first(Session.objects.filter(user=user), time_field="created_at"):
        yield {
            "id": row.pk,
            "logged_in_at": row.created_at,
            "last_seen_at": row.seen_at,
            "expires_at": row.expire_date,
            "address": row.address,
            "user_agent": row.user_agent,
        }


def script_logins(user):
    """The log-ins of scripts: the newest token of each refresh family."""
    rows = RefreshToken.objects.filter(user=user, replaced_by=None)
    for row in newest_first(rows, time_field="created_at"):
        yield {
            "id": row.family,
            "logged_in_at": row.orig_iat,
            "last_renewed_at": row.created_at,
            "expires_at": row.expires_at,
            "ended_at": row.revoked_at,
            "address": row.address,
            "user_agent": row.user_agent,
        }


def second_factors(user):
    """The second factors, without their secrets and keys."""
    app = TotpDevice.objects.filter(user=user).first()
    return {
        "authenticator_app_since": app.confirmed_at if app else None,
        "passkeys": list(Passkey.objects.filter(user=user).values("name", "created_at", "used_at")),
        "recovery_codes_left": RecoveryCode.objects.filter(user=user, used_at=None).count(),
    }


def tokens_of(user):
    """API tokens, revoked and expired ones included; only the first characters of the token itself."""
    for row in newest_first(ApiToken.objects.filter(user=user), time_field="created_at"):
        yield {
            "id": row.pk,
            "name": row.name,
            "begins": row.prefix,
            "scopes": row.scopes,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "revoked_at": row.revoked_at,
            "last_used_at": row.last_used_at,
            "last_used_address": row.last_used_address,
        }


def preferences(user):
    """When notices go out by mail, for the kinds that the user chose: {kind: when}."""
    return dict(NotificationPreference.objects.filter(user=user).values_list("kind", "mail"))


def notices(user):
    """Notices, newest first."""
    for row in newest_first(Notification.objects.filter(user=user), time_field="created_at"):
        yield {
            "id": row.pk,
            "type": row.type,
            "payload": row.payload,
            "is_read": row.is_read,
            "created_at": row.created_at,
        }


def events(user):
    """The user's own actions in the audit log, newest first for each e-mail address that the user has had."""
    named = named_targets()
    for address in _addresses(user):
        # Filter by address, which has an index, and by user too: another user may have had the address before.
        rows = Event.objects.filter(actor_email=address, actor=user.pk)
        for row in newest_first(rows, time_field="created_at"):
            yield {
                "id": row.pk,
                "action": row.action,
                "email": row.actor_email,
                "target_type": row.target_type,
                "target_id": row.target_id,
                "target_name": row.target_name if row.target_type in named else "",
                "folder": row.folder_slug,
                "subfolder": row.subfolder_slug,
                "size_bytes": row.size_bytes,
                "address": row.address,
                "user_agent": row.user_agent,
                "created_at": row.created_at,
            }


def _addresses(user):
    found = [user.email]
    for address in found:
        changes = Event.objects.filter(actor_email=address, actor=user.pk, action=Action.EMAIL_CHANGED)
        for detail in changes.values_list("detail", flat=True):
            old = detail.get("old_email")
            if old and old not in found:
                found.append(old)
    return found


def erase(user):
    """Delete the rows of OWN, which concern only this user. Returns True."""
    for model in OWN:
        erase_rows(user, model.objects.filter(user=user))
    return True


def keep():
    """Register the Keeper of this app."""
    register(
        Keeper(
            name="accounts",
            sections={
                "account": account,
                "browser_logins": browser_logins,
                "script_logins": script_logins,
                "second_factors": second_factors,
                "api_tokens": tokens_of,
                "notification_preferences": preferences,
                "notifications": notices,
                "events": events,
            },
            erase=erase,
            named_targets=("apitoken",),
        )
    )
