"""How a form's file reaches the disk: in blocks, and never more than a form may carry."""

import errno
import logging
from contextlib import contextmanager, suppress

from django.conf import settings
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.utils.translation import gettext as _

from .errors import Refused

logger = logging.getLogger(__name__)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FormTooLarge(Refused):
    """413: larger files go straight to the object store."""

    def __init__(self):
        super().__init__(
            413,
            "form_too_large",
            _("A form takes at most %(most)d bytes; upload larger files directly.")
            % {"most": settings.MAX_FORM_UPLOAD_BYTES},
        )


class NoSpaceLeft(Refused):
    """503: the disk where forms wait is full."""

    def __init__(self):
        super().__init__(
            503, "store_full", _("There is no space left for this form. Try again later."), retry_after=300
        )


class BoundedTemporaryFileUploadHandler(TemporaryFileUploadHandler):
    """Spools to a temporary file and stops at MAX_FORM_UPLOAD_BYTES, counted over the whole form."""

    chunk_size = 1024 * 1024

    def __init__(self, request=None):
        super().__init__(request)
        self.received_bytes = 0

    def new_file(self, *args, **kwargs):
        """Raises NoSpaceLeft."""
        with self._space():
            super().new_file(*args, **kwargs)

    def receive_data_chunk(self, raw_data, start):
        """Raises FormTooLarge, NoSpaceLeft; the spooled part is removed with the handler."""
        self.received_bytes += len(raw_data)
        if self.received_bytes > settings.MAX_FORM_UPLOAD_BYTES:
            self.file.close()
            raise FormTooLarge
        with self._space():
            return super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size):
        """Raises NoSpaceLeft: the last bytes reach the disk now."""
        with self._space():
            return super().file_complete(file_size)

    @contextmanager
    def _space(self):
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            with suppress(AttributeError, OSError):  # it may not have got so far as to have one
                self.file.close()
            logger.error("No space for a form: %s", error)
            raise NoSpaceLeft from error
