"""ZIP archives whose download can be resumed."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


class Archive(models.Model):
    """The fixed list of files of a bulk download, so that a resumed download gets the same bytes.

    `entries` are [[file id, path, crc behind], …]; `skipped` is the text of SKIPPED.txt. "crc behind" is true when
    the CRC-32 was unknown when the list was made: then the archive holds it behind the file's bytes.

    Sizes and CRCs come from the files, which never change. Every request checks that the user may still download them.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    entries = models.JSONField()
    skipped = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self):
        return str(self.pk)
