"""The kinds of notices about the user's own account."""

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.notices.kinds import NOW, Group, Kind, page

GROUPS = {"security": Group(gettext_lazy("Security"), 90)}
# Event → its sentence, and True when another e-mail already tells the user about it.
SECURITY_EVENTS = {
    "password_changed": (gettext_lazy("The password of your account was changed."), True),
    "email_changed": (gettext_lazy("The e-mail address of your account was changed."), True),
    "email_change_asked": (gettext_lazy("Somebody asked to change the e-mail address of your account."), False),
    "second_factor_added": (gettext_lazy("A second step was added to your log-in."), True),
    "second_factor_removed": (gettext_lazy("A second step of your log-in was removed."), True),
    "recovery_codes_made": (gettext_lazy("New recovery codes were made for your account."), True),
    "recovery_code_used": (gettext_lazy("A recovery code was used to log in to your account."), True),
    "wrong_codes": (gettext_lazy("Somebody knew your password and typed wrong codes at the log-in."), True),
    "passkey_copied": (gettext_lazy("A passkey of your account may have been copied."), True),
    "api_token_created": (gettext_lazy("An API token was made for your account."), False),
    "api_token_revoked": (gettext_lazy("An API token of your account was revoked."), False),
    "api_tokens_revoked": (gettext_lazy("All API tokens of your account were revoked."), False),
    "new_browser": (gettext_lazy("Your account was opened in a browser we have not seen before."), False),
    "login_locked": (
        gettext_lazy("Many log-ins to your account failed. For a while, nobody gets in from places it does not know."),
        True,
    ),
    "logged_out": (gettext_lazy("A super logged you out everywhere."), False),
    "token_reused": (
        gettext_lazy(
            "A refresh token of your account was used twice, so somebody may have copied it. That log-in was ended."
        ),
        False,
    ),
}


def _security_page(facts):
    return page("profile-security")(facts) or reverse("profile")


def _account_changed(facts):
    """One sentence for each part of the account that changed."""
    said = [_("A super changed your account.")]
    if added := _names(facts["roles_added"]):
        text = ngettext("You now have the role %(names)s.", "You now have the roles %(names)s.", len(added))
        said.append(text % {"names": ", ".join(added)})
    if removed := _names(facts["roles_removed"]):
        text = ngettext(
            "You no longer have the role %(names)s.", "You no longer have the roles %(names)s.", len(removed)
        )
        said.append(text % {"names": ", ".join(removed)})
    if facts["company"]:
        said.append(_("You now belong to the company “%(company)s”.") % facts)
    elif "company" in facts:
        said.append(_("You no longer belong to a company."))
    if facts["name"]:
        said.append(_("Your name is now “%(name)s”.") % facts)
    if "is_active" in facts:
        said.append(_("Your account was switched on.") if facts["is_active"] else _("Your account was switched off."))
    return " ".join(said)


def _names(value):
    return [str(name) for name in value] if isinstance(value, list) else []


def _security(facts):
    known = SECURITY_EVENTS.get(str(facts["what"]))
    return str(known[0]) if known else _("A security setting of your account was changed.")


KINDS = (
    Kind(
        "account_changed",
        gettext_lazy("A super changes your roles, your company or your account"),
        "security",
        "user",
        NOW,
        _account_changed,
        page("profile"),
        can_be_off=False,
    ),
    Kind(
        "security_changed",
        gettext_lazy("Something about the safety of your account changes"),
        "security",
        "shield",
        NOW,
        _security,
        _security_page,
        mails=lambda facts: not SECURITY_EVENTS.get(str(facts["what"]), ("", False))[1],
        can_be_off=False,
    ),
)
