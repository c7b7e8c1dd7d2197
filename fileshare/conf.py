"""The settings of files: where their bytes are stored, how large files may be, and how long they are kept."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from config.environment import env


def read(given):
    """Settings by name, from the environment and from the settings `given` by earlier modules.

    Raises ImproperlyConfigured.
    """
    files = {"STORAGE": env.one_of("STORAGE", "local", ["local", "s3"])}
    files |= _local(given) | _sizes(given) | _times() | _backups(files) | _scanner(given) | _s3(given)
    default = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(given.DATA_DIR / "media"), "base_url": "/media/"},
    }
    if files["STORAGE"] == "s3":
        # Without keys, boto3 uses the role of the machine or the pod.
        keys = env.secret("AWS_ACCESS_KEY_ID"), env.secret("AWS_SECRET_ACCESS_KEY")
        _check_s3(files, keys, given)
        default = _bucket_storage(files, keys)
        files["S3_ORIGINS"] = _bucket_origins(files)
        # Pages send files to the bucket, so the policy must allow connections to it.
        sources = f"connect-src 'self' {' '.join(files['S3_ORIGINS'])}"
        files["CONTENT_SECURITY_POLICY"] = f"{given.CONTENT_SECURITY_POLICY}; {sources}"
    files["STORAGES"] = {**given.STORAGES, "default": default}
    return files


def _local(given):
    # Behind nginx: nginx stores the bodies of PUTs in this folder, and tells the portal the name of each file.
    body_file_dir = env.text("BODY_FILE_DIR").rstrip("/")
    if body_file_dir and not (given.TRUSTED_PROXY_COUNT and body_file_dir.startswith("/")):
        raise ImproperlyConfigured(
            "BODY_FILE_DIR is a whole path beginning with /, and needs a proxy of yours in front (TRUSTED_PROXY_COUNT)."
        )
    return {
        "STORE_FSYNC": env.switch("STORE_FSYNC", True),
        # Behind nginx: the internal location that maps to DATA_DIR/store/objects/, for example /_store/.
        "X_ACCEL_PREFIX": env.text("X_ACCEL_PREFIX"),
        "BODY_FILE_DIR": body_file_dir,
    }


def _sizes(given):
    mib, gib = given.MIB, given.GIB
    return {
        "MULTIPART_THRESHOLD_BYTES": env.count("MULTIPART_THRESHOLD", 100 * mib, least=1),
        "PART_SIZE_BYTES": env.count("PART_SIZE", 50 * mib, least=1),
        "MAX_PARTS": 1000,
        "MAX_UPLOAD_BYTES": env.count("MAX_UPLOAD_BYTES", 5 * 1024 * gib, least=1),
        "MAX_FORM_UPLOAD_BYTES": env.count("MAX_FORM_UPLOAD_BYTES", 100 * mib, least=1),
        "DEFAULT_FOLDER_QUOTA_BYTES": env.count("DEFAULT_FOLDER_QUOTA_BYTES", 10 * gib, least=1),
        "PERSONAL_QUOTA_BYTES": env.count("PERSONAL_QUOTA_BYTES", 5 * gib, least=1),
        # The subfolders that a company's folder gets when it is set up, unless others are named.
        "COMPANY_SUBFOLDERS": env.items("COMPANY_SUBFOLDERS", ("From us", "From you", "Contracts", "Tax")),
    }


def _times():
    trash_days = env.count("TRASH_DAYS", 7, least=1)
    return {
        "PRESIGNED_URL_EXPIRY_SECONDS": env.count("S3_PRESIGNED_URL_EXPIRY", 900, least=1),
        "PART_URL_EXPIRY_SECONDS": 3600,
        # An unfinished upload ends after this time, and its space is free again.
        "UPLOAD_LIFETIME": timedelta(hours=env.count("UPLOAD_LIFETIME_HOURS", 24, least=1)),
        # The nightly task deletes an object without a row when it is this old.
        "ORPHAN_GRACE": timedelta(hours=env.count("ORPHAN_GRACE_HOURS", 24, least=1)),
        "DEFAULT_RETENTION_DAYS": 30,
        # A deleted file can be restored for this long, and counts against the quota. Then it is deleted for good.
        "TRASH_DAYS": trash_days,
        "TRASH_LIFETIME": timedelta(days=trash_days),
        "LINK_EXPIRY_SECONDS": env.count("LINK_EXPIRY_SECONDS", 900, least=1),
        "RESUME_GRACE_SECONDS": 600,
        # The longest lifetime of a share link. A folder may set a shorter one.
        "MAX_SHARE_DAYS": env.count("MAX_SHARE_DAYS", 366, least=1),
    }


def _backups(files):
    # Backups go into this folder, or into the store itself when it is empty. The newest BACKUP_KEEP are kept.
    folder = env.text("BACKUP_TO")
    return {
        "BACKUP_TO": folder,
        "BACKUP_KEEP": env.count("BACKUP_KEEP", 14, least=1),
        # Off by default for a local trial, whose disk nightly backups would fill.
        "BACKUP_SCHEDULED": env.switch("BACKUP_SCHEDULED", files["STORAGE"] == "s3" or bool(folder)),
    }


def _scanner(given):
    # The address of clamd, the virus scanner: tcp://host:port or unix:///path. When empty, files are not scanned.
    url = env.text("CLAMD_URL")
    if url and not re.fullmatch(r"tcp://(\[[0-9a-fA-F:]+\]|[^\s:/@\[\]]+):[0-9]{1,5}|unix:///[^\s]+", url):
        raise ImproperlyConfigured(f"CLAMD_URL must be tcp://host:port or unix:///path; it is {url!r}.")
    env.demand_port("CLAMD_URL", url)
    return {
        "CLAMD_URL": url,
        # At most clamd's own StreamMaxLength and MaxScanSize: clamd cannot check larger files.
        "CLAMD_MAX_BYTES": env.count("CLAMD_MAX_BYTES", 100 * given.MIB, least=1),
        "CLAMD_TIMEOUT_SECONDS": env.count("CLAMD_TIMEOUT_SECONDS", 120, least=1),
    }


# --- S3 -------------------------------------------------------------------------------------------


def _s3(given):
    endpoint = env.text("S3_ENDPOINT_URL").rstrip("/")
    kind, key_id = env.one_of("S3_SSE", "", ["", "AES256", "aws:kms"]), env.text("S3_SSE_KMS_KEY_ID")
    if key_id and kind != "aws:kms":
        raise ImproperlyConfigured("S3_SSE_KMS_KEY_ID needs S3_SSE=aws:kms.")
    encryption = {"ServerSideEncryption": kind, "SSEKMSKeyId": key_id}
    return {
        "S3_FILESHARE_BUCKET": env.text("S3_FILESHARE_BUCKET"),
        "S3_ENDPOINT_URL": endpoint,
        # The address of the same service for browsers, if it is another one. Signed URLs use it.
        "S3_PUBLIC_ENDPOINT_URL": env.text("S3_PUBLIC_ENDPOINT_URL").rstrip("/"),
        "AWS_REGION": env.text("AWS_REGION", "us-east-1"),
        "S3_ADDRESSING_STYLE": env.one_of(
            "S3_ADDRESSING_STYLE", "path" if endpoint else "virtual", ["path", "virtual"]
        ),
        "S3_SSE": kind,
        "S3_SSE_KMS_KEY_ID": key_id,
        "S3_ENCRYPTION": {name: value for name, value in encryption.items() if value},
        # Pages of these origins may send files to the bucket and read from it.
        "S3_CORS_ORIGINS": env.items("S3_CORS_ORIGINS", [given.SITE_ORIGIN]),
        # The bucket's origins. Pages may connect to them besides the portal, to send files.
        "S3_ORIGINS": [],
    }


def _check_s3(files, keys, given):
    if files["X_ACCEL_PREFIX"]:
        raise ImproperlyConfigured("X_ACCEL_PREFIX is for STORAGE=local: nginx has no way to the bytes in a bucket.")
    if files["BODY_FILE_DIR"]:
        raise ImproperlyConfigured("BODY_FILE_DIR is for STORAGE=local: to a bucket the bytes go past the portal.")
    if not files["S3_FILESHARE_BUCKET"]:
        raise ImproperlyConfigured("STORAGE=s3 needs S3_FILESHARE_BUCKET.")
    addresses = [(name, files[name]) for name in ("S3_ENDPOINT_URL", "S3_PUBLIC_ENDPOINT_URL")]
    for name, url in addresses + [("S3_CORS_ORIGINS", origin) for origin in files["S3_CORS_ORIGINS"]]:
        # Allow only scheme, host and port: these values are written into headers.
        if url and not re.fullmatch(r"https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?", url):
            raise ImproperlyConfigured(f"{name} must be like https://s3.example.org; it is {url!r}.")
        env.demand_port(name, url)
    key_id, secret = keys
    if bool(key_id) != bool(secret):
        raise ImproperlyConfigured("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together; neither: a role's.")
    if secret and not given.SITE_IS_LOCAL:
        env.demand_secret("AWS_SECRET_ACCESS_KEY", secret)
    # S3's limits: the smallest part it takes, and the largest object it copies in one call.
    if files["PART_SIZE_BYTES"] < 5 * given.MIB or files["MULTIPART_THRESHOLD_BYTES"] > 5 * given.GIB:
        raise ImproperlyConfigured("On S3, PART_SIZE is 5 MiB or more and MULTIPART_THRESHOLD 5 GiB or less.")


def _bucket_storage(files, keys):
    key_id, secret = keys
    return {
        "BACKEND": "config.outside.bucket.BucketStorage",
        "OPTIONS": {
            "access_key": key_id or None,
            "secret_key": secret or None,
            "bucket_name": files["S3_FILESHARE_BUCKET"],
            "region_name": files["AWS_REGION"],
            "endpoint_url": files["S3_ENDPOINT_URL"] or None,
            "location": "media",
            "object_parameters": files["S3_ENCRYPTION"],
            "file_overwrite": False,
        },
    }


def _bucket_origins(files):
    """The origins at which browsers reach the bucket. Amazon's service has two."""
    region = files["AWS_REGION"]
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    own = files["S3_PUBLIC_ENDPOINT_URL"] or files["S3_ENDPOINT_URL"]
    services = [own] if own else [f"https://s3.{region}.{domain}", f"https://s3.{domain}"]
    prefix = f"{files['S3_FILESHARE_BUCKET']}." if files["S3_ADDRESSING_STYLE"] == "virtual" else ""
    return [f"{service.scheme}://{prefix}{service.netloc}" for service in map(urlsplit, services)]
