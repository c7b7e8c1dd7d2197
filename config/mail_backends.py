"""The `file` mail backend: each message one .eml file under EMAIL_FILE_PATH."""

import os
import re
import time
import uuid
from pathlib import Path

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend


class OneFileEachBackend(BaseEmailBackend):
    """Writes a message whole or not at all (written aside, then renamed); names sort by time."""

    def send_messages(self, email_messages):
        """Returns how many were written."""
        folder = Path(settings.EMAIL_FILE_PATH)
        folder.mkdir(parents=True, exist_ok=True)
        for message in email_messages:
            to = re.sub(r"[^A-Za-z0-9@._+-]", "_", ",".join(message.to))[:80]
            name = f"{time.time_ns()}-{to}-{uuid.uuid4().hex[:8]}.eml"
            draft = folder / f".{name}"
            draft.touch(0o600)
            draft.write_bytes(message.message().as_bytes())
            os.replace(draft, folder / name)
        return len(email_messages)
