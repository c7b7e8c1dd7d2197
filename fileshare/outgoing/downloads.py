"""Downloads of files: make links and redeem them. Each request checks again that the user may download the file."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from audit.log import append, event_of, record, record_seldom, record_together
from config.access import prepared_row
from config.errors import Refused
from config.outside.together import Together
from config.prepared import Prepared
from fileshare import lists
from fileshare.contributions.actions import Action
from fileshare.models import File, RedeemedLink
from fileshare.models.files import downloads_counted
from fileshare.scanning import virus_gate
from fileshare.storage import ObjectInfo, ObjectMissing, get_store, ranges

from . import links

_MAY_COME_IN = Prepared(
    lambda pk: User.objects.with_second_factor().filter(pk=pk, is_active=True, lacks_second_factor=False).order_by(),
    pk=User._meta.pk,
)


class NotSignedIn(Refused):
    """401: the link is bound to a user, who has to sign in first."""

    def __init__(self):
        super().__init__(401, "not_authenticated", _("Sign in as the person this link was made for."))


class NotYours(Refused):
    """403: the link is bound to another user."""

    def __init__(self):
        super().__init__(403, "link_of_another", _("This link was made for somebody else."))


class LinkUsed(Refused):
    """410: the one-time link has been used already."""

    def __init__(self):
        super().__init__(410, "link_used", _("This link was good once and has been used. Make a new one."))


@dataclass(frozen=True)
class Wanted:
    """What a request asks of a file. `has_bytes`: it gets bytes (a HEAD or a 304 gets none). `from_start`: these begin
    with the first byte of the file, so the request is no resumed download. `info` is the ObjectInfo of its bytes."""

    has_bytes: bool
    from_start: bool
    info: ObjectInfo


def wanted(request, file):
    """The Wanted of an HTTP request. Uses the same rules as the code that answers it.

    Raises ObjectMissing (404) or StoreUnavailable (503). Call it before a link is spent or a download counted.
    """
    info = get_store().head(file.object_key)
    if info is None:
        raise ObjectMissing(file.object_key)
    selection = ranges.select(request.headers, info)
    return Wanted(selection.has_bytes and request.method != "HEAD", selection.start == 0, info)


def downloadable(*, user, file_id):
    """The File, which `user` may download. Raises Http404, PermissionDenied, or NotClean (403) when the virus gate
    blocks a file that `user` may know of."""
    file = prepared_row(lists.DOWNLOADABLE, user=user, pk=file_id)
    # The slow way only says why not, or finds what has become downloadable meanwhile.
    return file or virus_gate.get_clean(file_id, user=user, allowed=File.objects.downloadable_by(user))


def link_for(*, user, file_id, one_time=False):
    """The path of an encrypted link for `user`, valid for LINK_EXPIRY_SECONDS. Raises what `downloadable` raises."""
    file = downloadable(user=user, file_id=file_id)
    record_together(Action.LINK_MADE, user=user, target=file, folder=file.folder, one_time=one_time)
    return reverse("secure-download", args=[links.make(file_id=file.pk, user_id=user.pk, one_time=one_time)])


def presigned_url(*, user, file_id):
    """A store URL of the file, valid for PRESIGNED_URL_EXPIRY_SECONDS. Raises what `downloadable` raises.

    When the portal serves the bytes itself, the URL is a path; its use checks the user's right again and counts the
    download. A URL of another server counts as a download now, because the portal does not learn of its use.
    """
    file = downloadable(user=user, file_id=file_id)
    facts = {"user": user, "target": file, "folder": file.folder}
    if get_store().is_remote:
        with transaction.atomic():
            record(Action.LINK_MADE, **facts, presigned=True)
            _count(user, file)
    else:
        record_together(Action.LINK_MADE, **facts, presigned=True)
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
    """(File, ObjectInfo) of an encrypted link. `user` must be the one it was made for, with the right to download.

    A request for bytes uses up a one-time link by inserting its nonce; of several requests at once, one succeeds.
    After that its user may resume for RESUME_GRACE_SECONDS, from any byte except the first. A HEAD uses up nothing.

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
    file = link and File.objects.filter(pk=link.file_id).select_related("folder", "subfolder").first()
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
    file = _readable(user, link.file_id)
    asked = wanted(request, file)
    if redeemed is not None:
        _assert_resumes(redeemed, asked)
        return file, asked.info
    if not asked.has_bytes:
        return file, asked.info
    if link.nonce:
        try:
            with transaction.atomic():
                RedeemedLink.objects.create(nonce=link.nonce, file=file, user=user, redeemed_at=timezone.now())
                _count(user, file, one_time=True)
        except IntegrityError:
            # Another request used the link after this one had looked; programs that fetch ranges side by side do so.
            # Or the file or user was deleted since then, so there is no such row.
            redeemed = RedeemedLink.objects.filter(nonce=link.nonce).first()
            if redeemed is None:
                raise Http404 from None
            _assert_resumes(redeemed, asked)
    elif asked.from_start or get_store().is_remote:
        _count(user, file)
    return file, asked.info


def _readable(user, file_id):
    file = prepared_row(lists.DOWNLOADABLE, user=user, pk=file_id)
    if file is None:
        raise Http404
    return file


def _assert_resumes(redeemed, asked):
    """Raise LinkUsed unless the request resumes a download: in time, and from any byte but the first."""
    grace_over = timezone.now() - redeemed.redeemed_at > timedelta(seconds=settings.RESUME_GRACE_SECONDS)
    if grace_over or (asked.has_bytes and asked.from_start):
        raise LinkUsed


def authorize_store_get(claims, request):
    """(File, ObjectInfo) of a presigned URL of the portal's own, if its user may still download the file.

    Counts a download when the request asks for bytes from the first one on. Raises Http404.
    """
    user = prepared_row(_MAY_COME_IN, pk=claims.get("user"))
    if user is None:
        raise Http404
    file = _readable(user, claims.get("file"))
    asked = wanted(request, file)
    if asked.has_bytes and asked.from_start:
        _count(user, file)
    return file, asked.info


def _count(user, file, **detail):
    """Count a download and record it; returns after the commit."""
    facts = {"user": user, "target": file, "folder": file.folder, "size_bytes": file.size_bytes}
    _COUNTED.add((file.pk, event_of(Action.DOWNLOAD, **facts, **detail)))


_ADD = Prepared(
    lambda pk, times: File.objects.filter(pk=pk),
    changes=lambda pk, times: downloads_counted(times),
    pk=File._meta.pk,
    times=File._meta.get_field("download_count"),
)


def _write(downloads):
    counts = Counter(pk for pk, _event in downloads)
    for pk in sorted(counts):  # in one order, so that two processes do not wait for each other in a circle
        _ADD.update(pk=pk, times=counts[pk])
    append([event for _pk, event in downloads])


_COUNTED = Together(_write)
