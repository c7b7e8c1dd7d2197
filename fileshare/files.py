"""What is done with a stored file: rename, publish, tag, delete, and let expire."""

import zlib
from functools import partial
from hashlib import sha256

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config.access import get_allowed
from config.errors import Invalid

from . import file_types, filenames, quotas, tags
from .folders import locked_folder
from .models import File, Visibility
from .storage import ObjectMissing, get_store


@transaction.atomic
def change(*, user, file_id, filename=None, visibility=None, tag_names=None):
    """Rename a file, set who may see it, replace its tags; None leaves a part as it is. Returns the File.

    The bytes and their key stay. A new name keeps the kind: the extension may not change, for the
    content was checked against it. Raises Http404, PermissionDenied, Invalid (400).
    """
    visible = File.objects.visible_to(user)
    changeable = File.objects.deletable_by(user).select_for_update(of=("self",))
    file = get_allowed(file_id, visible=visible, allowed=changeable)
    changes = {}
    if filename is not None:
        name = filenames.clean(filename)
        if filenames.extension(name) != filenames.extension(file.filename):
            raise Invalid("filename", _("The ending of a file's name stays as it is."), code="extension_changed")
        file_types.check_extension(file.folder.type_policy, name)
        changes["filename"] = name
    if visibility is not None and visibility != file.visibility:
        if visibility not in Visibility.values:
            raise Invalid("visibility", _("A file is private or public."))
        # 403 for a file of a shared folder: who may see those is its permissions' business.
        get_allowed(file_id, visible=visible, allowed=File.objects.publishable_by(user))
        changes["visibility"] = visibility
    before = {name: getattr(file, name) for name in changes}
    for name, value in changes.items():
        setattr(file, name, value)
    if changes:
        file.save(update_fields=list(changes))
    if tag_names is not None:
        file.tags.set(tags.rows(tags.clean_names(tag_names)))
        changes["tags"] = True
    if changes:
        record(Action.FILE_CHANGED, user=user, target=file, folder=file.folder, before=before, after=changes)
    return file


@transaction.atomic
def delete(*, user, file_id):
    """Delete a file and give its space back. Returns the File as it was.

    Raises Http404 when `user` may not see it, PermissionDenied when they may see it but not delete
    it. Its bytes go after the commit.
    """
    visible, deletable = File.objects.visible_to(user), File.objects.deletable_by(user)
    file = get_allowed(file_id, visible=visible, allowed=deletable)
    locked_folder(file.folder_id)
    file = get_allowed(file_id, visible=visible, allowed=deletable.select_for_update(of=("self",)))
    pk = file.pk
    _remove(file, Action.DELETE, user=user)
    file.pk = pk
    return file


def remove_expired(*, limit=500):
    """Delete files whose time is over; many workers may run it at once. Returns how many went."""
    count = 0
    expired = File.objects.filter(expires_at__lte=timezone.now())
    for pk, folder_id in list(expired.order_by("expires_at").values_list("pk", "folder_id")[:limit]):
        with transaction.atomic():
            locked_folder(folder_id)
            file = expired.select_for_update(skip_locked=True).filter(pk=pk).first()
            if file is not None:
                _remove(file, Action.EXPIRED)
                count += 1
    return count


def _remove(file, action, *, user=None):
    folder = file.folder
    record(action, user=user, target=file, folder=folder, size_bytes=file.size_bytes)
    quotas.free(folder_id=folder.pk, size_bytes=file.size_bytes)
    file.delete()
    transaction.on_commit(partial(get_store().delete, file.object_key), robust=True)


def read_checksums(file):
    """Read a file once for its SHA-256 and CRC-32, and keep both. Returns whether its bytes were there."""
    digest, crc = sha256(), 0
    try:
        for block in get_store().read_range(file.object_key, 0, file.size_bytes):
            digest.update(block)
            crc = zlib.crc32(block, crc)
    except ObjectMissing:
        return False
    file.sha256, file.crc32 = digest.hexdigest(), crc
    File.objects.filter(pk=file.pk).update(sha256=file.sha256, crc32=file.crc32)
    return True


def complete_checksums(*, limit=20):
    """Read files that came in parts, oldest first. Returns how many were read."""
    waiting = File.objects.filter(sha256="").order_by("uploaded_at")
    return sum(read_checksums(file) for file in list(waiting[:limit]))
