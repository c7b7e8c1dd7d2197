"""Give a folder more space for a time. When the time is over, no file is deleted; only new uploads are refused."""

from django.db import transaction

from audit.log import record
from fileshare.contributions.actions import Action
from fileshare.models import QuotaGrant


@transaction.atomic
def give(*, folder, extra_bytes, starts_at, ends_at, source, user=None):
    """Add `extra_bytes` to the folder's quota from `starts_at` until `ends_at`. Returns the QuotaGrant.

    Each `source` is given only once, even when several callers try at the same time. Later calls return the existing
    grant.
    """
    grant, created = QuotaGrant.objects.get_or_create(
        source=source,
        defaults={"folder": folder, "extra_bytes": extra_bytes, "starts_at": starts_at, "ends_at": ends_at},
    )
    if created:
        record(
            Action.SPACE_GRANTED,
            user=user,
            target=grant,
            folder=folder,
            size_bytes=extra_bytes,
            source=source,
            ends_at=ends_at,
        )
    return grant
