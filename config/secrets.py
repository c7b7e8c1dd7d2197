"""Keys of an installation that was given none: made once, kept under DATA_DIR, readable by its owner only.

For the embedded default on one machine. Anything reachable from elsewhere gets its keys from the
environment, and settings refuse to start without them.
"""

import os
import secrets

from cryptography.fernet import Fernet


def load_or_create(path):
    """The keys kept in the file `path` as a dict: SECRET_KEY, LINK_KEYS. Made on first use (mode 0600).

    Two processes that start at once agree: the file is linked into place whole, and the first wins.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"SECRET_KEY={secrets.token_urlsafe(64)}\nLINK_KEYS={Fernet.generate_key().decode()}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return _read(path)


def _read(path):
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}
