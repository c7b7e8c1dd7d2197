"""The object store in an S3 bucket, or in any service that speaks S3 (API Reference, version 2006-03-01).

    files/...      published objects
    staging/<key>  a single PUT that is not completed yet; completing copies it to <key> inside the store

A presigned PUT works until it expires, even after its upload was completed. Therefore clients send to staging/, and
users read from files/: a late PUT cannot replace a published object. Multipart uploads need no staging: once an upload
is completed, its id takes no more parts.

Connection, keys and addressing come from `config.outside.bucket`, the portal's one S3 configuration. The calls go
through boto3, whose clients are safe to share between threads.
"""

import io
import logging
import time
from contextlib import contextmanager
from operator import itemgetter

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
)
from django.conf import settings
from django.utils.http import quote_etag
from django.utils.translation import gettext as _
from urllib3.exceptions import HTTPError

from config.errors import Conflict
from config.outside.bucket import make_client
from config.outside.outage import Outage
from fileshare.content.filenames import content_disposition

from . import (
    BLOCK_SIZE,
    MultipartMissing,
    ObjectInfo,
    ObjectMissing,
    Part,
    PartsInvalid,
    SignedRequest,
    StoreFull,
    StoreUnavailable,
    TooLarge,
    WrongSize,
    bucket,
    parts,
)
from .bucket import STAGING
from .digests import Digests

logger = logging.getLogger(__name__)

MULTIPART_PREFIXES = ("files/", "backups/")
NO_ANSWER = (ConnectTimeoutError, ReadTimeoutError)
"""Errors that cost a long wait, after which the next calls are refused at once (OUTAGE_SECONDS). A refused connection
is not among them: it fails at once, so the next call may try again."""
OUTAGE_SECONDS = 3
"""How long after a call without an answer the next calls are refused without asking the service."""
PATIENT = {"read_timeout": 300, "retries": {"mode": "standard", "total_max_attempts": 2}}
"""Options for slow calls: S3 needs minutes to copy a large object or to put one together."""
READ_ATTEMPTS = 4
"""After so many attempts in a row without a new byte `read_range` gives up. Each resumes where the last broke off."""
READER_BUFFER_BYTES = 256 * 1024
WRITE_PART_BYTES = 16 * 1024 * 1024
"""The size of the parts that `write` sends, one in memory at a time. S3 takes ten thousand parts, which is 156 GiB."""
COPY_PART_BYTES = 1024 * 1024 * 1024
"""`copy` has the service copy larger objects in parts of this size, some at a time."""

_MISSING = {"NoSuchKey", "NotFound", "404"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"}
_PARTS = {"InvalidPart": "wrong_etag", "InvalidPartOrder": "parts_out_of_order", "EntityTooSmall": "wrong_part_size"}


class S3Store:
    """ObjectStore in the bucket `name`.

    `client` makes the calls; `patient` makes those that may take minutes; `public` signs URLs for the address by
    which browsers reach the service. `encryption` holds the parameters of server-side encryption for each call that
    makes an object.
    """

    is_remote = True

    def __init__(self, client, name, *, patient=None, public=None, encryption=None):
        self.client = client
        self.patient = patient or client
        self.bucket = name
        self._outage = Outage(OUTAGE_SECONDS, lambda: StoreUnavailable(retry_after=OUTAGE_SECONDS))
        self._public = public or client
        self._encryption = dict(encryption or {})

    @classmethod
    def from_settings(cls):
        public = settings.S3_PUBLIC_ENDPOINT_URL
        return cls(
            make_client(),
            settings.S3_FILESHARE_BUCKET,
            patient=make_client(**PATIENT),
            public=make_client(endpoint_url=public) if public else None,
            encryption=settings.S3_ENCRYPTION,
        )

    # --- Single PUT -----------------------------------------------------------------------------

    def presign_put(self, key, *, file_id, size_bytes, content_type, expires_in, base_url=None):
        # These values are part of the signature: S3 refuses any other length or type.
        facts = {"ContentLength": size_bytes, **self._encryption}
        headers = {_ENCRYPTION_HEADERS[name]: value for name, value in self._encryption.items()}
        if content_type:
            facts["ContentType"] = headers["Content-Type"] = content_type
        url = self._presign("put_object", STAGING + key, expires_in, **facts)
        return SignedRequest(url, headers, expires_in)

    def received(self, key):
        return self.head(key) or self.head(STAGING + key)

    def complete_put(self, key, *, size_bytes=None):
        # Keep a published object: bytes sent after it was published have not been inspected.
        published = self.head(key)
        arrived = published or self.head(STAGING + key)
        if arrived is None:
            raise ObjectMissing(key)
        if size_bytes is not None and arrived.size_bytes != size_bytes:
            raise WrongSize(expected=size_bytes, received=arrived.size_bytes)
        if published is None:
            self._copy_staged(key, arrived.etag)
        self.discard_put(key)
        info = self.head(key)
        if info is None:
            raise ObjectMissing(key)
        return info

    def _copy_staged(self, key, etag):
        try:
            with self._asking(key):
                staged = {"Bucket": self.bucket, "Key": STAGING + key}
                content_type = self.client.head_object(**staged).get("ContentType") or "application/octet-stream"
                self.patient.copy_object(
                    Bucket=self.bucket,
                    Key=key,
                    CopySource=staged,
                    CopySourceIfMatch=f'"{etag}"',
                    # Drop headers that the sender may have added. A Content-Encoding, for example, would make
                    # browsers decode the bytes to something else than was inspected.
                    MetadataDirective="REPLACE",
                    ContentType=content_type,
                    **self._encryption,
                )
        except ObjectMissing:
            pass  # another request completed the upload between the calls

    def discard_put(self, key):
        self.delete(STAGING + key)

    def staged(self):
        for found in self._objects(STAGING):
            yield found["Key"].removeprefix(STAGING), found["LastModified"]

    # --- Multipart ------------------------------------------------------------------------------

    def create_multipart(self, key, *, content_type, size_bytes, part_size):
        facts = {"ContentType": content_type} if content_type else {}
        with self._asking(key):
            made = self.client.create_multipart_upload(Bucket=self.bucket, Key=key, **facts, **self._encryption)
        return made["UploadId"]

    def presign_part(self, key, upload_id, part_number, *, file_id, size_bytes, expires_in, base_url=None):
        return self._presign(
            "upload_part", key, expires_in, UploadId=upload_id, PartNumber=part_number, ContentLength=size_bytes
        )

    def begun_parts(self, key, upload_id):
        return None  # S3 keeps nothing of a part whose connection was cut

    def list_parts(self, key, upload_id):
        return self._received(key, upload_id, set())

    def _received(self, key, upload_id, named):
        """The received parts, ordered by number. `named` is a set of (number, etag).

        Some services list a part twice when it was sent twice. Then the one in `named` counts, else the later one.
        """
        with self._asking(key):
            pages = self.client.get_paginator("list_parts").paginate(Bucket=self.bucket, Key=key, UploadId=upload_id)
            found = [part for page in pages for part in page.get("Parts", [])]
        found.sort(key=itemgetter("LastModified"))
        all_parts = [Part(part["PartNumber"], part["ETag"].strip('"'), part["Size"]) for part in found]
        all_parts.sort(key=lambda part: (part.part_number, (part.part_number, part.etag) in named))
        return list({part.part_number: part for part in all_parts}.values())

    def complete_multipart(self, key, upload_id, named, *, size_bytes, part_size):
        try:
            received = self._received(key, upload_id, {(part.part_number, part.etag.strip('"')) for part in named})
        except MultipartMissing:
            return self._published(key)
        parts.check(named, received, size_bytes=size_bytes, part_size=part_size)
        whole = [{"PartNumber": part.part_number, "ETag": quote_etag(part.etag)} for part in received]
        try:
            with self._asking(key):
                self.patient.complete_multipart_upload(
                    Bucket=self.bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": whole}
                )
        except MultipartMissing:
            pass  # another request completed the upload between the two calls
        return self._published(key)

    def _published(self, key):
        info = self.head(key)
        if info is None:
            raise MultipartMissing
        return info

    def abort_multipart(self, key, upload_id):
        try:
            with self._asking(key):
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)
        except (MultipartMissing, ObjectMissing):
            pass

    # --- Published objects ----------------------------------------------------------------------

    def write(self, key, stream, *, size_limit, content_type=""):
        facts = {"ContentType": content_type, **self._encryption} if content_type else self._encryption
        with Digests() as digests, self._asking(key):
            source = _Measured(stream, size_limit, digests)
            # Send one part after the other in this thread, so that only one part is in memory.
            self.patient.upload_fileobj(
                source,
                self.bucket,
                key,
                ExtraArgs=dict(facts),
                Config=TransferConfig(
                    use_threads=False, multipart_threshold=WRITE_PART_BYTES, multipart_chunksize=WRITE_PART_BYTES
                ),
            )
            sha256, crc32 = digests.finish()
        info = self.head(key)
        if info is None or info.size_bytes != source.size_bytes:
            raise StoreUnavailable
        return ObjectInfo(info.size_bytes, info.etag, sha256, crc32, info.modified_at)

    def copy(self, source, key, *, moves=False):
        with self._asking(source):
            found = self.client.head_object(Bucket=self.bucket, Key=source)
            facts = {
                "CopySourceIfMatch": found["ETag"],
                "MetadataDirective": "REPLACE",
                "ContentType": found.get("ContentType") or "application/octet-stream",
                **self._encryption,
            }
            # S3 copies at most 5 GiB by one call; boto3 has it copy larger objects in parts.
            self.patient.copy(
                {"Bucket": self.bucket, "Key": source},
                self.bucket,
                key,
                ExtraArgs=facts,
                Config=TransferConfig(multipart_threshold=COPY_PART_BYTES, multipart_chunksize=COPY_PART_BYTES),
            )
        info = self.head(key)
        if info is None or info.size_bytes != found["ContentLength"]:
            raise StoreUnavailable
        return info

    def head(self, key):
        try:
            with self._asking(key):
                found = self.client.head_object(Bucket=self.bucket, Key=key)
        except ObjectMissing:
            return None
        return ObjectInfo(found["ContentLength"], found["ETag"].strip('"'), None, None, found["LastModified"])

    def open(self, key):
        info = self.head(key)
        if info is None:
            raise ObjectMissing(key)
        return io.BufferedReader(_Reader(self, key, info), READER_BUFFER_BYTES)

    def read_range(self, key, start, end):
        failures = 0
        while start < end:
            try:
                with self._asking(key):
                    body = self.client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={start}-{end - 1}")["Body"]
                    with body:
                        while block := body.read(min(BLOCK_SIZE, end - start)):
                            start, failures = start + len(block), 0
                            yield block
            except StoreUnavailable:
                failures += 1
                if failures == READ_ATTEMPTS:
                    raise
                time.sleep(failures)
            else:
                if start < end:
                    failures += 1
                    if failures == READ_ATTEMPTS:
                        raise StoreUnavailable

    def delete(self, key):
        try:
            with self._asking(key):
                self.client.delete_object(Bucket=self.bucket, Key=key)
        except ObjectMissing:
            pass

    def list(self, prefix=""):
        for found in self._objects(prefix):
            if not found["Key"].startswith(STAGING):
                yield found["Key"], found["Size"], found["LastModified"]

    def presign_get(self, key, *, filename, content_type, expires_in, claims, base_url=None):
        return self._presign(
            "get_object",
            key,
            expires_in,
            ResponseContentDisposition=content_disposition(filename, "attachment"),
            ResponseContentType=content_type or "application/octet-stream",
            ResponseCacheControl="private, no-store",
        )

    def expire_after(self, days_by_prefix):
        with self._asking(self.bucket):
            return bucket.put_lifecycle(self.client, self.bucket, days_by_prefix)

    def sweep(self, *, older_than):
        removed = 0
        for key, modified_at in self.staged():
            if modified_at < older_than:
                self.discard_put(key)
                removed += 1
        for prefix in MULTIPART_PREFIXES:
            for upload in self._multipart_uploads(prefix):
                if upload["Initiated"] < older_than:
                    self.abort_multipart(upload["Key"], upload["UploadId"])
                    removed += 1
        return removed

    # --- Below the protocol ---------------------------------------------------------------------

    def _objects(self, prefix):
        with self._asking(prefix):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from page.get("Contents", [])

    def _multipart_uploads(self, prefix):
        with self._asking(prefix):
            for page in self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from page.get("Uploads", [])

    def _presign(self, method, key, expires_in, **facts):
        try:
            return self._public.generate_presigned_url(
                method, Params={"Bucket": self.bucket, "Key": key, **facts}, ExpiresIn=expires_in
            )
        except BotoCoreError as error:  # no key to sign with: the keys of a role have to be fetched, and that failed
            raise StoreUnavailable from error

    @contextmanager
    def _asking(self, key):
        """Turn errors of the service into refusals, and log those that the administrator has to know of."""
        with self._outage.passed():
            try:
                yield
            except ClientError as error:
                self._outage.ended()
                raise self._refusal(key, error) from error
            except (BotoCoreError, HTTPError) as error:
                if isinstance(error, NO_ANSWER):
                    self._outage.began()
                logger.warning("The object store does not answer: %s", type(error).__name__)
                raise StoreUnavailable(retry_after=OUTAGE_SECONDS) from error
            else:
                self._outage.ended()

    def _refusal(self, key, error):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        if code in _MISSING:
            return ObjectMissing(key)
        if code == "NoSuchUpload":
            return MultipartMissing()
        if code == "PreconditionFailed":
            text = _("The bytes were sent again meanwhile. Complete the upload again.")
            return Conflict(text, code="bytes_changed", retry_after=1)
        if code in _PARTS:
            return PartsInvalid(_PARTS[code], error.response["Error"].get("Message", code))
        if code in _FULL or status in _FULL:
            logger.error("The object store is full: %s", code or status)
            return StoreFull()
        logger.error("The object store refused %s of %s: %s %s", error.operation_name, key, status, code)
        return StoreUnavailable()


_ENCRYPTION_HEADERS = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}


class _Measured:
    """A stream for `write` that counts and hashes the bytes of `stream` and allows at most `size_limit` of them."""

    def __init__(self, stream, size_limit, digests):
        self._stream = stream
        self._limit = size_limit
        self._digests = digests
        self.size_bytes = 0

    def read(self, size=-1):
        """At most `size` bytes. Raises TooLarge."""
        block = self._stream.read(size)
        self.size_bytes += len(block)
        if self.size_bytes > self._limit:
            raise TooLarge(self._limit)
        if block:
            self._digests.update(block)
        return block


class _Reader(io.RawIOBase):
    """An object as a seekable file. Each read is a ranged GET, so wrap it in a buffer."""

    def __init__(self, store, key, info):
        self._store = store
        self._key = key
        self._size = info.size_bytes
        self._at = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._at

    def seek(self, offset, whence=io.SEEK_SET):
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("A file has no bytes before its first.")
        self._at = base + offset
        return self._at

    def readall(self):
        return b"".join(self._blocks(self._size))

    def readinto(self, buffer):
        view = memoryview(buffer).cast("B")
        filled = 0
        for block in self._blocks(self._at + len(view)):
            view[filled : filled + len(block)] = block
            filled += len(block)
        return filled

    def _blocks(self, end):
        for block in self._store.read_range(self._key, self._at, min(end, self._size)):
            self._at += len(block)
            yield block
