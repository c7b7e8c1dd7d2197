"""The portal's only S3 configuration, for profile pictures and for the object store.

Not loaded when STORAGE is `local`.
"""

from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from s3transfer.exceptions import RetriesExceededError
from storages.backends.s3 import S3Storage

from config.errors import Refused

OUTAGE_RETRY_SECONDS = 30


def client_config(**changes):
    """The botocore Config of every S3 client. Times in seconds."""
    return Config(
        **{
            "signature_version": "s3v4",
            "s3": {"addressing_style": settings.S3_ADDRESSING_STYLE},
            # boto3 adds these checksums by default, and many S3-compatible services do not know them.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            # A service that hangs must not block the web's threads for long.
            "connect_timeout": 2,
            "read_timeout": 8,
            "retries": {"mode": "standard", "total_max_attempts": 2},
            "max_pool_connections": 50,
            "tcp_keepalive": True,
            **changes,
        }
    )


def make_client(*, endpoint_url=None, **changes):
    """A boto3 client of the S3 service; threads may share it. `changes` override its Config."""
    options = {name: value for name, value in settings.STORAGES["default"]["OPTIONS"].items() if name != "location"}
    if endpoint_url:
        options["endpoint_url"] = endpoint_url
    return S3Storage(**options, client_config=client_config(**changes)).connection.meta.client


class BucketStorage(S3Storage):
    """django-storages' S3 storage. When the service is down it raises Refused 503, so the portal does not fail."""

    def get_default_settings(self):
        return {**super().get_default_settings(), "client_config": client_config()}

    @cached_property
    def _impatient(self):
        return make_client(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})

    def ping(self):
        """Raise Refused (503) when the bucket does not answer within seconds."""
        with _asking():
            self._impatient.head_bucket(Bucket=self.bucket_name)

    def time(self):
        """The service's clock, to the second. Raises Refused (503) without an answer.

        A refusal is an answer, too: S3 refuses requests of a machine whose clock is a quarter of an hour off.
        """
        with _asking():
            try:
                answer = self._impatient.head_bucket(Bucket=self.bucket_name)
            except ClientError as error:
                answer = error.response
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])

    def _open(self, name, mode="rb"):
        with _asking():
            # Fetch it here. The first read would fetch it otherwise, outside `_asking`, and an outage would be a 500.
            return super()._open(name, mode).open()

    def _save(self, name, content):
        with _asking():
            return super()._save(name, content)

    def delete(self, name):
        with _asking():
            super().delete(name)

    def exists(self, name):
        with _asking():
            return super().exists(name)

    def listdir(self, name):
        with _asking():
            return super().listdir(name)

    def size(self, name):
        with _asking():
            return super().size(name)


@contextmanager
def _asking():
    try:
        yield
    except (BotoCoreError, ClientError, RetriesExceededError) as error:
        raise Refused(
            503,
            "store_unavailable",
            _("The file store does not answer. Try again."),
            retry_after=OUTAGE_RETRY_SECONDS,
        ) from error
