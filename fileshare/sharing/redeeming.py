"""Share links, as recipients use them: open a link, view the file, or spend a use and download it."""

from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.core import signing
from django.db import transaction
from django.db.models import F
from django.http import Http404
from django.utils.translation import gettext as _

from accounts.notices.notifications import notify
from audit.log import record, record_seldom
from config import context
from config.access import get_visible
from config.errors import Refused
from fileshare.contributions.actions import Action
from fileshare.models import File, ShareDownload, ShareLink, SharePermission, ShareState
from fileshare.storage import ObjectMissing, get_store

from .addresses import found
from .shares import state_of

PROOF_SALT = "fileshare.shares.unlocked"
UNLOCKED_FOR = timedelta(minutes=30)


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


def asks_password(token):
    """The id of the link with this token, as text, when it has a password; "" when it has none or there is no link."""
    link = found(token, ShareLink.objects.exclude(password=""))
    return str(link.pk) if link else ""


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


def redeem(*, token, password=""):
    """Spend one use of a link and return the URL of the bytes.

    The URL is valid for RESUME_GRACE_SECONDS, for ranges too, so a broken download can be resumed. Requests at the
    same time never spend more uses than the link has. An error spends no use: Http404, ShareOver (410), ViewOnly and
    PasswordWrong (403), ObjectMissing (404), StoreUnavailable (503).
    """
    with _refusals_recorded(token):
        link = opened(token)
        if link.permission != SharePermission.DOWNLOAD:
            raise ViewOnly
        _check_password(link, password)
        file = link.file
        if get_store().head(file.object_key) is None:
            raise ObjectMissing(file.object_key)
        grant = _spend(link)
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
    grants = ShareDownload.objects.open().select_related("share__file__folder", "share__created_by__company")
    share = get_visible(grant_id, grants).share
    if share.breaks_folder_rules:
        raise Http404
    return get_visible(share.file_id, File.objects.shareable_by(share.created_by))


@transaction.atomic
def _spend(link):
    live = ShareLink.objects.live(link.created_by).filter(pk=link.pk)
    if not live.update(download_count=F("download_count") + 1):
        # Another request spent the last use, or the link expired in this moment.
        link = ShareLink.objects.with_details().get(pk=link.pk)
        state = state_of(link)
        raise ShareOver(ShareState.USED_UP if state == ShareState.LIVE else state)
    facts, file = context.current(), link.file
    grant = ShareDownload.objects.create(share=link, address=facts.address, user_agent=facts.user_agent)
    File.objects.filter(pk=file.pk).count_downloads()
    record(
        Action.DOWNLOAD,
        target=file,
        folder=file.folder,
        size_bytes=file.size_bytes,
        share=str(link.pk),
        recipient=link.recipient,
    )
    notify(
        link.created_by, "share_downloaded", about=str(file.pk), filename=file.filename, file_id=str(file.pk), count=1
    )
    return grant


def _check_password(link, password):
    """Raise PasswordWrong (403) unless this is the link's password. A wrong one is logged."""
    if not link.has_password:
        return
    if not password:
        raise PasswordWrong(missing=True)
    if not check_password(password, link.password):
        refused = PasswordWrong()
        record(Action.SHARE_REFUSED, code=refused.code, **_facts(link))
        raise refused


@contextmanager
def _refusals_recorded(token):
    """Log refusals inside the block; repeated ones only now and then (record_seldom)."""
    try:
        yield
    except (ShareOver, ViewOnly, NotForViewing) as refusal:
        link = found(token, ShareLink.objects.with_details())
        if link is not None:
            record_seldom(Action.SHARE_REFUSED, about=str(link.pk), code=refusal.code, **_facts(link))
        raise


def _facts(link):
    """Facts for the log about a link that was refused."""
    return {
        "target": link.file,
        "folder": link.file.folder,
        "share": str(link.pk),
        "recipient": link.recipient,
    }


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


def viewed(*, token, proof):
    """The ShareLink to show a preview for. `proof` is what `unlock` returned; "" if the link has no password.

    Raises Http404, ShareOver (410), NotForViewing and PasswordWrong (403).
    """
    with _refusals_recorded(token):
        link = opened(token)
        if link.permission != SharePermission.VIEW:
            raise NotForViewing
    if not is_unlocked(link, proof):
        raise PasswordWrong(missing=True)
    return link
