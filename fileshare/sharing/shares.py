"""Share links, for their makers: make, list and revoke them."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Prefetch
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.addresses import clean_email
from accounts.models import User
from accounts.notices import mail
from accounts.notices.notifications import notify
from audit.log import record
from config.access import get_allowed, get_visible, is_uuid
from config.errors import Invalid
from fileshare.contributions.actions import Action
from fileshare.models import File, ShareDownload, ShareLink, SharePermission, ShareState
from fileshare.models.folders import MAX_SHARE_DAYS
from fileshare.scanning import virus_gate

from . import addresses

MIN_LIFE = timedelta(seconds=1)
MAX_LIFE = timedelta(days=min(settings.MAX_SHARE_DAYS, MAX_SHARE_DAYS))
MAX_PASSWORD_LENGTH = 256
MAX_DOWNLOADS = 1_000_000
MAX_EMAILS = 50
FETCHES_TOLD = 10
MAKERS_AT_ONCE = 20
LETTER = "share_link"


@dataclass(frozen=True)
class Made:
    """A new link and its token. The token is not stored, so show it now."""

    link: ShareLink
    token: str

    @property
    def url(self):
        """The address to give away."""
        return addresses.address_of(self.token)


def create(*, user, file_id, permission, expires_in, password="", max_downloads=None, emails=()):
    """Make one share link to a file; or with `emails`, one for each address, and mail it there.

    Returns a list of Made, in the order of `emails`. `expires_in` is a timedelta; `password` is used exactly as typed,
    "" for none; `max_downloads` None sets no limit. A recipient with an active account gets a notice besides the
    e-mail. Raises Http404, PermissionDenied, NotClean (403), Invalid (400).
    """
    recipients = clean_emails(emails)
    if permission not in SharePermission.values:
        raise Invalid("permission", _("A link is for viewing or for downloading."))
    _check_limit(permission, max_downloads)
    if not MIN_LIFE <= expires_in <= MAX_LIFE:
        text = ngettext(
            "A link ends in the future, at most %(days)d day from now.",
            "A link ends in the future, at most %(days)d days from now.",
            MAX_LIFE.days,
        )
        raise Invalid("expires_in", text % {"days": MAX_LIFE.days})
    if len(password) > MAX_PASSWORD_LENGTH:
        raise Invalid("password", _("A password has at most %(most)d characters.") % {"most": MAX_PASSWORD_LENGTH})
    # Hash the password before the transaction. It is slow, and SQLite's only writer would wait for it.
    hashed = make_password(password) if password else ""
    now = timezone.now()
    with transaction.atomic():
        shareable = File.objects.shareable_by(user).select_related("folder")
        # Lock the file's row, so that no other request deletes the file in between.
        locked = shareable.select_for_update(of=("self",), no_key=True)
        file = virus_gate.get_clean(file_id, user=user, allowed=locked)
        _check_folder_rules(file.folder, has_password=bool(password), lifetime=expires_in)
        made = [_made(user, file, permission, now, expires_in, hashed, max_downloads, to) for to in recipients or [""]]
        ShareLink.objects.bulk_create(one.link for one in made)
        for one in made:
            _record_made(user, one.link)
        _send(user, file, [one.link for one in made if one.link.recipient])
    return made


def clean_emails(emails):
    """The addresses of `emails`, each once. Raises Invalid (400) for an invalid address or more than MAX_EMAILS."""
    if len(emails) > MAX_EMAILS:
        text = ngettext("At most %(most)d address at a time.", "At most %(most)d addresses at a time.", MAX_EMAILS)
        raise Invalid("emails", text % {"most": MAX_EMAILS})
    # Check before clean_email trims: it would accept an address with a line break behind it.
    if not all(text.isprintable() for text in emails):
        raise Invalid("emails", _("Enter a valid e-mail address."))
    return list(dict.fromkeys(clean_email(text, field="emails") for text in emails))


def _check_limit(permission, max_downloads):
    if max_downloads is None:
        return
    if permission == SharePermission.VIEW:
        raise Invalid("max_downloads", _("A link for viewing has no downloads to count."))
    if not 1 <= max_downloads <= MAX_DOWNLOADS:
        raise Invalid("max_downloads", _("From 1 to %(most)d downloads.") % {"most": MAX_DOWNLOADS})


def _check_folder_rules(folder, *, has_password, lifetime):
    broken = folder.share_rules_broken(has_password=has_password, lifetime=lifetime)
    if "share_password_required" in broken:
        text = _("Links to files of this folder need a password.")
        raise Invalid("password", text, code="share_password_required")
    if "share_max_days" in broken:
        text = ngettext(
            "Links to files of this folder live at most %(days)d day.",
            "Links to files of this folder live at most %(days)d days.",
            folder.share_max_days,
        )
        raise Invalid("expires_in", text % {"days": folder.share_max_days}, code="share_too_long")


def _made(user, file, permission, now, lifetime, hashed, max_downloads, recipient):
    pk = uuid.uuid4()
    token, token_hash = addresses.new_token(pk)
    link = ShareLink(
        pk=pk,
        file=file,
        created_by=user,
        token_hash=token_hash,
        permission=permission,
        expires_at=now + lifetime,
        password=hashed,
        max_downloads=max_downloads,
        recipient=recipient,
        created_at=now,
    )
    return Made(link, token)


def _record_made(user, link):
    file = link.file
    record(
        Action.SHARE_CREATED,
        user=user,
        target=file,
        folder=file.folder,
        share=str(link.pk),
        recipient=link.recipient,
        permission=link.permission,
        expires_at=link.expires_at,
        has_password=link.has_password,
        max_downloads=link.max_downloads,
    )


def _send(user, file, links):
    """Mail each link to its recipient, and notify recipients who have an account."""
    addresses = {link.recipient for link in links}
    known = {person.email: person for person in User.objects.filter(email__in=addresses, is_active=True)}
    for link in links:
        mail.post(LETTER, to=link.recipient, share_id=str(link.pk))
        person = known.get(link.recipient)
        if person is not None and person.pk != user.pk:
            notify(person, "file_shared", share_id=str(link.pk), filename=file.filename, by=user.get_full_name())


def letter_context(stored):
    """The context for a link's e-mail, computed when it is sent. None when the link does not work any more.

    Raises mail.NotYet while the file waits for the virus scanner.
    """
    link = ShareLink.objects.with_details().filter(pk=stored["share_id"]).first()
    state = None if link is None else state_of(link)
    if state == ShareState.BLOCKED and link.file.is_waiting:
        raise mail.NotYet
    if state != ShareState.LIVE:
        return None
    return {
        "link": addresses.address_of(addresses.token_to_send(link)),
        "share": link,
        "file": link.file,
        "sender": link.created_by,
    }


# --- List and revoke -----------------------------------------------------------------------------------


def state_of(link):
    """The ShareState of one link (with_details)."""
    entitled = ShareLink.objects.filter(pk=link.pk).entitled([link.created_by]).exists()
    return link.state_for(entitled=entitled)


def with_states(links):
    """The links (with_details) as a list, each with its ShareState as `state`.

    Costs one query for each MAKERS_AT_ONCE makers. Only a super sees links of several makers.
    """
    links = list(links)
    makers = list({link.created_by_id: link.created_by for link in links}.values())
    rows = ShareLink.objects.filter(pk__in=[link.pk for link in links])
    entitled = set()
    for start in range(0, len(makers), MAKERS_AT_ONCE):
        entitled.update(rows.entitled(makers[start : start + MAKERS_AT_ONCE]).values_list("pk", flat=True))
    for link in links:
        link.state = link.state_for(entitled=link.pk in entitled)
    return links


def of_file(*, user, file_id):
    """The links to a file that `user` may see, with the data that a list shows (`told`).

    Raises Http404, PermissionDenied.
    """
    file = get_allowed(file_id, visible=File.objects.visible_to(user), allowed=File.objects.deletable_by(user))
    return told(ShareLink.objects.of(user).filter(file=file))


def told(links):
    """The links with_details; each has its last FETCHES_TOLD uses in a list `fetches`, newest first."""
    newest = ShareDownload.objects.order_by("-downloaded_at", "-pk")[:FETCHES_TOLD]
    return links.with_details().prefetch_related(Prefetch("downloads", queryset=newest, to_attr="fetches"))


@transaction.atomic
def revoke(*, user, share_id, file_id=None):
    """End a link at once; downloads by it can no longer be resumed. A second call changes nothing.

    Returns the ShareLink. Raises Http404 for a link that `user` may not revoke, and for a link to another file when
    `file_id` is given.
    """
    links = ShareLink.objects.of(user).with_details()
    if file_id is not None:
        links = links.filter(file=file_id) if is_uuid(file_id) else links.none()
    link = get_visible(share_id, links)
    now = timezone.now()
    if ShareLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=now):
        link.revoked_at = now
        record(
            Action.SHARE_REVOKED,
            user=user,
            target=link.file,
            folder=link.file.folder,
            share=str(link.pk),
            recipient=link.recipient,
        )
    return link
