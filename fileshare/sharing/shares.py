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
from django.utils.translation import gettext_lazy, ngettext

from accounts.addresses import clean_email
from accounts.models import User
from accounts.notices import mail
from accounts.notices.notifications import notify
from audit.log import record, record_many
from config.access import get_allowed, get_visible
from config.errors import Invalid, Refused
from fileshare.contributions.actions import Action
from fileshare.models import (
    File,
    Folder,
    SharedFile,
    ShareDownload,
    ShareLink,
    SharePermission,
    ShareState,
    Subfolder,
)
from fileshare.models.folders import MAX_SHARE_DAYS
from fileshare.models.shares import MAX_SHARED_FILES, NAMED
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
FILES_IN_LETTER = 5
ROWS_AT_ONCE = 5000


@dataclass(frozen=True)
class Made:
    """A new link and its token. The token is not stored, so show it now."""

    link: ShareLink
    token: str

    @property
    def url(self):
        """The address to give away."""
        return addresses.address_of(self.token)


def create(
    *,
    user,
    permission,
    expires_in,
    file_id=None,
    file_ids=None,
    folder_id=None,
    subfolder_id=None,
    password="",
    max_downloads=None,
    emails=(),
):
    """Make one share link; or with `emails`, one for each address, and mail it there.

    It leads to one file (`file_id`), to several (`file_ids`, 1 to MAX_SHARED_FILES; a repeated id counts once), or to
    the files of a folder (`folder_id`), there of one subfolder only with `subfolder_id`. Files: `user` must be allowed
    to share each of them (File.objects.shareable_by), or no link is made. Folder: `user` must be allowed to upload to
    it (Folder.objects.shareable_by). The link then shows what is in it at each opening and what its maker may share at
    that moment: for the folder's owner and for a super every file, for others only their own uploads.

    Returns a list of Made, in the order of `emails`. `expires_in` is a timedelta; `password` is used exactly as typed,
    "" for none; `max_downloads` None sets no limit. The rules of the folder of each file hold. A recipient with an
    active account gets a notice besides the e-mail. Raises Http404, PermissionDenied, NotClean and SomeNotShareable
    (403; the latter also 404), Invalid (400).
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
        target = _target(user, file_id, file_ids, folder_id, subfolder_id)
        for folder in target.folders:
            _check_folder_rules(folder, has_password=bool(password), lifetime=expires_in)
        facts = {
            "created_by": user,
            "permission": permission,
            "expires_at": now + expires_in,
            "password": hashed,
            "max_downloads": max_downloads,
            "created_at": now,
        }
        made = [_made(target, recipient=to, **facts) for to in recipients or [""]]
        links = [one.link for one in made]
        if target.is_folder and not links[0].carried().exists():
            text = _("There is no file here that you may share: a link shows only files that its maker may share.")
            raise Invalid("folder_id", text, code="nothing_to_share")
        ShareLink.objects.bulk_create(links)
        SharedFile.objects.bulk_create((row for link in links for row in _rows(link, target)), batch_size=ROWS_AT_ONCE)
        _record_made(user, links, target)
        _send(user, [link for link in links if link.recipient])
    return made


@dataclass(frozen=True)
class Target:
    """What new links lead to: `files`; or a `folder`, all of it or one `subfolder`, and no files."""

    files: tuple = ()
    folder: Folder | None = None
    subfolder: Subfolder | None = None

    @property
    def is_folder(self):
        """True for a folder, or one of its subfolders."""
        return self.folder is not None

    @property
    def folders(self):
        """The Folders whose rules hold, each once."""
        found = [self.folder] if self.is_folder else [file.folder for file in self.files]
        return {folder.pk: folder for folder in found}.values()

    def facts(self):
        """The fields of a ShareLink that say what it leads to."""
        if self.is_folder:
            return {"folder": self.folder, "subfolder": self.subfolder}
        return {"file": self.files[0]} if len(self.files) == 1 else {"file_count": len(self.files)}


def _target(user, file_id, file_ids, folder_id, subfolder_id):
    """The Target that these ids name, its rows locked, so that no other request deletes them in between."""
    if folder_id is not None:
        folder, subfolder = shareable_place(user=user, folder_id=folder_id, subfolder_id=subfolder_id, lock=True)
        return Target(folder=folder, subfolder=subfolder)
    shareable = File.objects.shareable_by(user).select_related("folder")
    # Always in one order, so that two requests do not wait for each other in a circle.
    locked = shareable.order_by("pk").select_for_update(of=("self",), no_key=True)
    if file_id is not None:
        return Target((virus_gate.get_clean(file_id, user=user, allowed=locked),))
    wanted = list(dict.fromkeys(file_ids or ()))
    check_number(wanted)
    found = {file.pk: file for file in locked.filter(pk__in=wanted)}
    if missing := [pk for pk in wanted if pk not in found]:
        raise _not_shareable(user, missing)
    return Target(tuple(found[pk] for pk in wanted))


def check_number(file_ids):
    """Raise Invalid (400) unless these are 1 to MAX_SHARED_FILES ids."""
    if not 1 <= len(file_ids) <= MAX_SHARED_FILES:
        raise Invalid("file_ids", _("Choose 1 to %(most)d files.") % {"most": MAX_SHARED_FILES})


class SomeNotShareable(Refused):
    """404 or 403 for a link to several files. `errors` holds the ids of the files by which it fails; for a 403 the
    message names the first of them."""

    title = gettext_lazy("No link was made")

    def __init__(self, status, ids, names=()):
        if status == 404:
            code, text = "not_found", _("Some of these files are not there, or you may not see them.")
        else:
            told = ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
            code = "permission_denied"
            text = _("You may not share these, or they wait for the virus scanner: %(names)s") % {"names": told}
        super().__init__(status, code, text, errors={"file_ids": [str(pk) for pk in ids]})


def _not_shareable(user, missing):
    """The SomeNotShareable for these ids, UUIDs."""
    seen = dict(File.objects.visible_to(user).filter(pk__in=missing).values_list("pk", "filename"))
    unseen = [pk for pk in missing if pk not in seen]
    return SomeNotShareable(404, unseen) if unseen else SomeNotShareable(403, missing, [seen[pk] for pk in missing])


@dataclass(frozen=True)
class Choice:
    """Files that a user chose for a link: `files` may be shared, `refused` may not. `gone` others are not there."""

    files: list
    refused: list
    gone: int


def chosen(*, user, file_ids):
    """The Choice of these ids (UUIDs), for the form that makes the link. Raises Invalid (400) for none or too many,
    SomeNotShareable when `user` may share none of them."""
    check_number(file_ids)
    files = list(File.objects.shareable_by(user).filter(pk__in=file_ids).select_related("folder", "subfolder"))
    if not files:
        raise _not_shareable(user, file_ids)
    shareable = {file.pk for file in files}
    others = File.objects.visible_to(user).filter(pk__in=file_ids).exclude(pk__in=shareable)
    refused = list(others) if len(files) < len(file_ids) else []
    return Choice(files, refused, len(file_ids) - len(files) - len(refused))


def shareable_place(*, user, folder_id, subfolder_id=None, lock=False):
    """(Folder, Subfolder or None) to which `user` may make links; with `lock` the folder's row is locked.

    Raises Http404, PermissionDenied.
    """
    visible, allowed = Folder.objects.visible_to(user), Folder.objects.shareable_by(user)
    if lock:
        allowed = allowed.select_for_update(of=("self",), no_key=True)
    folder = get_allowed(folder_id, visible=visible, allowed=allowed)
    return folder, None if subfolder_id is None else get_visible(subfolder_id, folder.subfolders.all())


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


def _made(target, **facts):
    pk = uuid.uuid4()
    token, token_hash = addresses.new_token(pk)
    link = ShareLink(pk=pk, token_hash=token_hash, **target.facts(), **facts)
    link.first_shared = _rows(link, target)[:NAMED]
    return Made(link, token)


def _rows(link, target):
    """The SharedFiles of a new link, unsaved; none for one file and for a folder."""
    return [SharedFile(share=link, file=file) for file in target.files] if link.file_count else []


def _record_made(user, links, target):
    """One row for each link; for several files also one for each of them, so that its history tells of the links."""
    for link in links:
        _record(Action.SHARE_CREATED, user, link, **_terms(link))
    if links[0].file_count:
        record_many(
            Action.SHARE_CREATED,
            user=user,
            targets=[(file, file.folder, None) for file in target.files],
            shares=[str(link.pk) for link in links],
            recipients=[link.recipient for link in links],
            **_terms(links[0]),
        )


def _terms(link):
    return {
        "permission": link.permission,
        "expires_at": link.expires_at,
        "has_password": link.has_password,
        "max_downloads": link.max_downloads,
    }


def log_facts(link):
    """What each row of the log about a link (with_details) tells of it."""
    facts = {"target": link.target, "folder": link.target_folder, "share": str(link.pk), "recipient": link.recipient}
    if link.subfolder:
        facts["subfolder"] = link.subfolder
    return facts | ({"files": link.file_count} if link.file_count else {})


def _record(action, user, link, **detail):
    record(action, user=user, **log_facts(link), **detail)


def _send(user, links):
    """Mail each link to its recipient, and notify recipients who have an account."""
    to = {link.recipient for link in links}
    known = {person.email: person for person in User.objects.filter(email__in=to, is_active=True)}
    for link in links:
        mail.post(LETTER, to=link.recipient, share_id=str(link.pk))
        person = known.get(link.recipient)
        if person is not None and person.pk != user.pk:
            notify(person, "file_shared", share_id=str(link.pk), by=user.get_full_name(), **notice_facts(link))


def notice_facts(link):
    """What a notice about a link (with_details) says of what it leads to: facts and no words, for readers of any
    language."""
    if link.file:
        return {"filename": link.file.filename}
    if link.folder:
        return {"folder": str(link)}
    return {"filename": link.first_names[0] if link.first_names else "", "more": link.file_count - 1}


def letter_context(stored):
    """The context for a link's e-mail, computed when it is sent. None when the link does not work any more.

    Raises mail.NotYet while its file waits for the virus scanner.
    """
    link = ShareLink.objects.with_details().filter(pk=stored["share_id"]).first()
    state = None if link is None else state_of(link)
    if state == ShareState.BLOCKED and link.targeted().waiting_for_a_scan().exists():
        raise mail.NotYet
    if state != ShareState.LIVE:
        return None
    files = link.carried()
    first = list(files[:FILES_IN_LETTER])
    if not first:  # the last one went in this moment
        return None
    return {
        "link": addresses.address_of(addresses.token_to_send(link)),
        "share": link,
        "file": first[0],
        "files": first,
        "more": max(0, files.count() - len(first)),
        "sender": link.created_by,
    }


# --- List and revoke -----------------------------------------------------------------------------------


def state_of(link):
    """The ShareState of one link (with_details)."""
    return link.state_for(carries=link.carried().exists())


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
        link.state = link.state_for(carries=link.pk in entitled)
    return links


def of_file(*, user, file_id):
    """The links that lead to a file (leading_to) and that `user` may see, with the data that a list shows (`told`).

    Raises Http404, PermissionDenied.
    """
    file = get_allowed(file_id, visible=File.objects.visible_to(user), allowed=File.objects.deletable_by(user))
    return told(ShareLink.objects.of(user).leading_to(file))


def one(*, user, share_id):
    """A link that `user` may see, `told`, with its `state`. Raises Http404."""
    link = get_visible(share_id, told(ShareLink.objects.of(user)))
    link.state = state_of(link)
    return link


def told(links):
    """The links with_details; each has its last FETCHES_TOLD uses in a list `fetches`, newest first."""
    newest = ShareDownload.objects.select_related("file").order_by("-downloaded_at", "-pk")[:FETCHES_TOLD]
    return links.with_details().prefetch_related(Prefetch("downloads", queryset=newest, to_attr="fetches"))


@transaction.atomic
def revoke(*, user, share_id, file_id=None):
    """End a link at once; downloads by it can no longer be resumed. A second call changes nothing.

    Returns the ShareLink. Raises Http404 for a link that `user` may not revoke, and for one that does not lead to the
    file when `file_id` is given.
    """
    links = ShareLink.objects.of(user).with_details()
    if file_id is not None:
        links = links.leading_to(get_visible(file_id, File.objects.all()))
    link = get_visible(share_id, links)
    now = timezone.now()
    if ShareLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=now):
        link.revoked_at = now
        _record(Action.SHARE_REVOKED, user, link)
    return link


def forget_empty():
    """Delete the links to several files that are over and of which no file is left. Returns how many.

    A link to one file goes with the file. These stay until their end, so that visitors are told that they are over.
    """
    return ShareLink.objects.empty().filter(expires_at__lt=timezone.now()).delete()[1].get("fileshare.ShareLink", 0)
