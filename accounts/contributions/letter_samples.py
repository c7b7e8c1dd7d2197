"""A context of each kind of letter of this app, to build one without the database (accounts.checks)."""

from uuid import UUID

from django.conf import settings

from accounts.models import User

ID = UUID(int=0)


def _sample(**context):
    user = User(pk=ID, name="Amina Wanjiku", email=f"amina@{settings.MAIL_DOMAIN}")
    return {"user": user, "link": f"{settings.SITE_URL}/?token=sample", **context}


def _of_notices(**context):
    choices = {
        "preferences_link": f"{settings.SITE_URL}/profile/notifications",
        "unsubscribe_link": f"{settings.SITE_URL}/unsubscribe/sample",
    }
    return _sample(**choices, **context)


def _notice():
    return _of_notices(notice_id=ID, kind="security_changed", payload={"what": "new_browser"})


def _digest():
    line = {"id": ID, "kind": "security_changed", "payload": {"what": "new_browser"}}
    return _of_notices(lines=[line], count=2, more=1)


SAMPLES = {
    "account_closed": lambda: _sample(erased_on="2026-01-31"),
    "account_exists": _sample,
    "account_reopened": _sample,
    "change_email": _sample,
    "digest": _digest,
    "email_changed": _sample,
    "invitation": _sample,
    "login_locked": _sample,
    "notice": _notice,
    "password_changed": _sample,
    "reset_password": _sample,
    "second_factor_changed": lambda: _sample(what="app_added"),
    "verify_email": _sample,
}
