"""Uploads: begin them, sign the URLs that take their bytes, resume and abort them. `completion` makes the files."""

import uuid
from dataclasses import dataclass, field

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notices.notifications import notify
from audit.log import record, record_seldom
from config.access import exists, get_allowed, get_visible, is_uuid
from config.errors import Conflict, Refused
from fileshare import tags
from fileshare.content import file_types, filenames, inspection
from fileshare.content.refusals import FileTypeRefused
from fileshare.contributions.actions import Action
from fileshare.models import File, Folder, Upload, Visibility
from fileshare.models.uploads import UploadStatus
from fileshare.space import quotas, request_room
from fileshare.storage import MultipartMissing, StoreUnavailable, get_store

LEAST_PART_SIZE = 5 * 1024 * 1024
"""S3 takes no smaller part, but for the last one."""


class TooLarge(Refused):
    """413: larger than MAX_UPLOAD_BYTES."""

    def __init__(self):
        super().__init__(
            413,
            "file_too_large",
            _("A file has at most %(most)d bytes.") % {"most": settings.MAX_UPLOAD_BYTES},
        )


class UploadGone(Refused):
    """404: there is no such upload, or it was given up."""

    def __init__(self):
        super().__init__(404, "upload_gone", _("There is no such upload, or it was given up."))


@dataclass
class Place:
    """The target of an upload: a folder that the user may upload to, and one of its subfolders or None."""

    folder: Folder
    subfolder: object | None = None


@dataclass
class Transfer:
    """What a client needs to send the bytes of `upload`, or those still missing.

    A single PUT has `url` and `headers`. A multipart upload has `parts` [{part_number, upload_url}] to send, and
    `received`, the store's Parts that it has already. URLs are valid for `expires_in` seconds. Where the store keeps
    what it has of a part whose connection was cut, each of `parts` has `begun_bytes` too: a PUT may go on there.
    """

    upload: Upload
    expires_in: int
    url: str = ""
    headers: dict = field(default_factory=dict)
    parts: list = field(default_factory=list)
    received: list = field(default_factory=list)


def place_for(*, user, folder_id, subfolder_id=None):
    """The Place of these ids.

    Raises Http404 when `user` may not see the folder, PermissionDenied when they may see it but not upload.
    """
    folder = get_allowed(
        folder_id,
        visible=Folder.objects.visible_to(user),
        allowed=Folder.objects.uploadable_by(user).select_related("owner", "company"),
    )
    subfolder = None if subfolder_id is None else get_visible(subfolder_id, folder.subfolders.all())
    return Place(folder, subfolder)


def initiate(
    *,
    user,
    place,
    filename,
    size_bytes,
    content_type,
    type_policy=None,
    visibility=Visibility.PRIVATE,
    tag_names=(),
    part_size=None,
    sender=None,
):
    """Begin an upload: check name and kind, and reserve the space. Returns the Upload; `transfer` gives its URLs.

    `part_size` is a wish for parts of so many bytes, smaller than the usual ones. `sender` is a RequestSender who sends
    the file on behalf of `user`; the limits of their request apply too.
    Raises FileTypeRefused (415), TooLarge or QuotaExceeded (413), Invalid (400), Http404, PermissionDenied; for a
    sender also what request_room.reserve raises.
    """
    try:
        with transaction.atomic():
            upload = _promise(
                user, place, filename, size_bytes, content_type, type_policy, visibility, tag_names, part_size, sender
            )
            assert_stands(place)
            upload.save(force_insert=True)
            return upload
    except Refused as refusal:
        _record_broken_promise(
            user=user, place=place, name=filename, size_bytes=size_bytes, refusal=refusal, sender=sender
        )
        raise


@transaction.atomic
def initiate_many(*, user, place, files, tag_names=(), type_policy=None, part_size=None, sender=None):
    """Begin several uploads at once. `files` are dicts of filename, size_bytes, content_type and optional tag_names.

    All files get `tag_names` besides their own. Returns, in order, an Upload or the Refused for each file; a refused
    file does not stop the others. Raises Invalid (400) when `tag_names` are not valid tags.
    """
    shared = tags.clean_names(tag_names)
    answers = []
    for facts in files:
        all_facts = {**facts, "tag_names": [*shared, *facts.get("tag_names", ())]}
        try:
            answers.append(
                _promise(user, place, **all_facts, type_policy=type_policy, part_size=part_size, sender=sender)
            )
        except Refused as refusal:
            answers.append(refusal)
            _record_broken_promise(
                user=user,
                place=place,
                name=facts["filename"],
                size_bytes=facts["size_bytes"],
                refusal=refusal,
                sender=sender,
            )
    assert_stands(place)
    Upload.objects.bulk_create([answer for answer in answers if isinstance(answer, Upload)])
    return answers


def _promise(
    user,
    place,
    filename,
    size_bytes,
    content_type,
    type_policy=None,
    visibility=Visibility.PRIVATE,
    tag_names=(),
    part_size=None,
    sender=None,
):
    if visibility == Visibility.PUBLIC and place.folder.owner_id != user.pk:
        # Only files of the user's personal folder can be public. In shared folders, permissions decide who sees a file.
        raise PermissionDenied
    policy = type_policy or place.folder.type_policy
    # Check everything before the space is reserved: initiate_many goes on after a refused file in the same
    # transaction, so a reservation made before the refusal would stay.
    cleaned_tags = tags.clean_names(tag_names)
    name = filenames.clean(filename)
    if size_bytes == 0 and policy == file_types.OFFICE:
        raise inspection.EmptyFile
    content_type = file_types.check_declared(policy, name, content_type)
    if size_bytes > settings.MAX_UPLOAD_BYTES:
        raise TooLarge
    if sender is None:
        quotas.reserve(folder_id=place.folder.pk, size_bytes=size_bytes)
    else:
        request_room.reserve(sender=sender, folder_id=place.folder.pk, size_bytes=size_bytes)
    pk = uuid.uuid4()
    return Upload(
        pk=pk,
        folder=place.folder,
        subfolder=place.subfolder,
        filename=name,
        size_bytes=size_bytes,
        content_type=content_type,
        type_policy=policy,
        object_key=object_key(place, pk, name) if sender is None else received_key(pk, name),
        part_size=_part_size(size_bytes, part_size),
        visibility=visibility,
        tags=cleaned_tags,
        uploaded_by=user,
        sender=sender,
        expires_at=timezone.now() + settings.UPLOAD_LIFETIME,
    )


def assert_stands(place):
    """Raise Http404 when the subfolder was deleted meanwhile.

    Call this after the reservation, which locks the folder's row. A deletion waits for that lock.
    """
    if place.subfolder is not None and not place.folder.subfolders.filter(pk=place.subfolder.pk).exists():
        raise Http404


def object_key(place, file_id, name):
    """files/{folder_slug}/{subfolder_slug}/{file_uuid}/{filename}; the subfolder is left out when there is none."""
    parts = ["files", place.folder.slug, place.subfolder and place.subfolder.slug, str(file_id)]
    return "/".join([part for part in parts if part] + [filenames.ascii_key_name(name)])


def received_key(file_id, name):
    """files/received/{file_uuid}/{filename}. Signed URLs show the key, so it must not tell senders a folder's name."""
    return f"files/received/{file_id}/{filenames.ascii_key_name(name)}"


def file_id_of(key):
    """The id of the file whose bytes are at this key; None for a key of another form."""
    parts = key.split("/")
    return uuid.UUID(parts[-2]) if len(parts) > 2 and is_uuid(parts[-2]) else None


def _part_size(size_bytes, wish=None):
    """The size of a part in bytes, or None for a single PUT.

    Parts are PART_SIZE_BYTES, or the `wish` for smaller ones, but LEAST_PART_SIZE at least; or larger (a whole number
    of MiB) when MAX_PARTS of that size would not hold the file.
    """
    threshold, usual = settings.MULTIPART_THRESHOLD_BYTES, settings.PART_SIZE_BYTES
    if wish is not None:
        usual = min(usual, max(wish, LEAST_PART_SIZE))
        # Where a cut part goes on, a file of one part is better off than a single PUT.
        threshold = min(threshold, usual if get_store().is_remote else settings.MIB)
    if size_bytes <= threshold:
        return None
    needed = -(-size_bytes // settings.MAX_PARTS)
    blocks = -(-needed // settings.MIB)
    return max(usual, blocks * settings.MIB if needed > usual else 0)


def transfer(upload, *, only_missing=False):
    """The Transfer of an upload, with new URLs for all its bytes or, with `only_missing`, for the missing parts.

    The first call for a multipart upload begins it in the store. Raises StoreUnavailable (503), UploadGone, and with
    `only_missing` MultipartMissing (404).
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
        _begin_parts(store, upload)
    expires_in = settings.PART_URL_EXPIRY_SECONDS
    received = []
    if only_missing:
        try:
            received = store.list_parts(upload.object_key, upload.store_upload_id)
        except MultipartMissing:
            if store.head(upload.object_key) is None:
                raise
            # A request completed the parts in the store and died before it made the File. No bytes are missing.
            return Transfer(upload, expires_in)
    have = {part.part_number for part in received}
    begun = store.begun_parts(upload.object_key, upload.store_upload_id)
    parts = [
        {
            "part_number": number,
            **({} if begun is None else {"begun_bytes": begun.get(number, 0)}),
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


def _begin_parts(store, upload):
    begun = store.create_multipart(
        upload.object_key,
        content_type=upload.content_type,
        size_bytes=upload.size_bytes,
        part_size=upload.part_size,
    )
    if not Upload.objects.filter(pk=upload.pk, store_upload_id="").update(store_upload_id=begun):
        # Another request began the parts first, or gave the upload up.
        store.abort_multipart(upload.object_key, begun)
        begun = Upload.objects.filter(pk=upload.pk).values_list("store_upload_id", flat=True).first()
        if begun is None:
            raise UploadGone
    upload.store_upload_id = begun


def begin(promised):
    """The Transfers of new Uploads, in order.

    Raises StoreUnavailable (503) after it has removed all of them: no client knows their ids yet.
    """
    try:
        return [transfer(upload) for upload in promised]
    except StoreUnavailable:
        with transaction.atomic():
            for upload in promised:
                _forget(upload)
        raise


def assert_open(file_id):
    """Raise unless the upload `file_id` still takes bytes: 404 `upload_gone`, 409 `upload_completed`."""
    upload = Upload.objects.filter(pk=file_id).only("status", "expires_at").first()
    if upload is not None and upload.status == UploadStatus.PENDING and upload.expires_at > timezone.now():
        return
    if upload is not None and upload.status == UploadStatus.COMPLETING or exists(file_id, File.objects.all()):
        raise Conflict(_("This upload is complete; its bytes do not change any more."), code="upload_completed")
    raise UploadGone


def abort(*, user, file_id, sender=None):
    """Abort an unfinished upload. Its space is released at once, its bytes are deleted after the commit.

    Raises Http404.
    """
    with transaction.atomic():
        upload = get_visible(file_id, Upload.objects.begun_by(user, sender).select_for_update())
        record(
            Action.UPLOAD_ABORTED,
            target=upload,
            folder=upload.folder,
            size_bytes=upload.size_bytes,
            **done_by(user, sender),
        )
        drop(upload)


@transaction.atomic
def give_up(*, user, file_id):
    """Abort an unfinished upload that is the user's own; a super may abort all. Returns the Upload as it was.

    Raises Http404.
    """
    upload = get_visible(file_id, Upload.objects.endable_by(user).select_for_update(of=("self",)))
    record(
        Action.UPLOAD_ABORTED,
        user=user,
        target=upload,
        folder=upload.folder,
        size_bytes=upload.size_bytes,
        uploader=upload.uploaded_by.email,
    )
    drop(upload)
    return upload


def progress(upload):
    """(bytes, number of parts) that the store has received of a multipart upload. Raises StoreUnavailable (503).

    None for a single PUT: the store tells nothing about it until it is finished.
    """
    if not upload.is_multipart:
        return None
    if not upload.store_upload_id:
        return 0, 0
    try:
        parts = get_store().list_parts(upload.object_key, upload.store_upload_id)
    except MultipartMissing:
        return upload.size_bytes, upload.part_count
    return sum(part.size_bytes for part in parts), len(parts)


def done_by(user, sender=None):
    """Facts for the log about who acted: `user`, or the sender on their behalf with the name and address they gave."""
    return {"user": user} if sender is None else request_room.facts(sender)


def remove_abandoned(*, limit=500):
    """Give up expired uploads. Two processes may run this at the same time. Returns how many uploads were given up."""
    count = 0
    for pk in list(Upload.objects.abandoned().values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            upload = Upload.objects.abandoned().select_for_update(skip_locked=True, of=("self",)).filter(pk=pk).first()
            if upload is not None:
                record(Action.UPLOAD_ABORTED, target=upload, folder=upload.folder, reason="abandoned")
                drop(upload)
                count += 1
    return count


@transaction.atomic
def drop(upload):
    """Remove the row and release the space. After the commit delete the bytes that have arrived."""
    _forget(upload)
    transaction.on_commit(lambda: remove_bytes(upload), robust=True)


def _forget(upload):
    if Upload.objects.filter(pk=upload.pk).delete()[0]:
        quotas.release(folder_id=upload.folder_id, reserved_bytes=upload.size_bytes)
        if upload.sender_id:
            request_room.release(upload)


def remove_bytes(upload):
    """Delete from the store the bytes of an upload whose row is gone. Does nothing when the upload became a File."""
    if File.objects.filter(pk=upload.pk).exists():
        return
    store = get_store()
    if upload.store_upload_id:
        store.abort_multipart(upload.object_key, upload.store_upload_id)
    store.discard_put(upload.object_key)
    store.delete(upload.object_key)


@transaction.atomic
def _record_broken_promise(*, user, place, name, size_bytes, refusal, sender):
    """Log why an upload was refused. Refusals with 410 or 413 are logged at most once a minute for each user,
    sender and folder."""
    if isinstance(refusal, FileTypeRefused):
        record_refusal(user=user, place=place, name=name, size_bytes=size_bytes, refusal=refusal, sender=sender)
    elif refusal.status in (410, 413):
        record_seldom(
            Action.UPLOAD_REFUSED,
            about=f"{user.pk} {sender and sender.pk} {place.folder.pk}",
            code=refusal.code,
            folder=place.folder,
            subfolder=place.subfolder,
            size_bytes=size_bytes,
            filename=filenames.clean(name),
            **done_by(user, sender),
        )


def record_refusal(*, user, place, name, size_bytes, refusal, sender=None):
    """Log the refusal and notify the uploader. `place` is a Place or an Upload.

    A sender has no account to notify, and learns it from the answer.
    """
    name = filenames.clean(name)
    record(
        Action.UPLOAD_REFUSED,
        folder=place.folder,
        subfolder=place.subfolder,
        size_bytes=size_bytes,
        code=refusal.code,
        filename=name,
        **done_by(user, sender),
    )
    if sender is not None:
        return
    notify(user, "upload_refused", filename=name, reason=str(refusal.message), folder_slug=place.folder.slug)
