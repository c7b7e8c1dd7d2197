"""E-mails that invite people to a file request and hold its address."""

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.addresses import clean_email, holds_web_address
from accounts.notices import mail
from audit.log import record
from config.access import get_visible
from config.errors import Invalid
from fileshare.contributions.actions import Action
from fileshare.models import FileRequest, RequestState
from fileshare.space.request_room import RequestOver

from . import file_requests
from .addresses import address

INVITATION = "request_invitation"
MAX_INVITED = 50


@transaction.atomic
def invite(*, user, request_id, emails):
    """Mail the request's address to `emails`. Returns how many people are invited.

    The address is put into each e-mail when it is sent. Raises Http404, Invalid (400), RequestOver (410) for a request
    that takes nothing more.
    """
    row = get_visible(request_id, FileRequest.objects.visible_to(user))
    cleaned = clean_invited(emails)
    file_requests.place_of(row)
    if row.state != RequestState.OPEN:
        raise RequestOver(row.state)
    for email in cleaned:
        mail.post(INVITATION, to=email, request_id=str(row.pk))
    record(Action.REQUEST_CHANGED, user=user, target=row, folder=row.folder, fields=["invited"], invited=cleaned)
    return len(cleaned)


def clean_invited(emails):
    """The addresses of `emails`, each once. Raises Invalid (400) for an invalid address, for none and for too many."""
    cleaned = list(dict.fromkeys(clean_email(email, field="emails") for email in emails if email.strip()))
    if not 1 <= len(cleaned) <= MAX_INVITED:
        raise Invalid("emails", _("Name one to %(most)d e-mail addresses.") % {"most": MAX_INVITED})
    return cleaned


def invitation(stored):
    """The context for an invitation's e-mail, computed when it is sent. None when the request is not open any more."""
    row = FileRequest.objects.select_related("owner__company").filter(pk=stored["request_id"]).first()
    if row is None or row.state != RequestState.OPEN or not address(row):
        return None
    return {
        "link": address(row),
        "title": row.title,
        # Leave out a note with a web address: the portal's e-mails must hold no links to other sites. The request's
        # page shows the note.
        "note": "" if holds_web_address(row.note) else row.note,
        "deadline": row.deadline,
        "owner": row.owner.get_full_name(),
        "company": row.owner.company.name if row.owner.company else "",
        "has_password": bool(row.password),
    }
