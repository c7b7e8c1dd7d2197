"""Run `manage.py check --deploy` with the documented production settings. Exits with 1 on any warning."""

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def production(data_dir):
    """The environment of a production portal, with new random secrets."""
    # As Fernet makes a key: 32 random bytes, base64.
    link_key = secrets.token_urlsafe(32) + "="
    return {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(data_dir),
        "HOST": "0.0.0.0",  # noqa: S104 - nothing listens
        "SITE_URL": "https://portal.example.org",
        "TRUSTED_PROXY_COUNT": "1",
        "WEB_WORKERS": "4",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "LINK_KEYS": link_key,
        "DATABASE_URL": f"postgres://portal:{secrets.token_hex(24)}@db.example.org:5432/portal",
        "REDIS_URL": f"redis://:{secrets.token_hex(24)}@redis.example.org:6379/0",
        "EMAIL_BACKEND_KIND": "smtp",
        "EMAIL_HOST": "mail.example.org",
        "EMAIL_HOST_USER": "portal",
        "EMAIL_HOST_PASSWORD": secrets.token_urlsafe(24),
    }


def main():
    with tempfile.TemporaryDirectory(prefix="portal-check-") as folder:
        command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
        return subprocess.run(command, cwd=ROOT, env=production(folder), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
