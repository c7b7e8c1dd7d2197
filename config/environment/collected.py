"""Static files that `make run` has collected into the data folder, and whether they are those of this checkout."""

import hashlib
import os
from pathlib import Path

NAME = "sources"
"""The file beside them that holds the digest of what they were made of."""


def digest(base):
    """A digest of the checkout's static files, and of the code and packages that collect them, by size and time."""
    found = hashlib.sha256()
    sources = [
        base / "requirements.txt",
        base / "config" / "http" / "bundles.py",
        base / "config" / "http" / "static.py",
    ]
    sources += [Path(folder, name) for folder, _folders, names in os.walk(base / "static") for name in names]
    for path in sorted(sources):
        facts = path.stat()
        found.update(f"{path} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return found.hexdigest()


def is_fresh(folder, base):
    """True when `folder` holds the collected files of the checkout `base`."""
    try:
        return (folder / NAME).read_text(encoding="ascii") == digest(base)
    except (OSError, ValueError):
        return False


def note(folder, made_of):
    """Note that `folder` now holds the files whose `digest` was `made_of` before they were collected."""
    (folder / NAME).write_text(made_of, encoding="ascii")
