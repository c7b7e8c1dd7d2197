"""Proofs that count once: a challenge that was answered, a half-way token that was traded in."""

import hashlib
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from .models import SpentProof


def _digest(proof):
    return hashlib.sha256(proof.encode()).hexdigest()


def is_spent(proof):
    """True when somebody spent this proof before."""
    return SpentProof.objects.filter(digest=_digest(proof)).exists()


def spend(proof, *, lifetime):
    """True for the first who spends `proof`, in the caller's transaction; it is remembered for `lifetime` seconds,
    after which it has to have expired by itself."""
    try:
        with transaction.atomic():
            SpentProof.objects.create(
                digest=_digest(proof), expires_at=timezone.now() + timedelta(seconds=2 * lifetime)
            )
    except IntegrityError:
        return False
    return True


def forget_expired():
    """Remove what could not be shown again anyway."""
    SpentProof.objects.filter(expires_at__lt=timezone.now()).delete()
