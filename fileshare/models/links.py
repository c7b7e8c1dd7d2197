"""Download links that were spent."""

from django.conf import settings
from django.db import models

from .files import File


class RedeemedLink(models.Model):
    """The one use of a one-time link. The nonce is the primary key: of many claims one inserts it."""

    nonce = models.CharField(primary_key=True, max_length=43)
    file = models.ForeignKey(File, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    redeemed_at = models.DateTimeField(db_index=True)

    def __str__(self):
        return f"{self.file_id} by {self.user_id}"
