"""Writes a form's files to disk in blocks, and stops at the most bytes a form may carry."""

import logging
from contextlib import contextmanager, suppress

from django.conf import settings
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.utils.translation import gettext as _

from config.errors import Refused
from config.outside.fullness import is_full

logger = logging.getLogger(__name__)


class FormTooLarge(Refused):
    """413. Clients upload larger files straight to the object store."""

    def __init__(self):
        super().__init__(
            413,
            "form_too_large",
            _("A form takes at most %(most)d bytes; upload larger files directly.")
            % {"most": settings.MAX_FORM_UPLOAD_BYTES},
        )


class NoSpaceLeft(Refused):
    """503: the disk for uploaded forms is full."""

    def __init__(self):
        super().__init__(
            503, "store_full", _("There is no space left for this form. Try again later."), retry_after=300
        )


class BoundedTemporaryFileUploadHandler(TemporaryFileUploadHandler):
    """Spools to a temporary file. Stops at MAX_FORM_UPLOAD_BYTES, counted over all files of the form."""

    chunk_size = 1024 * 1024

    def __init__(self, request=None):
        super().__init__(request)
        self.received_bytes = 0

    def new_file(self, *args, **kwargs):
        """Raises NoSpaceLeft."""
        with self._space():
            super().new_file(*args, **kwargs)

    def receive_data_chunk(self, raw_data, start):
        """Raises FormTooLarge, NoSpaceLeft. The temporary file is deleted with the handler."""
        self.received_bytes += len(raw_data)
        if self.received_bytes > settings.MAX_FORM_UPLOAD_BYTES:
            self.file.close()
            raise FormTooLarge
        with self._space():
            return super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size):
        """Raises NoSpaceLeft, since this writes the last bytes to the disk."""
        with self._space():
            return super().file_complete(file_size)

    @contextmanager
    def _space(self):
        try:
            yield
        except OSError as error:
            if not is_full(error):
                raise
            with suppress(AttributeError, OSError):  # there may be no file yet
                self.file.close()
            logger.error("No space for a form: %s", error)
            raise NoSpaceLeft from error
