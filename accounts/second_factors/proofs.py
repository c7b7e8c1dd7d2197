"""Proofs that work once: an answered challenge, a used half-way token."""

import hashlib
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import SpentProof


def _digest(proof):
    return hashlib.sha256(proof.encode()).hexdigest()


def is_spent(proof):
    """True when this proof was used before."""
    return SpentProof.objects.filter(digest=_digest(proof)).exists()


def spend(proof, *, lifetime):
    """Use up `proof` in the caller's transaction. Returns True for the first request, False for every other one.

    The row stays at least `lifetime` seconds. The proof itself must expire within that time: afterwards it could be
    used again.
    """
    try:
        with transaction.atomic():
            SpentProof.objects.create(
                digest=_digest(proof), expires_at=timezone.now() + timedelta(seconds=2 * lifetime)
            )
    except IntegrityError:
        return False
    return True


def forget_expired():
    """Delete the rows of proofs that have expired."""
    SpentProof.objects.filter(expires_at__lt=timezone.now()).delete()
