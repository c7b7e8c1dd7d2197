"""The actions on folders and files that the log records."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Action(models.TextChoices):
    """Stored text and label."""

    FOLDER_CREATED = "folder_created", _("Folder made")
    FOLDER_CHANGED = "folder_changed", _("Folder changed")
    FOLDER_DELETED = "folder_deleted", _("Folder deleted")
    GRANTED = "permission_granted", _("Permission granted")
    REVOKED = "permission_revoked", _("Permission revoked")
    UPLOAD = "upload", _("Uploaded")
    UPLOAD_REFUSED = "upload_refused", _("Upload refused")
    UPLOAD_ABORTED = "upload_aborted", _("Upload given up")
    LINK_MADE = "link_created", _("Download link made")
    LINK_REFUSED = "link_refused", _("Download link refused")
    DOWNLOAD = "download", _("Downloaded")
    PREVIEW = "preview", _("Looked at")
    SHARE_CREATED = "share_created", _("Share link made")
    SHARE_REVOKED = "share_revoked", _("Share link revoked")
    SHARE_REFUSED = "share_refused", _("Share link refused")
    REQUEST_CREATED = "request_created", _("File request made")
    REQUEST_CHANGED = "request_changed", _("File request changed")
    REQUEST_CLOSED = "request_closed", _("File request closed")
    REQUEST_REFUSED = "request_refused", _("File request refused")
    FILE_CHANGED = "file_changed", _("File changed")
    FILE_MOVED = "file_moved", _("File moved")
    FILE_COPIED = "file_copied", _("File copied")
    QUARANTINED = "quarantined", _("Put into quarantine")
    QUARANTINE_RELEASED = "quarantine_released", _("Released from quarantine")
    HOLD_PLACED = "hold_placed", _("Legal hold placed")
    HOLD_RELEASED = "hold_released", _("Legal hold released")
    CLIENT_NUDGED = "client_nudged", _("Reminded of waiting files")
    DELETE = "delete", _("Deleted")
    RESTORE = "restore", _("Restored")
    PURGE = "purge", _("Deleted for good")
    EXPIRED = "expired", _("Expired")
    SPACE_GRANTED = "space_granted", _("Space granted")
    QUOTA_REPAIRED = "quota_repaired", _("Sizes repaired")
    STORE_RECONCILED = "store_reconciled", _("Store compared with the files")


FILE_ACTIONS = tuple(action for action in Action if action != Action.SPACE_GRANTED)
"""The actions about files and folders. The other one is about bought space."""
SECRET_ACTIONS = (Action.HOLD_PLACED, Action.HOLD_RELEASED)
"""Only supers see these. A user under a legal hold must not learn that it was placed or released."""
