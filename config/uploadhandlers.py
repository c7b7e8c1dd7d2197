"""How a form's file reaches the disk: in blocks, and never more than a form may carry."""

from django.conf import settings
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.utils.translation import gettext as _

from .errors import Refused


class FormTooLarge(Refused):
    """413: larger files go straight to the object store."""

    def __init__(self):
        super().__init__(
            413,
            "form_too_large",
            _("A form takes at most %(most)d bytes; upload larger files directly.")
            % {"most": settings.MAX_FORM_UPLOAD_BYTES},
        )


class BoundedTemporaryFileUploadHandler(TemporaryFileUploadHandler):
    """Spools to a temporary file and stops at MAX_FORM_UPLOAD_BYTES, counted over the whole form."""

    chunk_size = 1024 * 1024

    def __init__(self, request=None):
        super().__init__(request)
        self.received_bytes = 0

    def receive_data_chunk(self, raw_data, start):
        """Raises FormTooLarge; the spooled part is removed with the handler."""
        self.received_bytes += len(raw_data)
        if self.received_bytes > settings.MAX_FORM_UPLOAD_BYTES:
            self.file.close()
            raise FormTooLarge
        return super().receive_data_chunk(raw_data, start)
