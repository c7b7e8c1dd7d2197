"""Ends of the chain, signed and kept outside the database: what was cut off behind one is missed.

They lie in the portal's default storage (the bucket, or DATA_DIR/media) as audit-heads/<date>.json, and are written
to the log lines as well, which a firm keeps elsewhere.
"""

import json
from dataclasses import asdict, dataclass

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

FOLDER = "audit-heads"


@dataclass(frozen=True)
class Head:
    """Row `seq` had the hash `hash` at `signed_at` (RFC 3339).

    With `accepted`, what lies before was looked into and taken as it is: from here the chain is to be whole.
    """

    seq: int
    hash: str
    signed_at: str
    signature: str
    accepted: bool = False


def names():
    """The files of the heads kept, oldest first."""
    try:
        _folders, found = default_storage.listdir(FOLDER)
    except FileNotFoundError:
        return []
    return sorted(name for name in found if name.endswith(".json"))


def kept():
    """(the heads kept in the default storage, oldest first; names of files there that are none)."""
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
    """Keep a head under `name`, which is not there yet."""
    default_storage.save(f"{FOLDER}/{name}", ContentFile(json.dumps(asdict(head)).encode()))
