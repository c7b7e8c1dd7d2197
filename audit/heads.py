"""Signed ends of the chain, kept outside the database, so that a cut-off end of the log is noticed.

They are stored in the portal's default storage (the bucket, or DATA_DIR/media) as audit-heads/<date>.json. They also go
to the log lines, which a firm keeps elsewhere.
"""

import json
from dataclasses import asdict, dataclass

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

FOLDER = "audit-heads"


@dataclass(frozen=True)
class Head:
    """Row `seq` had the hash `hash` at `signed_at` (RFC 3339).

    With `accepted`, an administrator looked into the rows before and accepted them as they are; from here on the chain
    must be whole.
    """

    seq: int
    hash: str
    signed_at: str
    signature: str
    accepted: bool = False


def names():
    """The names of the kept heads' files, oldest first."""
    try:
        _folders, found = default_storage.listdir(FOLDER)
    except FileNotFoundError:
        return []
    return sorted(name for name in found if name.endswith(".json"))


def kept():
    """(the heads in the default storage, oldest first; names of files there that are not heads)."""
    found, strange = [], []
    for name in names():
        with default_storage.open(f"{FOLDER}/{name}") as stored:
            try:
                found.append(read(stored.read(), name))
            except ValueError:
                strange.append(name)
    return found, strange


def read(text, name):
    """The Head in a file's text. Raises ValueError that names the file."""
    try:
        facts = json.loads(text)
        head = Head(**facts)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} is no head of the log") from error
    texts = (head.hash, head.signed_at, head.signature)
    if type(head.seq) is not int or type(head.accepted) is not bool or not all(isinstance(t, str) for t in texts):
        raise ValueError(f"{name} is no head of the log")
    return head


def write(head, name):
    """Store a head under `name`, which must be new."""
    default_storage.save(f"{FOLDER}/{name}", ContentFile(json.dumps(asdict(head)).encode()))
