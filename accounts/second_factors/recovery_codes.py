"""Recovery codes for a user who has lost the phone: ten, shown once; each works once."""

import hashlib
import secrets

from django.utils import timezone

from accounts.models import RecoveryCode

COUNT = 10
FEW = 3
# Four groups of four from 32 letters: 80 random bits. That is too many to guess, so a fast hash is enough.
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
GROUPS, LETTERS = 4, 4


def _hash(user, code):
    return hashlib.sha256(f"{user.pk}:{code}".encode("utf-8", "replace")).hexdigest()


def _plain(code):
    """The code in lower case, without the hyphens and spaces that the user typed."""
    return "".join(letter for letter in str(code).lower() if letter in ALPHABET)


def replace(user):
    """Make new codes for `user` in the caller's transaction; earlier codes stop working. Returns the new ones."""
    RecoveryCode.objects.filter(user=user).delete()
    codes = ["".join(secrets.choice(ALPHABET) for _n in range(GROUPS * LETTERS)) for _n in range(COUNT)]
    RecoveryCode.objects.bulk_create([RecoveryCode(user=user, code_hash=_hash(user, code)) for code in codes])
    return ["-".join(code[n : n + LETTERS] for n in range(0, len(code), LETTERS)) for code in codes]


def spend(user, code):
    """Use up an unused code of `user`. Returns True when there was one; of two requests at once, only one gets True."""
    text = _plain(code)
    if len(text) != GROUPS * LETTERS:
        return False
    unused = RecoveryCode.objects.filter(user=user, code_hash=_hash(user, text), used_at=None)
    return unused.update(used_at=timezone.now()) == 1


def left(user):
    """How many codes the user has not used."""
    return RecoveryCode.objects.filter(user=user, used_at=None).count()
