"""E-mail addresses and names, as the portal keeps them."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from config.errors import Invalid

MAX_EMAIL_LENGTH = 254
_HOST_AND_PATH = re.compile(r"\w\.[a-z]{2,}/", re.IGNORECASE)


def clean_email(text, *, field="email"):
    """Return `text` trimmed and in lower case, so that one mailbox has one account.

    Raises Invalid (400) for an address that no mail can reach.
    """
    email = text.strip().lower()
    try:
        # Check the length after lower(): the lower case of some letters is longer than the letter.
        if len(email) > MAX_EMAIL_LENGTH:
            raise ValueError
        validate_email(email)
        email.rpartition("@")[2].encode("idna")
    except (ValidationError, ValueError):
        raise Invalid(field, _("Enter a valid e-mail address.")) from None
    return email


def holds_web_address(text):
    """True for a text that a mail program would turn into a link."""
    return "://" in text or "www." in text.lower() or _HOST_AND_PATH.search(text) is not None


def clean_name(text, *, field="name"):
    """Return a person's name on one line.

    Raises Invalid (400) for control characters and for a web address. The portal writes names into mail to other
    people: a user could otherwise send them links of their own choice.
    """
    name = " ".join(text.split())
    if not name or not name.isprintable():
        raise Invalid(field, _("A name is one line of visible characters."))
    if holds_web_address(name):
        raise Invalid(field, _("A name holds no web address."))
    return name
