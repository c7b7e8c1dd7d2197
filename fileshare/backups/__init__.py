"""Backups: the database as it was at one moment, and the list of the objects its rows name.

    backups/<stamp>/database.jsonl.gz   every row (dump)
    backups/<stamp>/manifest.jsonl.gz   every object, with its checksums (objects)
    backups/<stamp>/backup.json         what the two hold and their SHA-256; written last

A backup without its backup.json was cut short: it is never chosen and never counted. Backups lie in
the object store, or in a folder that also holds a copy of each object (shelf). `making.make`,
`restoring.restore` and `verifying.verify` are the operations. Keys and secrets of the settings are in
none of it.
"""

from django.utils.translation import gettext as _

from config.errors import Refused


class BackupRefused(Refused):
    """409: there is no such backup, or it cannot be used here."""

    def __init__(self, message):
        super().__init__(409, "backup_refused", message)


class BackupBusy(BackupRefused):
    """409: somebody else is making or restoring one."""

    def __init__(self):
        super().__init__(_("Another backup or restore is under way."))
