"""The mail backends of our own: `file` writes each message as one .eml file, `smtp` greets by the portal's name."""

import os
import re
import time
import uuid
from pathlib import Path

from django.conf import settings
from django.core.mail.backends import smtp
from django.core.mail.backends.base import BaseEmailBackend


class OneFileEachBackend(BaseEmailBackend):
    """Writes a message completely or not at all: to a draft file, then renames it. File names sort by time."""

    def send_messages(self, email_messages):
        """Returns the number of messages written."""
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


class NamedSMTPBackend(smtp.EmailBackend):
    """Greets the mail server (EHLO) by EMAIL_HELO_NAME. Django says the machine's name: a container's is an id."""

    @property
    def connection_class(self):
        """The class of smtplib, with our name."""
        kind = super().connection_class

        def connect(*args, **options):
            return kind(*args, **options | {"local_hostname": settings.EMAIL_HELO_NAME})

        return connect
