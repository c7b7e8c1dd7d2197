"""The checks of the bucket in `manage.py check --deploy`. Loaded only when the portal uses a bucket."""

from botocore import UNSIGNED
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core import checks

from config.outside.bucket import make_client

from . import bucket

IDS = {"leak": "fileshare.E001", "cors": "fileshare.E002", "bucket": "fileshare.E003"}
QUICK = {"read_timeout": 5, "retries": {"total_max_attempts": 1}}


@checks.register(checks.Tags.security, deploy=True)
def bucket_is_safe(app_configs, **kwargs):
    """E001: the bucket leaks. E002: pages cannot use it. E003: it does not exist. W001: it cannot be asked."""
    try:
        found = list(
            bucket.differences(
                make_client(**QUICK),
                settings.S3_FILESHARE_BUCKET,
                stranger=make_client(signature_version=UNSIGNED, **QUICK),
                origins=settings.S3_CORS_ORIGINS,
                expiry=None,
            )
        )
    except (BotoCoreError, ClientError) as error:
        return [checks.Warning(f"The bucket could not be asked: {error}", id="fileshare.W001")]
    return [
        checks.Error(difference.text, hint="manage.py setup_bucket mends what it can.", id=IDS[difference.kind])
        for difference in found
        if difference.kind in IDS
    ]
