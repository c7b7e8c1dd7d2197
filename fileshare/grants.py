"""Giving a folder more room for a time. When that is over nothing is deleted; only new uploads are refused."""

from django.db import transaction

from audit.log import record
from audit.models import Action

from .models import QuotaGrant


@transaction.atomic
def give(*, folder, extra_bytes, starts_at, ends_at, source, user=None):
    """Add `extra_bytes` to the folder's quota from `starts_at` until `ends_at`. Returns the QuotaGrant.

    Given once for each `source`, however often or by however many at once this is called: whoever
    comes later gets the grant that is there.
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
