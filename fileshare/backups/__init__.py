"""Backups: a snapshot of the database, and the list of the objects that its rows name.

    backups/<stamp>/database.jsonl.gz   every row (dump)
    backups/<stamp>/manifest.jsonl.gz   every object, with its checksums (objects)
    backups/<stamp>/backup.json         a summary of both files with their SHA-256; written last

A backup without backup.json is incomplete: it is never restored and never counted. Backups are stored in the object
store, or in a folder that also contains a copy of each object (shelf). The operations are `making.make`,
`restoring.restore` and `verifying.verify`. A backup does not contain the keys and secrets of the settings.
"""

from django.utils.translation import gettext as _

from config.errors import Refused


class BackupRefused(Refused):
    """409: there is no such backup, or it does not fit this portal."""

    def __init__(self, message):
        super().__init__(409, "backup_refused", message)


class BackupBusy(BackupRefused):
    """409: another process is making or restoring a backup."""

    def __init__(self):
        super().__init__(_("Another backup or restore is under way."))
