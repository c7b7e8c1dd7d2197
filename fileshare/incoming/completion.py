"""Complete an upload: publish its bytes in the store, inspect them, and then make the File. Or resume it.

No transaction or lock is held while the store works. One conditional UPDATE claims the upload for one request. This
request publishes and inspects the bytes outside any transaction; then one short transaction makes the File.

That transaction also removes the Upload. So look for the Upload first and for the File second: in the other order, a
file that is made between both looks is found by neither of them.
"""

import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count

from django.db import DatabaseError, connection, transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import record
from config.access import get_visible
from config.errors import Conflict
from config.outside.queue import send_after_commit
from fileshare import checksums, tags
from fileshare.content import file_types, filenames, inspection
from fileshare.content.refusals import FileTypeRefused
from fileshare.contributions.actions import Action
from fileshare.folders import locked_folder
from fileshare.models import File, Upload
from fileshare.models.uploads import CLAIM_LEASE, UploadStatus
from fileshare.scanning import virus_gate
from fileshare.space import quotas, request_room
from fileshare.storage import ObjectMissing, Part, StoreUnavailable, get_store

from .uploads import UploadGone, done_by, drop, initiate, place_for, record_refusal, remove_bytes, transfer

# For files up to this size the answer waits for the checksums. A task computes those of larger files.
DIGEST_AT_ONCE_BYTES = 16 * 1024 * 1024
# How many seconds a second "complete" waits for the result of the first.
PATIENCE_SECONDS = 10
LOOK_EVERY_SECONDS = 0.1
RETRY_AFTER_SECONDS = 2


def complete(*, user, file_id, upload_id=None, parts=None, sender=None):
    """Turn an upload of `user` into a File when all its bytes have arrived. A second call returns the same File.

    `sender` is the RequestSender who began the upload on behalf of `user`; uploads of other senders give Http404.
    `parts` [{part_number, etag}] name the parts of a multipart upload. Raises Http404; a refusal with status 409 when
    bytes are missing or not as declared (the client can send them again); EmptyFile (400) or FileTypeRefused (415)
    when the content is refused, and then the upload and its bytes are deleted.
    """
    file = _complete_once(user, file_id, upload_id, parts, sender)
    if not file.sha256 and file.size_bytes <= DIGEST_AT_ONCE_BYTES:
        # The file exists by now. If the store fails here, the task computes the checksums later.
        with suppress(StoreUnavailable):
            checksums.compute(file)
    return file


def _complete_once(user, file_id, upload_id, parts, sender):
    upload = _unfinished(user, file_id, sender)
    if upload is None:
        return _completed(user, file_id, sender)
    if sender is not None and (upload.sender.request.closed_at or upload.expires_at <= timezone.now()):
        # The owner closed the request or renewed its address after the caller's check.
        raise UploadGone
    place_for(user=user, folder_id=upload.folder_id, subfolder_id=upload.subfolder_id)
    if upload.is_multipart and upload_id != upload.store_upload_id:
        raise Conflict(_("This is not the upload_id of this file."), code="wrong_upload_id")
    if not _claim(upload):
        return _wait_for_the_other(user, file_id, sender)
    with _claim_renewed(upload):
        try:
            info = _finish_in_store(upload, parts)
        except BaseException:
            _unclaim(upload)
            raise
        return _publish(upload, info)


def resume(*, user, file_id, sender=None):
    """What an upload of `user`, or of `sender` on their behalf, still needs: a Transfer of its missing bytes.

    Returns the File when the upload is complete. Raises Http404.
    """
    upload = _unfinished(user, file_id, sender)
    return _completed(user, file_id, sender) if upload is None else transfer(upload, only_missing=True)


def receive(*, user, place, filename, content_type, stream, size_bytes, **options):
    """Take a whole file from a form. `stream` is a binary file of `size_bytes`. Returns the File.

    Raises what `initiate` and `complete` raise. After a refusal or an error the upload and its bytes are deleted.
    """
    upload = initiate(
        user=user, place=place, filename=filename, size_bytes=size_bytes, content_type=content_type, **options
    )
    # Claim the upload at once, so that no client sends bytes to it; and send it as one piece, whatever its size.
    upload.part_size = None
    upload.status, upload.claimed_at = UploadStatus.COMPLETING, timezone.now()
    facts = {name: getattr(upload, name) for name in ("part_size", "status", "claimed_at")}
    if not Upload.objects.filter(pk=upload.pk).update(**facts):
        # The upload was given up in the same moment, because the owner closed the file request.
        raise UploadGone
    with _claim_renewed(upload):
        try:
            info = get_store().write(upload.object_key, stream, size_limit=size_bytes, content_type=upload.content_type)
        except BaseException:
            drop(upload)
            raise
        return _publish(upload, info, keep_on_fault=False)


def _unfinished(user, file_id, sender):
    """The Upload, or None. Ask this before `_completed`."""
    with suppress(Http404):
        return get_visible(file_id, Upload.objects.begun_by(user, sender).select_related("sender__request"))
    return None


def _completed(user, file_id, sender):
    """The File that an upload became. Raises Http404."""
    if sender is not None:
        # A sender may see no files, so find the file by their receipt.
        return get_visible(file_id, File.objects.filter(receipt__sender=sender))
    return get_visible(file_id, File.objects.visible_to(user).filter(uploaded_by=user))


def _claim(upload):
    """Claim the upload. True for the one request that may complete it now.

    `claimed_at` identifies this claim: another request that takes over sets another value.
    """
    upload.status, upload.claimed_at = UploadStatus.COMPLETING, timezone.now()
    return bool(
        Upload.objects.claimable().filter(pk=upload.pk).update(status=upload.status, claimed_at=upload.claimed_at)
    )


def _mine(upload):
    return Upload.objects.filter(pk=upload.pk, status=UploadStatus.COMPLETING, claimed_at=upload.claimed_at)


@contextmanager
def _claim_renewed(upload):
    """Renew the claim in a thread while the block runs. The store may need minutes to put a large object together;
    without renewing, another request would take the upload over after CLAIM_LEASE."""
    done = threading.Event()

    def renew():
        try:
            while not done.wait(CLAIM_LEASE.total_seconds() / 9):
                now = timezone.now()
                try:
                    if _mine(upload).update(claimed_at=now):
                        upload.claimed_at = now
                except DatabaseError:
                    connection.close()  # the next attempt opens a new connection and may succeed
        finally:
            connection.close()

    thread = threading.Thread(target=renew, name="claim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _unclaim(upload):
    _mine(upload).update(status=UploadStatus.PENDING, claimed_at=None)


def _wait_for_the_other(user, file_id, sender):
    """Wait for the request that claimed the upload first, and return its File.

    Raises Http404 when the upload ends without a File, Conflict (409) when that request gives up or takes too long.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_SECONDS)
        upload = _unfinished(user, file_id, sender)
        if upload is None:
            return _completed(user, file_id, sender)
        if upload.status == UploadStatus.PENDING:
            break
    raise Conflict(
        _("Another request is completing this upload; ask again."),
        code="upload_completing",
        retry_after=RETRY_AFTER_SECONDS,
    )


def _finish_in_store(upload, parts):
    store = get_store()
    if upload.is_multipart:
        # The caller names number and ETag of each part; the store knows the sizes.
        named = [Part(part["part_number"], part["etag"], size_bytes=0) for part in parts or ()]
        info = store.complete_multipart(
            upload.object_key,
            upload.store_upload_id,
            named,
            size_bytes=upload.size_bytes,
            part_size=upload.part_size,
        )
    else:
        try:
            info = store.complete_put(upload.object_key, size_bytes=upload.size_bytes)
        except ObjectMissing:
            raise Conflict(_("The bytes of this file have not arrived."), code="not_uploaded") from None
    if info.size_bytes != upload.size_bytes:
        raise Conflict(_("The bytes are not of the declared size."), code="wrong_size")
    return info


def _publish(upload, info, *, keep_on_fault=True):
    """Inspect the content and make the File. The caller has claimed the upload and published its bytes in the store."""
    store = get_store()
    try:
        with store.open(upload.object_key) as source:
            extension = inspection.inspect(
                source, size=info.size_bytes, filename=upload.filename, policy=upload.type_policy
            )
        return _make_file(upload, info, extension)
    except (FileTypeRefused, inspection.EmptyFile) as refusal:
        with transaction.atomic():
            record_refusal(
                user=upload.uploaded_by,
                place=upload,
                name=upload.filename,
                size_bytes=upload.size_bytes,
                refusal=refusal,
                sender=upload.sender,
            )
            drop(upload)
        raise
    except UploadGone:
        # While this request inspected the content, the upload was given up, or another request took over and finished.
        done = File.objects.filter(pk=upload.pk).first()
        if done is not None:
            return done
        remove_bytes(upload)
        raise
    except OSError as error:
        _give_back(upload, keep_on_fault)
        raise StoreUnavailable from error
    except BaseException:
        _give_back(upload, keep_on_fault)
        raise


def _give_back(upload, keep):
    _unclaim(upload) if keep else drop(upload)


def _true_name(upload, extension):
    """The name of a picture with its true ending, or with a number: `a (2).png` where `a.png` is another picture.

    Only what was sent under the same name is an older version of it. The caller has locked the folder.
    """
    there = File.objects.filter(folder=upload.folder_id, subfolder=upload.subfolder_id, deleted_at=None)
    others = there.exclude(sent_as=upload.filename)
    names = (filenames.with_extension(upload.filename, extension, number=number) for number in count(1))
    return next(name for name in names if not others.filter(filename=name).exists())


@transaction.atomic
def _make_file(upload, info, extension):
    if Upload.objects.select_for_update().filter(pk=upload.pk).first() is None:
        raise UploadGone
    now = timezone.now()
    # Read the folder again: upload.folder was read before the bytes arrived, and a long upload may have taken hours.
    days = locked_folder(upload.folder_id).retention_days
    names = {"filename": upload.filename, "content_type": upload.content_type}
    if extension != filenames.extension(upload.filename):
        # A picture of another kind than its name says.
        names = {
            "filename": _true_name(upload, extension),
            "content_type": file_types.KNOWN_TYPES[extension].content_type,
            "sent_as": upload.filename,
        }
    file = File.objects.create(
        pk=upload.pk,
        folder=upload.folder,
        subfolder=upload.subfolder,
        **names,
        size_bytes=info.size_bytes,
        sha256=info.sha256 or "",
        crc32=info.crc32,
        etag=info.etag,
        object_key=upload.object_key,
        uploaded_by=upload.uploaded_by,
        visibility=upload.visibility,
        uploaded_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
        **virus_gate.first_state(),
    )
    virus_gate.queue_scan()
    file.tags.set(tags.rows(upload.tags))
    quotas.settle(folder_id=upload.folder_id, reserved_bytes=upload.size_bytes, size_bytes=info.size_bytes)
    if upload.sender_id:
        request_room.settle(upload, file)
    Upload.objects.filter(pk=upload.pk).delete()
    record(
        Action.UPLOAD,
        target=file,
        folder=upload.folder,
        size_bytes=file.size_bytes,
        **({"sent_as": file.sent_as} if file.sent_as else {}),
        **done_by(upload.uploaded_by, upload.sender),
    )
    if not file.sha256 or file.crc32 is None:
        send_after_commit("fileshare.tasks.complete_checksums")
    return file
