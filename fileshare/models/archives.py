"""Archives that can be resumed."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


class Archive(models.Model):
    """The frozen list of a bulk download: `entries` [[file id, path, crc behind], …] and the text of SKIPPED.txt.

    An entry's third part is true when its CRC-32 was not known at first: then it stands behind the bytes.

    Sizes and CRCs are those of the files, which never change; whether its maker may still have them is
    asked with every request.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    entries = models.JSONField()
    skipped = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self):
        return str(self.pk)
