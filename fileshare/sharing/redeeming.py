"""Share links, as recipients use them: open a link, view its files, or spend a use and download one, or all as a ZIP.

What a link leads to (one file, several, a folder) makes no difference here: it shows the files of ShareLink.carried.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.core import signing
from django.db import transaction
from django.db.models import Count, Exists, F, Sum
from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.notices.notifications import notify
from audit.log import record, record_many, record_seldom
from config import context
from config.access import get_visible
from config.errors import Refused
from config.http.throttling import Throttled, is_used_up
from fileshare.contributions.actions import Action
from fileshare.models import File, ShareDownload, ShareLink, SharePermission, ShareState
from fileshare.outgoing import archives
from fileshare.storage import ObjectMissing, get_store

from .addresses import found
from .shares import log_facts, notice_facts, state_of

PROOF_SALT = "fileshare.shares.unlocked"
UNLOCKED_FOR = timedelta(minutes=30)
ARCHIVE_WAIT_SECONDS = 600


class ShareOver(Refused):
    """410: the link does not work any more. `code` is share_expired, share_used_up, share_revoked or share_blocked."""

    def __init__(self, state):
        sentences = {
            ShareState.EXPIRED: _("The time of this link is over. Ask whoever sent it for a new one."),
            ShareState.USED_UP: _("This link has been used as often as it allows. Ask whoever sent it for a new one."),
            ShareState.REVOKED: _("Whoever sent this link has taken it back."),
            ShareState.BLOCKED: _("What this link leads to is no longer shared. Ask whoever sent it."),
        }
        super().__init__(410, f"share_{state.value}", sentences[state])


class PasswordWrong(Refused):
    """403: the password is wrong or missing. No use is spent."""

    def __init__(self, *, missing=False):
        code = "share_password_required" if missing else "share_password_wrong"
        text = _("This link asks for a password.") if missing else _("That is not the password of this link.")
        super().__init__(403, code, text, errors={"password": [text]})


class ViewOnly(Refused):
    """403: the link is for viewing, not for downloading."""

    def __init__(self):
        super().__init__(403, "view_only", _("This link is for viewing only; the file cannot be downloaded with it."))


class NotForViewing(Refused):
    """403: the link is for downloading. It shows no preview, because a preview would be a use that is not counted."""

    def __init__(self):
        super().__init__(403, "download_only", _("This link is for downloading; it shows no preview."))


class TooManyForZip(Refused):
    """409: the link shows more files than fit into one ZIP. No use is spent."""

    title = gettext_lazy("Too many files for one ZIP")

    def __init__(self):
        text = _("There are more than %(most)d files, too many for one ZIP. Download them one by one.")
        super().__init__(409, "too_many_files", text % {"most": archives.MAX_FILES})


def asks_password(token, proof=""):
    """The id of the link with this token, as text, when it asks for its password; "" when not, or there is no link.

    It does not ask a visitor whose `proof`, which `unlock` returned, is valid.
    """
    link = found(token, ShareLink.objects.exclude(password=""))
    return "" if link is None or is_unlocked(link, proof) else str(link.pk)


def opened(token):
    """The ShareLink of a token, with_details, if it works now. Spends no use.

    Raises Http404 when no link has this token, ShareOver (410).
    """
    link = found(token, ShareLink.objects.with_details())
    if link is None:
        raise Http404
    state = state_of(link)
    if state != ShareState.LIVE:
        raise ShareOver(state)
    return link


@dataclass(frozen=True)
class Summary:
    """What a link shows now: how many files and bytes. `fits`: they are few enough for one ZIP; else the two are those
    of the newest MAX_FILES."""

    count: int
    size_bytes: int
    fits: bool


def summary(link):
    """The Summary of a ShareLink. Its cost does not grow with the folder."""
    rows = link.carried()[: archives.MAX_FILES + 1].values("size_bytes")
    found = rows.aggregate(count=Count("size_bytes"), size=Sum("size_bytes", default=0))
    fits = found["count"] <= archives.MAX_FILES
    return Summary(min(found["count"], archives.MAX_FILES), found["size"], fits)


def the_file(link, file_id=None):
    """The File that a visitor of a link asks for, with folder and subfolder: the one with this id (text), or the link's
    only one. None without an id when the link leads to several files or to a folder. Raises Http404."""
    if file_id is None and link.file_id is None:
        return None
    files = link.carried().select_related("folder", "subfolder")
    return get_visible(link.file_id if file_id is None else file_id, files)


def redeem(*, token, password="", proof="", file_id=None):
    """Spend one use of a link and return the URL of the bytes: of one file, or of a ZIP of all files that it shows.

    `file_id` (text) names the file; a link to one file needs none. `proof` is what `unlock` returned; it stands for the
    password. The URL is valid for RESUME_GRACE_SECONDS, for ranges too, so a broken download can be resumed. Requests
    at the same time never spend more uses than the link has. An error spends no use: Http404, ShareOver (410), ViewOnly
    and PasswordWrong (403), TooManyForZip (409), Throttled (429), ObjectMissing (404), StoreUnavailable (503).
    """
    with _refusals_recorded(token):
        link = opened(token)
        if link.permission != SharePermission.DOWNLOAD:
            raise ViewOnly
        if not is_unlocked(link, proof):
            _check_password(link, password)
        file = the_file(link, file_id)
        if file is None:
            if is_used_up("share_archive", str(link.pk)):
                raise Throttled(ARCHIVE_WAIT_SECONDS)
            archive = _spend_on_all(link)
            return reverse("share-archive", args=[token, archive.pk])
        if get_store().head(file.object_key) is None:
            raise ObjectMissing(file.object_key)
        grant = _spend(link, file)
    return get_store().presign_get(
        file.object_key,
        filename=file.filename,
        content_type=file.content_type,
        expires_in=settings.RESUME_GRACE_SECONDS,
        claims={"share_download": str(grant.pk)},
        base_url="",
    )


def file_of_grant(grant_id):
    """The File that a use of a link, spent by `redeem`, may still fetch. Does not count it again. Raises Http404.

    Every request calls this. So the download ends when the link is revoked, its maker loses the right to share the
    file, or the link breaks a new rule of the folder.
    """
    grant = get_visible(grant_id, ShareDownload.objects.open().select_related("share__created_by__company"))
    # A use that an earlier version of the portal wrote names no file; it is of a link to one.
    return get_visible(grant.file_id or grant.share.file_id, grant.share.carried())


def archive_of_grant(*, token, archive_id):
    """The Stream of a ZIP on which `redeem` spent a use of the link with this token. Does not count it again.

    Every request calls this. Raises Http404, ArchiveExpired (410), SomeRefused (404) when the link no longer shows one
    of its files.
    """
    link = found(token, ShareLink.objects.select_related("created_by__company"))
    if link is None:
        raise Http404
    return archives.of_use_again(share=link, archive_id=archive_id)


@transaction.atomic
def _spend(link, file):
    """Spend a use on one File. Returns the ShareDownload."""
    _take_use(link, link.carried().filter(pk=file.pk))
    return _used(link, [file])


@transaction.atomic
def _spend_on_all(link):
    """Spend a use on all files that the link shows. Returns the Archive."""
    _take_use(link, link.carried())
    files = list(link.carried().select_related("folder", "subfolder")[: archives.MAX_FILES + 1])
    if len(files) > archives.MAX_FILES:
        raise TooManyForZip
    if not files:
        raise ShareOver(ShareState.BLOCKED)
    use = _used(link, files, in_zip=True)
    return archives.of_use(use=use, files=files, by_subfolder=link.folder_id is not None and not link.subfolder_id)


def _take_use(link, files):
    """Count one use of a link, if it still has one and there are `files` (a queryset) that it shows."""
    live = ShareLink.objects.unspent().filter(Exists(files), pk=link.pk)
    if not live.update(download_count=F("download_count") + 1):
        # Another request spent the last use, or the link expired, or the file went in this moment.
        state = state_of(ShareLink.objects.with_details().get(pk=link.pk))
        if state == ShareState.LIVE:
            raise Http404
        raise ShareOver(state)


def _used(link, files, *, in_zip=False):
    """The ShareDownload of a use that was taken for these files: counted, logged, and told to the link's maker."""
    asked = context.current()
    use = ShareDownload.objects.create(
        share=link,
        file=files[0] if len(files) == 1 else None,
        file_count=len(files),
        address=asked.address,
        user_agent=asked.user_agent,
    )
    File.objects.filter(pk__in=[file.pk for file in files]).count_downloads()
    record_many(
        Action.DOWNLOAD,
        user=None,
        targets=[(file, file.folder, file.size_bytes) for file in files],
        share=str(link.pk),
        recipient=link.recipient,
        **({"bulk": str(use.pk)} if in_zip else {}),
    )
    if link.file:
        facts = {"about": str(link.file_id), "file_id": str(link.file_id)}
    else:
        facts = {"about": str(link.pk), "share_id": str(link.pk)}
    notify(link.created_by, "share_downloaded", count=1, **facts, **notice_facts(link))
    return use


def _check_password(link, password):
    """Raise PasswordWrong (403) unless this is the link's password. A wrong one is logged."""
    if not link.has_password:
        return
    if not password:
        raise PasswordWrong(missing=True)
    if not check_password(password, link.password):
        refused = PasswordWrong()
        record(Action.SHARE_REFUSED, code=refused.code, **log_facts(link))
        raise refused


@contextmanager
def _refusals_recorded(token):
    """Log refusals inside the block; repeated ones only now and then (record_seldom)."""
    try:
        yield
    except (ShareOver, ViewOnly, NotForViewing) as refusal:
        link = found(token, ShareLink.objects.with_details())
        if link is not None:
            record_seldom(Action.SHARE_REFUSED, about=str(link.pk), code=refusal.code, **log_facts(link))
        raise


def unlock(*, token, password):
    """A signed proof, valid for UNLOCKED_FOR, that the password of a link was given.

    Raises Http404, ShareOver (410), PasswordWrong (403).
    """
    with _refusals_recorded(token):
        link = opened(token)
    _check_password(link, password)
    return signing.dumps(_proof_of(link), salt=PROOF_SALT)


def is_unlocked(link, proof):
    """True when the link has no password, or `proof` is a valid one that `unlock` returned for it."""
    if not link.has_password:
        return True
    try:
        return signing.loads(proof, salt=PROOF_SALT, max_age=UNLOCKED_FOR) == _proof_of(link)
    except signing.BadSignature:
        return False


def _proof_of(link):
    return str(link.pk)


def viewed(*, token, proof, file_id=None):
    """(ShareLink, File) to show a preview for. `proof` is what `unlock` returned; "" if the link has no password.

    `file_id` (text) names the file; a link to one file needs none.
    Raises Http404, ShareOver (410), NotForViewing and PasswordWrong (403).
    """
    with _refusals_recorded(token):
        link = opened(token)
        if link.permission != SharePermission.VIEW:
            raise NotForViewing
    if not is_unlocked(link, proof):
        raise PasswordWrong(missing=True)
    file = the_file(link, file_id)
    if file is None:
        raise Http404
    return link, file
