"""Creates the keys of an installation that was given none, and keeps them under DATA_DIR, readable by the owner only.

Only for an installation on one machine. A portal that other machines reach gets its keys from the environment; without
them the settings refuse to start.
"""

import os
import secrets

from cryptography.fernet import Fernet


def load_or_create(path):
    """The keys in the file `path` as a dict: SECRET_KEY, LINK_KEYS. Creates the file on first use (mode 0600).

    Two processes that start at the same time get the same keys: each links a complete file into place, and the first
    wins.
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
