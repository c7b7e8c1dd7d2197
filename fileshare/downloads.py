"""Bytes on their way out: links are made, redeemed, and asked anew each time whether they still may."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from audit.log import record, record_seldom
from audit.models import Action
from config.access import get_visible
from config.errors import Refused

from . import links, virus_gate
from .models import File, RedeemedLink, ShareDownload
from .storage import ObjectMissing, get_store, ranges


class NotSignedIn(Refused):
    """401: a link is bound to a user, who has to show who they are."""

    def __init__(self):
        super().__init__(401, "not_authenticated", _("Sign in as the person this link was made for."))


class NotYours(Refused):
    """403: the link is bound to somebody else."""

    def __init__(self):
        super().__init__(403, "link_of_another", _("This link was made for somebody else."))


class LinkUsed(Refused):
    """410: a one-time link's second use."""

    def __init__(self):
        super().__init__(410, "link_used", _("This link was good once and has been used. Make a new one."))


@dataclass(frozen=True)
class Wanted:
    """What a request asks of a file: bytes at all (a HEAD or a 304 asks for none), and from the first one on."""

    has_bytes: bool
    from_start: bool


def wanted(request, file):
    """The Wanted of an HTTP request, read as it will be answered.

    Raises ObjectMissing (404) or StoreUnavailable (503), before anything is spent.
    """
    info = get_store().head(file.object_key)
    if info is None:
        raise ObjectMissing(file.object_key)
    selection = ranges.select(request.headers, info)
    return Wanted(selection.has_bytes and request.method != "HEAD", selection.start == 0)


def downloadable(*, user, file_id):
    """The File `user` may download. Raises Http404, PermissionDenied, or NotClean (403) for one of theirs."""
    return virus_gate.get_clean(file_id, user=user, allowed=File.objects.downloadable_by(user))


@transaction.atomic
def link_for(*, user, file_id, one_time=False):
    """The path of an encrypted link for `user`, good for LINK_EXPIRY_SECONDS. Raises Http404 or PermissionDenied."""
    file = downloadable(user=user, file_id=file_id)
    record(Action.LINK_MADE, user=user, target=file, folder=file.folder, one_time=one_time)
    return reverse("secure-download", args=[links.make(file_id=file.pk, user_id=user.pk, one_time=one_time)])


@transaction.atomic
def presigned_url(*, user, file_id):
    """A store URL of the file, good for PRESIGNED_URL_EXPIRY_SECONDS. Raises Http404 or PermissionDenied.

    A path where the portal serves the bytes itself: their right is asked and the download counted when it is
    used. A URL of another server is counted now, for it is the last the portal hears of it.
    """
    file = downloadable(user=user, file_id=file_id)
    record(Action.LINK_MADE, user=user, target=file, folder=file.folder, presigned=True)
    if get_store().is_remote:
        _count(user, file)
    return _presign(file, user)


def _presign(file, user):
    return get_store().presign_get(
        file.object_key,
        filename=file.filename,
        content_type=file.content_type,
        expires_in=settings.PRESIGNED_URL_EXPIRY_SECONDS,
        claims={"file": str(file.pk), "user": str(user.pk)},
        base_url="",
    )


def redeem(*, user, token, request):
    """The File behind an encrypted link, for the user it was made for, who still may have it.

    A one-time link is claimed by inserting its nonce: of many at once one gets through. For
    RESUME_GRACE_SECONDS its user may go on from any byte but the first. HEAD spends nothing.

    Raises LinkForged (400), NotSignedIn (401), NotYours (403), Http404, LinkExpired or LinkUsed (410).
    """
    link = None
    try:
        link = links.read(token)
        return _redeemed(user, link, request)
    except (links.LinkForged, links.LinkExpired, LinkUsed, NotYours, Http404) as refusal:
        _record_refused(user, link, getattr(refusal, "code", "not_found"))
        raise


def _record_refused(user, link, code):
    file = link and File.objects.filter(pk=link.file_id).select_related("folder").first()
    record_seldom(
        Action.LINK_REFUSED,
        about=f"{user.pk} {link and link.file_id}",
        code=code,
        user=user,
        target=file,
        folder=file and file.folder,
    )


def _redeemed(user, link, request):
    redeemed = RedeemedLink.objects.filter(nonce=link.nonce).first() if link.nonce else None
    if link.has_expired and redeemed is None:
        raise links.LinkExpired
    if not user.is_authenticated:
        raise NotSignedIn
    if user.pk != link.user_id:
        raise NotYours
    file = get_visible(link.file_id, File.objects.downloadable_by(user).select_related("folder"))
    asked = wanted(request, file)
    if redeemed is not None:
        grace_over = timezone.now() - redeemed.redeemed_at > timedelta(seconds=settings.RESUME_GRACE_SECONDS)
        if grace_over or (asked.has_bytes and asked.from_start):
            raise LinkUsed
        return file
    if not asked.has_bytes:
        return file
    if link.nonce:
        try:
            with transaction.atomic():
                RedeemedLink.objects.create(nonce=link.nonce, file=file, user=user, redeemed_at=timezone.now())
                _count(user, file, one_time=True)
        except IntegrityError:
            raise LinkUsed from None
    elif asked.from_start or get_store().is_remote:
        _count(user, file)
    return file


def authorize_store_get(claims, request):
    """The File of a presigned URL the portal serves, if its maker may still download it; counted from byte 0.

    That of a share link's use was counted when it was spent. Raises Http404.
    """
    if "share_download" in claims:
        return _of_share(claims["share_download"])
    people = User.objects.with_company().with_second_factor()
    user = people.filter(pk=claims.get("user"), is_active=True, lacks_second_factor=False).first()
    files = File.objects.none() if user is None else File.objects.downloadable_by(user).select_related("folder")
    file = get_visible(claims.get("file"), files)
    asked = wanted(request, file)
    if asked.has_bytes and asked.from_start:
        _count(user, file)
    return file


def _of_share(grant_id):
    grants = ShareDownload.objects.open().select_related("share__file__folder", "share__created_by__company")
    share = get_visible(grant_id, grants).share
    if share.breaks_folder_rules:
        raise Http404
    return get_visible(share.file_id, File.objects.shareable_by(share.created_by))


@transaction.atomic
def _count(user, file, **detail):
    File.objects.filter(pk=file.pk).count_download()
    record(Action.DOWNLOAD, user=user, target=file, folder=file.folder, size_bytes=file.size_bytes, **detail)
