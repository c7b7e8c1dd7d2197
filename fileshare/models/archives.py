"""ZIP archives whose download can be resumed."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Archive(models.Model):
    """The fixed list of files of a bulk download, so that a resumed download gets the same bytes.

    `entries` are [[file id, path, crc behind], …]; `skipped` is the text of SKIPPED.txt. "crc behind" is true when
    the CRC-32 was unknown when the list was made: then the archive holds it behind the file's bytes.

    It is of a `user`, or of one `use` of a share link. Sizes and CRCs come from the files, which never change. Every
    request checks that the user may still download them, or that the link still carries them.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    use = models.OneToOneField("fileshare.ShareDownload", on_delete=models.CASCADE, null=True, related_name="archive")
    entries = models.JSONField()
    skipped = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, use=None) | Q(user=None, use__isnull=False),
                name="archive_of_user_or_use",
            )
        ]

    def __str__(self):
        return str(self.pk)
