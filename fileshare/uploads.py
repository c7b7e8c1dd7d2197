"""Uploads: promised, told where their bytes go, resumed, given up. `completion` makes files of them."""

import uuid
from dataclasses import dataclass, field

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications import notify
from audit.log import record, record_seldom
from audit.models import Action
from config.access import exists, get_allowed, get_visible
from config.errors import Conflict, Refused

from . import file_types, filenames, inspection, quotas, receiving, tags
from .models import File, Folder, Upload, Visibility
from .models.uploads import UploadStatus
from .storage import MultipartMissing, StoreUnavailable, get_store


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
    *,
    user,
    place,
    filename,
    size_bytes,
    content_type,
    type_policy=None,
    visibility=Visibility.PRIVATE,
    tag_names=(),
    sender=None,
):
    """Promise a file: check its name and kind, reserve its space. Returns the Upload; nothing is sent yet.

    `sender` is a RequestSender who sends it on behalf of `user`, within the limits of their request too.
    Raises FileTypeRefused (415), TooLarge or QuotaExceeded (413), Invalid (400); for a sender also what
    receiving.reserve raises.
    """
    try:
        with transaction.atomic():
            upload = _promise(
                user, place, filename, size_bytes, content_type, type_policy, visibility, tag_names, sender
            )
            _assert_stands(place)
            upload.save(force_insert=True)
            return upload
    except Refused as refusal:
        _record_broken_promise(
            user=user, folder=place.folder, name=filename, size_bytes=size_bytes, refusal=refusal, sender=sender
        )
        raise


@transaction.atomic
def initiate_many(*, user, place, files, tag_names=(), type_policy=None, sender=None):
    """Promise several files at once. `files` are dicts of filename, size_bytes, content_type and, for some, tag_names.

    `tag_names` are put on all of them, besides their own. Returns, in order, an Upload or the Refused for each;
    one that is refused costs the others nothing. Raises Invalid (400) when no file could have `tag_names`.
    """
    shared = tags.clean_names(tag_names)
    answers = []
    for facts in files:
        all_facts = {**facts, "tag_names": [*shared, *facts.get("tag_names", ())]}
        try:
            answers.append(_promise(user, place, **all_facts, type_policy=type_policy, sender=sender))
        except Refused as refusal:
            answers.append(refusal)
            _record_broken_promise(
                user=user,
                folder=place.folder,
                name=facts["filename"],
                size_bytes=facts["size_bytes"],
                refusal=refusal,
                sender=sender,
            )
    _assert_stands(place)
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
    sender=None,
):
    if visibility == Visibility.PUBLIC and place.folder.owner_id != user.pk:
        # Who may see a file of a shared folder is its permissions' business.
        raise PermissionDenied
    policy = type_policy or place.folder.type_policy
    # Of many at once a refused one is passed over: whatever can be wrong is asked before the space is reserved.
    cleaned_tags = tags.clean_names(tag_names)
    name = filenames.clean(filename)
    if size_bytes < 1:
        raise inspection.EmptyFile
    content_type = file_types.check_declared(policy, name, content_type)
    if size_bytes > settings.MAX_UPLOAD_BYTES:
        raise TooLarge
    if sender is None:
        quotas.reserve(folder_id=place.folder.pk, size_bytes=size_bytes)
    else:
        receiving.reserve(sender=sender, folder_id=place.folder.pk, size_bytes=size_bytes)
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
        part_size=_part_size(size_bytes),
        visibility=visibility,
        tags=cleaned_tags,
        uploaded_by=user,
        sender=sender,
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


def received_key(file_id, name):
    """files/received/{file_uuid}/{filename}: a signed URL shows the key, and no stranger learns a folder's name."""
    return f"files/received/{file_id}/{filenames.ascii_key_name(name)}"


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
        _begin_parts(store, upload)
    expires_in = settings.PART_URL_EXPIRY_SECONDS
    received = []
    if only_missing:
        try:
            received = store.list_parts(upload.object_key, upload.store_upload_id)
        except MultipartMissing:
            if store.head(upload.object_key) is None:
                raise
            # Put together by a request that was killed before it made the file: there is nothing left to send.
            return Transfer(upload, expires_in)
    have = {part.part_number for part in received}
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


def _begin_parts(store, upload):
    begun = store.create_multipart(
        upload.object_key,
        content_type=upload.content_type,
        size_bytes=upload.size_bytes,
        part_size=upload.part_size,
    )
    if not Upload.objects.filter(pk=upload.pk, store_upload_id="").update(store_upload_id=begun):
        # Another request was faster, or gave the upload up.
        store.abort_multipart(upload.object_key, begun)
        begun = Upload.objects.filter(pk=upload.pk).values_list("store_upload_id", flat=True).first()
        if begun is None:
            raise UploadGone
    upload.store_upload_id = begun


def begin(promised):
    """The Transfers of Uploads just promised, in order.

    Raises StoreUnavailable (503), and then all of them are taken back: nobody learnt their ids.
    """
    try:
        return [transfer(upload) for upload in promised]
    except StoreUnavailable:
        with transaction.atomic():
            for upload in promised:
                _forget(upload)
        raise


def resume(*, user, file_id, sender=None):
    """The Transfer of what an unfinished upload of `user`, or of `sender` on their behalf, still lacks.

    Raises Http404.
    """
    return transfer(get_visible(file_id, Upload.objects.begun_by(user, sender)), only_missing=True)


def assert_open(file_id):
    """Raise unless the upload `file_id` still takes bytes: 404 `upload_gone`, 409 `upload_completed`."""
    upload = Upload.objects.filter(pk=file_id).only("status", "expires_at").first()
    if upload is not None and upload.status == UploadStatus.PENDING and upload.expires_at > timezone.now():
        return
    if upload is not None and upload.status == UploadStatus.COMPLETING or exists(file_id, File.objects.all()):
        raise Conflict(_("This upload is complete; its bytes do not change any more."), code="upload_completed")
    raise UploadGone


def abort(*, user, file_id, sender=None):
    """Give up an unfinished upload: its space is free at once, its bytes go after the commit. Raises Http404."""
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
    """Give up an unfinished upload that `user` may end: their own, or as a super anybody's. Returns it as it was.

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
    """(bytes, parts) of a multipart upload that the store holds; None for a single PUT, of which nothing is known
    until it is over. Raises StoreUnavailable (503)."""
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
    """Who the log says did it: `user`, or a stranger on their behalf, as they called themselves."""
    return {"user": user} if sender is None else receiving.facts(sender)


def remove_abandoned(*, limit=500):
    """Give up uploads whose time is over; safe to run twice or by two. Returns how many went."""
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
    """Remove the row, release the space; the bytes go after the commit, whatever was there of them."""
    _forget(upload)
    transaction.on_commit(lambda: remove_bytes(upload), robust=True)


def _forget(upload):
    if Upload.objects.filter(pk=upload.pk).delete()[0]:
        quotas.release(folder_id=upload.folder_id, reserved_bytes=upload.size_bytes)
        if upload.sender_id:
            receiving.release(upload)


def remove_bytes(upload):
    """Remove from the store what came of an upload whose row is gone; what became a File stays."""
    if File.objects.filter(pk=upload.pk).exists():
        return
    store = get_store()
    if upload.store_upload_id:
        store.abort_multipart(upload.object_key, upload.store_upload_id)
    store.discard_put(upload.object_key)
    store.delete(upload.object_key)


@transaction.atomic
def _record_broken_promise(*, user, folder, name, size_bytes, refusal, sender):
    """Log why a file may not come; of what is merely too large, once a minute for each folder."""
    if isinstance(refusal, file_types.FileTypeRefused):
        record_refusal(user=user, folder=folder, name=name, size_bytes=size_bytes, refusal=refusal, sender=sender)
    elif refusal.status in (410, 413):
        record_seldom(
            Action.UPLOAD_REFUSED,
            about=f"{user.pk} {sender and sender.pk} {folder.pk}",
            code=refusal.code,
            folder=folder,
            size_bytes=size_bytes,
            filename=filenames.clean(name),
            **done_by(user, sender),
        )


def record_refusal(*, user, folder, name, size_bytes, refusal, sender=None):
    """Log the refusal and tell the uploader; a sender without an account is told by the answer alone."""
    name = filenames.clean(name)
    record(
        Action.UPLOAD_REFUSED,
        folder=folder,
        size_bytes=size_bytes,
        code=refusal.code,
        filename=name,
        **done_by(user, sender),
    )
    if sender is not None:
        return
    notify(user, "upload_refused", filename=name, reason=str(refusal.message), folder_slug=folder.slug)
