"""The reason that a super gives, for the audit log."""

from django.utils.translation import gettext as _

from config.errors import Invalid

MAX_REASON_LENGTH = 2000


def clean_reason(reason):
    """Return `reason` trimmed. Raises Invalid (400) when it is empty or longer than MAX_REASON_LENGTH."""
    reason = reason.strip()
    if not reason:
        raise Invalid("reason", _("Say why."))
    if len(reason) > MAX_REASON_LENGTH:
        raise Invalid("reason", _("At most %(most)d characters.") % {"most": MAX_REASON_LENGTH})
    return reason
