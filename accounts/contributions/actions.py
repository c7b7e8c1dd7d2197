"""The actions on accounts that the audit log records."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Action(models.TextChoices):
    """Stored text and label."""

    SIGNUP = "signup", _("Signed up")
    EMAIL_VERIFIED = "email_verified", _("Address verified")
    LOGIN = "login", _("Logged in")
    LOGIN_FAILED = "login_failed", _("Log-in failed")
    LOGOUT = "logout", _("Logged out")
    TOKEN_REUSED = "token_reused", _("Refresh token used twice")
    PASSWORD_RESET_REQUESTED = "password_reset_requested", _("Password reset asked for")
    PASSWORD_CHANGED = "password_changed", _("Password changed")
    EMAIL_CHANGED = "email_changed", _("Address changed")
    SECOND_FACTOR_ADDED = "second_factor_added", _("Second factor added")
    SECOND_FACTOR_REMOVED = "second_factor_removed", _("Second factor removed")
    SECOND_FACTOR_FAILED = "second_factor_failed", _("Second factor failed")
    RECOVERY_CODE_USED = "recovery_code_used", _("Recovery code used")
    SESSION_ENDED = "session_ended", _("Session ended")
    API_TOKEN_CREATED = "api_token_created", _("API token made")
    API_TOKEN_REVOKED = "api_token_revoked", _("API token revoked")
    PROFILE_CHANGED = "profile_changed", _("Profile changed")
    DATA_EXPORTED = "data_exported", _("Own data exported")
    ACCOUNT_CLOSED = "account_closed", _("Account closed")
    ACCOUNT_ERASED = "account_erased", _("Account erased")
    LOGIN_LOCKED = "login_locked", _("Log-ins from unknown places stopped")
    USER_CHANGED = "user_changed", _("User changed")
    ROLE_CHANGED = "role_changed", _("Role changed")
    COMPANY_CHANGED = "company_changed", _("Company changed")
