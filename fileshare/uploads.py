"""Bytes on their way in: promised, received, looked at, and only then a file.

Nothing is held while a store works: an upload is claimed by a conditional UPDATE, its bytes are
finished and inspected outside any transaction, and one short transaction makes the File.
"""

import logging
import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications import notify
from audit.log import record
from audit.models import Action
from config.access import exists, get_allowed, get_visible
from config.errors import Conflict, Invalid, Refused

from . import file_types, filenames, inspection, quotas, tags
from .models import File, Folder, Upload, Visibility
from .models.uploads import UploadStatus
from .storage import ObjectMissing, Part, StoreUnavailable, get_store

logger = logging.getLogger(__name__)

# A request that claimed an upload and died is taken over after this long.
CLAIM_LEASE = timedelta(minutes=15)
# How long a second "complete" waits for the first one's answer, in seconds.
PATIENCE_SECONDS = 10


class TooLarge(Refused):
    """413: larger than the portal takes at all."""

    def __init__(self):
        super().__init__(
            413,
            "file_too_large",
            _("A file has at most %(most)d bytes.") % {"most": settings.MAX_UPLOAD_BYTES},
        )


class UploadGone(Refused):
    """404: never begun, or given up."""

    def __init__(self):
        super().__init__(404, "upload_gone", _("There is no such upload, or it was given up."))


@dataclass
class Place:
    """Where an upload goes: a folder the user may upload to, and one of its subfolders or None."""

    folder: Folder
    subfolder: object | None = None


@dataclass
class Transfer:
    """What a client needs to send the bytes, or the bytes still missing, of `upload`.

    `url` and `headers` for a single PUT; `parts` [{part_number, upload_url}] for a multipart upload.
    """

    upload: Upload
    expires_in: int
    url: str = ""
    headers: dict = field(default_factory=dict)
    parts: list = field(default_factory=list)
    received: list = field(default_factory=list)


def place_for(*, user, folder_id, subfolder_id=None):
    """The Place of these ids. Raises Http404 (not seen) or PermissionDenied (seen, no upload)."""
    folder = get_allowed(
        folder_id,
        visible=Folder.objects.visible_to(user),
        allowed=Folder.objects.uploadable_by(user).select_related("owner", "company"),
    )
    subfolder = None if subfolder_id is None else get_visible(subfolder_id, folder.subfolders.all())
    return Place(folder, subfolder)


def initiate(
    *, user, place, filename, size_bytes, content_type, type_policy=None, visibility=Visibility.PRIVATE, tag_names=()
):
    """Promise a file: check its name and kind, reserve its space. Returns the Upload; nothing is sent yet.

    Raises FileTypeRefused (415), TooLarge or QuotaExceeded (413), Invalid (400).
    """
    try:
        with transaction.atomic():
            upload = _promise(user, place, filename, size_bytes, content_type, type_policy, visibility, tag_names)
            _assert_stands(place)
            upload.save(force_insert=True)
            return upload
    except file_types.FileTypeRefused as refusal:
        _record_refusal(user=user, folder=place.folder, name=filename, size_bytes=size_bytes, refusal=refusal)
        raise


@transaction.atomic
def initiate_many(*, user, place, files):
    """Promise several files at once. `files` are dicts of filename, size_bytes, content_type.

    Returns, in order, an Upload or the Refused for each; one that is refused costs the others nothing.
    """
    answers = []
    for facts in files:
        try:
            answers.append(_promise(user, place, **facts))
        except Refused as refusal:
            answers.append(refusal)
            if isinstance(refusal, file_types.FileTypeRefused):
                _record_refusal(
                    user=user,
                    folder=place.folder,
                    name=facts["filename"],
                    size_bytes=facts["size_bytes"],
                    refusal=refusal,
                )
    _assert_stands(place)
    Upload.objects.bulk_create([answer for answer in answers if isinstance(answer, Upload)])
    return answers


def _promise(
    user, place, filename, size_bytes, content_type, type_policy=None, visibility=Visibility.PRIVATE, tag_names=()
):
    if visibility == Visibility.PUBLIC and place.folder.owner_id != user.pk:
        # Who may see a file of a shared folder is its permissions' business.
        raise PermissionDenied
    policy = type_policy or place.folder.type_policy
    name = filenames.clean(filename)
    if size_bytes < 1:
        raise inspection.EmptyFile
    content_type = file_types.check_declared(policy, name, content_type)
    if size_bytes > settings.MAX_UPLOAD_BYTES:
        raise TooLarge
    quotas.reserve(folder_id=place.folder.pk, size_bytes=size_bytes)
    pk = uuid.uuid4()
    return Upload(
        pk=pk,
        folder=place.folder,
        subfolder=place.subfolder,
        filename=name,
        size_bytes=size_bytes,
        content_type=content_type,
        type_policy=policy,
        object_key=object_key(place, pk, name),
        part_size=_part_size(size_bytes),
        visibility=visibility,
        tags=tags.clean_names(tag_names),
        uploaded_by=user,
        expires_at=timezone.now() + settings.UPLOAD_LIFETIME,
    )


def _assert_stands(place):
    """Raise Http404 when the subfolder was deleted meanwhile.

    Asked after the reservation: its lock on the folder is the one a deletion waits for.
    """
    if place.subfolder is not None and not place.folder.subfolders.filter(pk=place.subfolder.pk).exists():
        raise Http404


def object_key(place, file_id, name):
    """files/{folder_slug}/{subfolder_slug}/{file_uuid}/{filename}, the subfolder left out at the root."""
    parts = ["files", place.folder.slug, place.subfolder and place.subfolder.slug, str(file_id)]
    return "/".join([part for part in parts if part] + [filenames.ascii_key_name(name)])


def _part_size(size_bytes):
    """Bytes of a part, or None for a single PUT; larger parts only where 1,000 would not reach."""
    if size_bytes <= settings.MULTIPART_THRESHOLD_BYTES:
        return None
    needed = -(-size_bytes // settings.MAX_PARTS)
    blocks = -(-needed // settings.MIB)
    return max(settings.PART_SIZE_BYTES, blocks * settings.MIB if needed > settings.PART_SIZE_BYTES else 0)


def transfer(upload, *, only_missing=False):
    """The Transfer of an upload: fresh URLs, for all of it or for what is still missing.

    A multipart upload is begun in the store by the first call. Raises StoreUnavailable (503).
    """
    store = get_store()
    if not upload.is_multipart:
        expires_in = settings.PRESIGNED_URL_EXPIRY_SECONDS
        signed = store.presign_put(
            upload.object_key,
            file_id=str(upload.pk),
            size_bytes=upload.size_bytes,
            content_type=upload.content_type,
            expires_in=expires_in,
            base_url="",
        )
        return Transfer(upload, expires_in, url=signed.url, headers=dict(signed.headers))
    if not upload.store_upload_id:
        upload.store_upload_id = store.create_multipart(
            upload.object_key,
            content_type=upload.content_type,
            size_bytes=upload.size_bytes,
            part_size=upload.part_size,
        )
        Upload.objects.filter(pk=upload.pk).update(store_upload_id=upload.store_upload_id)
    received = store.list_parts(upload.object_key, upload.store_upload_id) if only_missing else []
    have = {part.part_number for part in received}
    expires_in = settings.PART_URL_EXPIRY_SECONDS
    parts = [
        {
            "part_number": number,
            "upload_url": store.presign_part(
                upload.object_key,
                upload.store_upload_id,
                number,
                file_id=str(upload.pk),
                size_bytes=upload.part_bytes(number),
                expires_in=expires_in,
                base_url="",
            ),
        }
        for number in range(1, upload.part_count + 1)
        if number not in have
    ]
    return Transfer(upload, expires_in, parts=parts, received=received)


def resume(*, user, file_id):
    """The Transfer of what an unfinished upload of `user` still lacks. Raises Http404."""
    return transfer(get_visible(file_id, Upload.objects.of(user)), only_missing=True)


def assert_open(file_id):
    """Raise unless the upload `file_id` still takes bytes: 404 `upload_gone`, 409 `upload_completed`."""
    upload = Upload.objects.filter(pk=file_id).only("status", "expires_at").first()
    if upload is not None and upload.status == UploadStatus.PENDING and upload.expires_at > timezone.now():
        return
    if upload is not None and upload.status == UploadStatus.COMPLETING or exists(file_id, File.objects.all()):
        raise Conflict(_("This upload is complete; its bytes do not change any more."), code="upload_completed")
    raise UploadGone


def complete(*, user, file_id, upload_id=None, parts=None):
    """Turn an upload of `user` whose bytes have all come into a File, and return it; again: the same File.

    `parts` [{part_number, etag}] name the parts of a multipart upload. Raises Http404; Conflict-like 409
    when bytes are missing or not as declared (the upload can be mended); FileTypeRefused (415) when
    the content is not what it claims, and then nothing of it stays.
    """
    done = _completed(user, file_id)
    if done is not None:
        return done
    upload = get_visible(file_id, Upload.objects.of(user))
    place_for(user=user, folder_id=upload.folder_id, subfolder_id=upload.subfolder_id)
    if upload.is_multipart:
        if parts is None:
            raise Invalid("parts", _("Name the parts of a multipart upload."))
        if upload_id != upload.store_upload_id:
            raise Conflict(_("This is not the upload_id of this file."), code="wrong_upload_id")
    if not _claim(upload):
        return _wait_for_the_other(user, file_id)
    try:
        info = _finish_in_store(upload, parts)
    except BaseException:
        _unclaim(upload)
        raise
    return _publish(upload, info)


def receive(*, user, place, filename, content_type, stream, size_bytes, **options):
    """Take a whole file from a form: `stream` is its binary file of `size_bytes`. Returns the File.

    Raises what `initiate` and `complete` raise; a refusal or fault leaves nothing behind.
    """
    upload = initiate(
        user=user, place=place, filename=filename, size_bytes=size_bytes, content_type=content_type, **options
    )
    # Claimed from the start, and in one piece whatever its size: nobody else sends bytes of a form's upload.
    upload.part_size = None
    Upload.objects.filter(pk=upload.pk).update(
        status=UploadStatus.COMPLETING, claimed_at=timezone.now(), part_size=None
    )
    try:
        info = get_store().write(upload.object_key, stream, size_limit=size_bytes, content_type=upload.content_type)
    except BaseException:
        _drop(upload)
        raise
    return _publish(upload, info, keep_on_fault=False)


def abort(*, user, file_id):
    """Give up an unfinished upload: its space is free at once, its bytes go after the commit. Raises Http404."""
    with transaction.atomic():
        upload = get_visible(file_id, Upload.objects.of(user).select_for_update())
        record(Action.UPLOAD_ABORTED, user=user, target=upload, folder=upload.folder, size_bytes=upload.size_bytes)
        _drop(upload)


def remove_abandoned(*, limit=500):
    """Give up uploads whose time is over; safe to run twice or by two. Returns how many went."""
    count = 0
    for pk in list(Upload.objects.abandoned().values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            upload = Upload.objects.abandoned().select_for_update(skip_locked=True, of=("self",)).filter(pk=pk).first()
            if upload is not None:
                record(Action.UPLOAD_ABORTED, target=upload, folder=upload.folder, reason="abandoned")
                _drop(upload)
                count += 1
    get_store().sweep(older_than=timezone.now() - 2 * settings.UPLOAD_LIFETIME)
    return count


def _completed(user, file_id):
    if not exists(file_id, File.objects.filter(uploaded_by=user)):
        return None
    return get_visible(file_id, File.objects.visible_to(user))


def _claim(upload):
    """True for the one request that may finish this upload now."""
    now = timezone.now()
    free = Q(status=UploadStatus.PENDING) | Q(status=UploadStatus.COMPLETING, claimed_at__lt=now - CLAIM_LEASE)
    return bool(Upload.objects.filter(free, pk=upload.pk).update(status=UploadStatus.COMPLETING, claimed_at=now))


def _unclaim(upload):
    Upload.objects.filter(pk=upload.pk).update(status=UploadStatus.PENDING, claimed_at=None)


def _wait_for_the_other(user, file_id):
    """What the request that claimed the upload first makes of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.1)
        done = _completed(user, file_id)
        if done is not None:
            return done
        upload = Upload.objects.of(user).filter(pk=file_id).first()
        if upload is None:
            done = _completed(user, file_id)
            if done is None:
                raise Http404
            return done
        if upload.status == UploadStatus.PENDING:
            break
    raise Conflict(_("Another request is completing this upload; ask again."), code="upload_completing")


def _finish_in_store(upload, parts):
    store = get_store()
    if upload.is_multipart:
        # What the caller says of a part; its size is the store's to know.
        named = [Part(part["part_number"], part["etag"], size_bytes=0) for part in parts]
        info = store.complete_multipart(upload.object_key, upload.store_upload_id, named)
    else:
        try:
            info = store.complete_put(upload.object_key, size_bytes=upload.size_bytes)
        except ObjectMissing:
            raise Conflict(_("The bytes of this file have not arrived."), code="not_uploaded") from None
    if info.size_bytes != upload.size_bytes:
        raise Conflict(_("The bytes are not of the declared size."), code="wrong_size")
    return info


def _publish(upload, info, *, keep_on_fault=True):
    """Look at the content and make the File. The upload is claimed; its bytes are published in the store."""
    store = get_store()
    try:
        with store.open(upload.object_key) as source:
            inspection.inspect(source, size=info.size_bytes, filename=upload.filename, policy=upload.type_policy)
        return _make_file(upload, info)
    except (file_types.FileTypeRefused, inspection.EmptyFile) as refusal:
        with transaction.atomic():
            _record_refusal(
                user=upload.uploaded_by,
                folder=upload.folder,
                name=upload.filename,
                size_bytes=upload.size_bytes,
                refusal=refusal,
            )
            _drop(upload)
        raise
    except UploadGone:
        # Given up while its content was looked at.
        _remove_bytes(upload)
        raise
    except OSError as error:
        _give_back(upload, keep_on_fault)
        raise StoreUnavailable from error
    except BaseException:
        _give_back(upload, keep_on_fault)
        raise


def _give_back(upload, keep):
    _unclaim(upload) if keep else _drop(upload)


@transaction.atomic
def _make_file(upload, info):
    if Upload.objects.select_for_update().filter(pk=upload.pk).first() is None:
        raise UploadGone
    now = timezone.now()
    days = upload.folder.retention_days
    file = File.objects.create(
        pk=upload.pk,
        folder=upload.folder,
        subfolder=upload.subfolder,
        filename=upload.filename,
        size_bytes=info.size_bytes,
        content_type=upload.content_type,
        sha256=info.sha256 or "",
        crc32=info.crc32,
        etag=info.etag,
        object_key=upload.object_key,
        uploaded_by=upload.uploaded_by,
        visibility=upload.visibility,
        uploaded_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
    )
    file.tags.set(tags.rows(upload.tags))
    quotas.settle(folder_id=upload.folder_id, reserved_bytes=upload.size_bytes, size_bytes=info.size_bytes)
    Upload.objects.filter(pk=upload.pk).delete()
    record(Action.UPLOAD, user=upload.uploaded_by, target=file, folder=upload.folder, size_bytes=file.size_bytes)
    return file


@transaction.atomic
def _drop(upload):
    """Remove the row, release the space; the bytes go after the commit, whatever was there of them."""
    if Upload.objects.filter(pk=upload.pk).delete()[0]:
        quotas.release(folder_id=upload.folder_id, reserved_bytes=upload.size_bytes)
    transaction.on_commit(partial(_remove_bytes, upload), robust=True)


def _remove_bytes(upload):
    store = get_store()
    if upload.store_upload_id:
        store.abort_multipart(upload.object_key, upload.store_upload_id)
    store.discard_put(upload.object_key)
    store.delete(upload.object_key)


@transaction.atomic
def _record_refusal(*, user, folder, name, size_bytes, refusal):
    """Log the refusal and tell the uploader."""
    name = filenames.clean(name)
    record(Action.UPLOAD_REFUSED, user=user, folder=folder, size_bytes=size_bytes, code=refusal.code, filename=name)
    notify(user, "upload_refused", filename=name, reason=str(refusal.message), folder_slug=folder.slug)
