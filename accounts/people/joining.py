"""Who may get an account: what the setting SIGNUP says.

`open`: everybody who signs up. `invited`: only whom a super invites. `closed`: nobody, not by an invitation either.
"""

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.errors import Refused


class SignupClosed(Refused):
    """403: SIGNUP lets nobody get an account in this way."""

    title = gettext_lazy("No new accounts this way")

    def __init__(self, message):
        super().__init__(403, "signup_closed", message)


def is_open():
    """True where everybody may sign up. Pages ask it before they show a link to the form."""
    return settings.SIGNUP == "open"


def assert_open():
    """Raise SignupClosed (403) where nobody may sign up."""
    if settings.SIGNUP == "invited":
        raise SignupClosed(_("Only people who were invited get an account here. Ask whoever runs it to invite you."))
    if not is_open():
        raise SignupClosed(_("There are no new accounts here."))


def assert_invitations():
    """Raise SignupClosed (403) where nobody is invited, and no invitation can be accepted."""
    if settings.SIGNUP == "closed":
        raise SignupClosed(
            _("There are no new accounts here, so invitations are neither sent nor accepted (SIGNUP=closed).")
        )
