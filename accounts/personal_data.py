"""What this app keeps of a person, for accounts.privacy."""

from django.conf import settings
from django.urls import reverse

from audit.models import Action, Event

from . import roles
from .models import (
    ApiToken,
    Notification,
    NotificationPreference,
    Passkey,
    RecoveryCode,
    RefreshToken,
    Session,
    TotpDevice,
)
from .privacy import Keeper, erase_rows, newest_first, register

# What such a target is called is the person's own or the firm's; that of a user or a grant names somebody else.
NAMED_TARGETS = ("file", "upload", "folder", "subfolder", "apitoken", "sharelink", "filerequest", "transaction")

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
    """The account itself; no password, not even its hash."""
    return {
        "id": user.pk,
        "email": user.email,
        "pending_email": user.pending_email,
        "name": user.name,
        "bio": user.bio,
        "language": user.language,
        "picture": f"{settings.SITE_URL}{reverse('avatar', args=[user.pk])}" if user.avatar else None,
        "company": user.company.name if user.company else None,
        "roles": roles.role_names(user),
        "email_verified_at": user.email_verified_at,
        "last_login": user.last_login,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }


def browser_logins(user):
    """Where the person is logged in by browser."""
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
    """The refresh families: of each the token last given out."""
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
    """What proves the person beside the password; no secret and no key of it."""
    app = TotpDevice.objects.filter(user=user).first()
    return {
        "authenticator_app_since": app.confirmed_at if app else None,
        "passkeys": list(Passkey.objects.filter(user=user).values("name", "created_at", "used_at")),
        "recovery_codes_left": RecoveryCode.objects.filter(user=user, used_at=None).count(),
    }


def tokens_of(user):
    """API tokens, ended ones included; of the token itself only how it begins."""
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
    """How notices go out by mail, where that was chosen: {kind: when}."""
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
    """What the log holds of the person's own doing, under the addresses they had, newest first for each."""
    for address in _addresses(user):
        # By address, which has an index; by person too, for an address may have changed hands.
        rows = Event.objects.filter(actor_email=address, actor=user.pk)
        for row in newest_first(rows, time_field="created_at"):
            yield {
                "id": row.pk,
                "action": row.action,
                "email": row.actor_email,
                "target_type": row.target_type,
                "target_id": row.target_id,
                "target_name": row.target_name if row.target_type in NAMED_TARGETS else "",
                "folder": row.folder_slug,
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
    """Delete what was only ever about the person."""
    for model in OWN:
        erase_rows(user, model.objects.filter(user=user))
    return True


def keep():
    """Register this app's part."""
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
        )
    )
