"""Bytes that have come: published in the store, looked at, and only then a file.

Nothing is held while a store works: an upload is claimed by a conditional UPDATE, its bytes are
finished and inspected outside any transaction, and one short transaction makes the File.
"""

import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta

from django.db import DatabaseError, connection, transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config.access import exists, get_visible
from config.errors import Conflict
from config.queue import send_after_commit

from . import file_types, files, inspection, quotas, receiving, tags, virus_gate
from .folders import locked_folder
from .models import File, Upload
from .models.uploads import CLAIM_LEASE, UploadStatus
from .storage import ObjectMissing, Part, StoreUnavailable, get_store
from .uploads import UploadGone, done_by, drop, initiate, place_for, record_refusal, remove_bytes

# What is read in a blink has its checksums in the answer; those of larger files are a task's.
DIGEST_AT_ONCE_BYTES = 16 * 1024 * 1024
# How long a second "complete" waits for the first one's answer, in seconds.
PATIENCE_SECONDS = 10


def complete(*, user, file_id, upload_id=None, parts=None, sender=None):
    """Turn an upload of `user` whose bytes have all come into a File, and return it; again: the same File.

    `sender` is the RequestSender who began it on their behalf: what others began is not theirs to complete.
    `parts` [{part_number, etag}] name the parts of a multipart upload. Raises Http404; Conflict-like 409
    when bytes are missing or not as declared (the upload can be mended); FileTypeRefused (415) when
    the content is not what it claims, and then nothing of it stays.
    """
    file = _complete_once(user, file_id, upload_id, parts, sender)
    if not file.sha256 and file.size_bytes <= DIGEST_AT_ONCE_BYTES:
        # The file is made: a store that fails just now is asked again by the task.
        with suppress(StoreUnavailable):
            files.read_checksums(file)
    return file


def _complete_once(user, file_id, upload_id, parts, sender):
    done = _completed(user, file_id, sender)
    if done is not None:
        return done
    upload = get_visible(file_id, Upload.objects.begun_by(user, sender).select_related("sender__request"))
    if sender is not None and (upload.sender.request.closed_at or upload.expires_at <= timezone.now()):
        # Closed, or given another address, since the caller looked.
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


def receive(*, user, place, filename, content_type, stream, size_bytes, **options):
    """Take a whole file from a form: `stream` is its binary file of `size_bytes`. Returns the File.

    Raises what `initiate` and `complete` raise; a refusal or fault leaves nothing behind.
    """
    upload = initiate(
        user=user, place=place, filename=filename, size_bytes=size_bytes, content_type=content_type, **options
    )
    # Claimed from the start, and in one piece whatever its size: nobody else sends bytes of a form's upload.
    upload.part_size = None
    upload.status, upload.claimed_at = UploadStatus.COMPLETING, timezone.now()
    facts = {name: getattr(upload, name) for name in ("part_size", "status", "claimed_at")}
    if not Upload.objects.filter(pk=upload.pk).update(**facts):
        # Given up in the same moment: its request was closed.
        raise UploadGone
    with _claim_renewed(upload):
        try:
            info = get_store().write(upload.object_key, stream, size_limit=size_bytes, content_type=upload.content_type)
        except BaseException:
            drop(upload)
            raise
        return _publish(upload, info, keep_on_fault=False)


def _completed(user, file_id, sender):
    if sender is not None:
        # They see nothing, their own files neither: it is the receipt that is theirs.
        return File.objects.filter(pk=file_id, receipt__sender=sender).first()
    if not exists(file_id, File.objects.filter(uploaded_by=user)):
        return None
    return get_visible(file_id, File.objects.visible_to(user))


def _claim(upload):
    """True for the one request that may finish this upload now; `claimed_at` tells it from one that takes over."""
    upload.status, upload.claimed_at = UploadStatus.COMPLETING, timezone.now()
    return bool(
        Upload.objects.claimable().filter(pk=upload.pk).update(status=upload.status, claimed_at=upload.claimed_at)
    )


def _mine(upload):
    return Upload.objects.filter(pk=upload.pk, status=UploadStatus.COMPLETING, claimed_at=upload.claimed_at)


@contextmanager
def _claim_renewed(upload):
    """Renew the claim in a thread as long as the block works: putting together a large object takes minutes."""
    done = threading.Event()

    def renew():
        try:
            while not done.wait(CLAIM_LEASE.total_seconds() / 3):
                now = timezone.now()
                try:
                    if _mine(upload).update(claimed_at=now):
                        upload.claimed_at = now
                except DatabaseError:
                    connection.close()  # the next one may get through, on a connection of its own
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
    """What the request that claimed the upload first makes of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.1)
        done = _completed(user, file_id, sender)
        if done is not None:
            return done
        upload = Upload.objects.begun_by(user, sender).filter(pk=file_id).first()
        if upload is None:
            done = _completed(user, file_id, sender)
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
    """Look at the content and make the File. The upload is claimed; its bytes are published in the store."""
    store = get_store()
    try:
        with store.open(upload.object_key) as source:
            inspection.inspect(source, size=info.size_bytes, filename=upload.filename, policy=upload.type_policy)
        return _make_file(upload, info)
    except (file_types.FileTypeRefused, inspection.EmptyFile) as refusal:
        with transaction.atomic():
            record_refusal(
                user=upload.uploaded_by,
                folder=upload.folder,
                name=upload.filename,
                size_bytes=upload.size_bytes,
                refusal=refusal,
                sender=upload.sender,
            )
            drop(upload)
        raise
    except UploadGone:
        # While its content was looked at it was given up, or finished by one who took over.
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


@transaction.atomic
def _make_file(upload, info):
    if Upload.objects.select_for_update().filter(pk=upload.pk).first() is None:
        raise UploadGone
    now = timezone.now()
    # As it is now: the folder that came with the request is as old as its body was long.
    days = locked_folder(upload.folder_id).retention_days
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
        **virus_gate.first_state(),
    )
    virus_gate.queue_scan()
    file.tags.set(tags.rows(upload.tags))
    quotas.settle(folder_id=upload.folder_id, reserved_bytes=upload.size_bytes, size_bytes=info.size_bytes)
    if upload.sender_id:
        receiving.settle(upload, file)
    Upload.objects.filter(pk=upload.pk).delete()
    record(
        Action.UPLOAD,
        target=file,
        folder=upload.folder,
        size_bytes=file.size_bytes,
        **done_by(upload.uploaded_by, upload.sender),
    )
    if not file.sha256 or file.crc32 is None:
        send_after_commit("fileshare.tasks.complete_checksums")
    return file
