"""Look up a row by its id; every view does it here."""

import uuid

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404


def get_allowed(pk, *, visible, allowed):
    """The row `pk` of the queryset `allowed`.

    Raises Http404 when `visible` does not hold the row or `pk` is not an id. Raises PermissionDenied when the row is
    visible but not allowed. Call it inside the transaction; `allowed` may carry select_for_update.
    """
    try:
        return allowed.get(pk=pk)
    except (allowed.model.DoesNotExist, ValidationError, ValueError, TypeError, OverflowError):
        pass
    if not exists(pk, visible):
        raise Http404
    raise PermissionDenied


def get_visible(pk, visible):
    """The row `pk` of `visible`. Raises Http404; a malformed id counts as unknown."""
    try:
        return visible.get(pk=pk)
    except (visible.model.DoesNotExist, ValidationError, ValueError, TypeError, OverflowError):
        raise Http404 from None


def prepared_row(prepared, **values):
    """The first row of a config.prepared.Prepared, or None; a malformed id counts as unknown."""
    try:
        return prepared.first(**values)
    except (ValidationError, ValueError, TypeError, OverflowError):
        return None


def exists(pk, queryset):
    """True when `queryset` holds `pk`; a malformed id does not exist."""
    try:
        return queryset.filter(pk=pk).exists()
    except (ValidationError, ValueError, TypeError, OverflowError):
        return False


def is_uuid(text):
    """True when `text` spells a UUID."""
    try:
        uuid.UUID(str(text))
    except ValueError:
        return False
    return True
