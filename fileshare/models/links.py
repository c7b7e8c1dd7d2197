"""One-time download links that have been used."""

from django.conf import settings
from django.db import models

from .files import File


class RedeemedLink(models.Model):
    """The use of a one-time link. Its nonce is the primary key: of several requests at once, only one can insert it."""

    nonce = models.CharField(primary_key=True, max_length=43)
    file = models.ForeignKey(File, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    redeemed_at = models.DateTimeField(db_index=True)

    def __str__(self):
        return f"{self.file_id} by {self.user_id}"
