"""The names that the admin pages show for the models of accounts and their columns (config.contributions.names)."""

from django.utils.translation import gettext_lazy as _

# Model → singular, plural.
MODELS = {
    "apitoken": (_("API token"), _("API tokens")),
    "company": (_("company"), _("companies")),
    "role": (_("role"), _("roles")),
    "user": (_("user"), _("users")),
}
FIELDS = {
    "avatar": _("avatar"),
    "bio": _("bio"),
    "company": _("company"),
    "email_verified_at": _("email verified at"),
    "erased_at": _("erased at"),
    "is_active": _("is active"),
    "is_staff": _("is staff"),
    "last_used_address": _("last used address"),
    "last_used_at": _("last used at"),
    "pending_email": _("pending email"),
    "permission": _("permission"),
    "prefix": _("prefix"),
    "role": _("role"),
    "scopes": _("scopes"),
}
