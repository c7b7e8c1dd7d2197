"""The settings a bucket must have: no public access, CORS for uploads from the portal's pages, lifecycle rules.

`differences` yields what a bucket lacks. Each Difference that the portal can repair holds the call that does it.
Rules that are not the portal's (their ID does not begin with `portal-`) stay as they are.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import ClientError
from django.conf import settings

STAGING = "staging/"
CORS_ID = "portal-pages"
OWN_RULES = "portal-"
MAX_RULES = 1000
"""Amazon's limit of rules for each bucket. Objects without a rule are still deleted, by the portal itself."""
ABORT_DAYS = math.ceil(settings.UPLOAD_LIFETIME.total_seconds() / 86_400) + 1
"""Days after which S3 deletes unfinished uploads: a day later than the portal gives them up itself."""

BLOCK = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
_EVERYBODY = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)
_UNKNOWN = {
    *("NotImplemented", "MethodNotAllowed", "UnsupportedOperation", "XNotImplemented", "501", "405"),
    # rclone takes every PUT to a bucket for CreateBucket.
    *("BucketAlreadyExists", "BucketAlreadyOwnedByYou"),
}
_UNKNOWN_STATUS = {405, 501}
_NONE = {
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchCORSConfiguration",
    "NoSuchLifecycleConfiguration",
    "NoSuchBucketPolicy",
}


@dataclass(frozen=True)
class Difference:
    """One setting of the bucket that is not as it should be; `text` says it in a sentence.

    `kind` is bucket, leak, cors, lifecycle or unknown. "unknown" is not a fault: the service cannot tell.
    `mend` is the call that repairs it, None when the administrator has to do it.
    """

    kind: str
    text: str
    mend: Callable[[], object] | None = None


def cors_rule(origins):
    """The CORS rule that lets pages of `origins` send to the bucket and read the ETag in the answer."""
    return {
        "ID": CORS_ID,
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "PUT", "POST"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }


def lifecycle_rules(expiry):
    """The portal's lifecycle rules, by ID. `expiry` is {prefix: days} for the objects that S3 may delete by itself."""
    rules = [
        {
            "ID": f"{OWN_RULES}unfinished",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_DAYS},
        },
        {"ID": f"{OWN_RULES}staged", "Filter": {"Prefix": STAGING}, "Expiration": {"Days": ABORT_DAYS}},
    ]
    for prefix, days in sorted(expiry.items())[: MAX_RULES - 100]:
        rules.append(
            {
                "ID": f"{OWN_RULES}expiry-{prefix.strip('/').replace('/', '-')}"[:255],
                "Filter": {"Prefix": prefix},
                "Expiration": {"Days": days},
            }
        )
    return {rule["ID"]: {"Status": "Enabled", **rule} for rule in rules}


def differences(client, bucket, *, stranger, origins, expiry):
    """Yield a Difference for each setting of `bucket` that is not as it should be; just one when there is no bucket.

    `stranger` is a client without keys. `expiry` is as for lifecycle_rules, or None to skip the lifecycle rules.
    Goes on past calls that the service does not know, and names each. Raises ClientError, BotoCoreError when the
    service refuses a question or does not answer.
    """
    if not _exists(client, bucket):
        yield Difference("bucket", f"There is no bucket {bucket}.", lambda: _create(client, bucket))
        return
    yield from _leaks(client, stranger, bucket)
    yield from _versions(client, bucket)
    yield from _cors(client, bucket, origins)
    if expiry is not None:
        yield from _lifecycle(client, bucket, expiry)


def put_lifecycle(client, bucket, expiry):
    """Set the portal's lifecycle rules to those of `expiry`. Returns True when they differed before."""
    changed = False
    for difference in _lifecycle(client, bucket, expiry):
        if difference.mend:
            try:
                difference.mend()
            except ClientError as error:
                # The portal itself deletes what such a service does not.
                if not is_unknown(error):
                    raise
            else:
                changed = True
    return changed


def _exists(client, bucket):
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if _code(error) in ("404", "NoSuchBucket", "NotFound"):
            return False
        raise
    return True


def _create(client, bucket):
    region = client.meta.region_name
    where = {} if region in (None, "us-east-1") else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client.create_bucket(Bucket=bucket, **where)


def _versions(client, bucket):
    status = _read(client.get_bucket_versioning, bucket, "Status")
    if status is None:
        yield Difference("unknown", "The service does not know GetBucketVersioning; see whether it keeps old versions.")
    elif status == "Enabled":
        yield Difference(
            "unknown", "The bucket keeps old versions: what is deleted stays until a rule of yours removes it."
        )


def _leaks(client, stranger, bucket):
    # A service that ignores the question answers another one: rclone lists the bucket.
    block = _read(client.get_public_access_block, bucket, "PublicAccessBlockConfiguration", holds="BlockPublicAcls")
    if block is None:
        yield Difference("unknown", "The service does not know GetPublicAccessBlock; see that strangers are kept out.")
    elif any(block.get(name) is not True for name in BLOCK):
        yield Difference(
            "leak",
            "Public access is not blocked.",
            lambda: client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=BLOCK),
        )
    status = _read(client.get_bucket_policy_status, bucket, "PolicyStatus")
    if status is None:
        yield Difference("unknown", "The service does not know GetBucketPolicyStatus; see that no policy is public.")
    elif status.get("IsPublic"):
        yield Difference("leak", "A bucket policy lets everybody in; take the statement out of it.")
    grants = _read(client.get_bucket_acl, bucket, "Grants")
    if grants is None:
        yield Difference("unknown", "The service does not know GetBucketAcl; see that no list of it is public.")
    elif any(grant.get("Grantee", {}).get("URI") in _EVERYBODY for grant in grants):
        yield Difference(
            "leak",
            "The bucket's access control list lets everybody in.",
            lambda: client.put_bucket_acl(Bucket=bucket, ACL="private"),
        )
    try:
        stranger.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError:
        return
    yield Difference("leak", "A stranger can list the bucket; close it at the service.")


def _cors(client, bucket, origins):
    rules = _read(client.get_bucket_cors, bucket, "CORSRules")
    if rules is None:
        yield Difference("unknown", "The service does not know GetBucketCors; see that pages may send to it.")
        return
    missing = [origin for origin in origins if not _serves(rules, origin)]
    if missing:
        others = [rule for rule in rules if rule.get("ID") != CORS_ID]
        wanted = {"CORSRules": [cors_rule(origins), *others]}
        yield Difference(
            "cors",
            f"Pages of {', '.join(missing)} cannot send files and read their ETag.",
            lambda: client.put_bucket_cors(Bucket=bucket, CORSConfiguration=wanted),
        )


def _serves(rules, origin):
    """True when the first rule for `origin` allows what the uploader does. S3 applies the first rule that matches."""
    for rule in rules:
        if {origin, "*"} & set(rule.get("AllowedOrigins", ())):
            exposed = {name.lower() for name in rule.get("ExposeHeaders", ())}
            allowed = set(rule.get("AllowedMethods", ()))
            return "etag" in exposed and {"GET", "PUT"} <= allowed and "*" in rule.get("AllowedHeaders", ())
    return False


def _lifecycle(client, bucket, expiry):
    rules = _read(client.get_bucket_lifecycle_configuration, bucket, "Rules")
    if rules is None:
        yield Difference(
            "unknown", "The service does not know GetBucketLifecycleConfiguration: unfinished uploads stay in it."
        )
        return
    wanted = lifecycle_rules(expiry)
    own = {rule.get("ID"): rule for rule in rules if str(rule.get("ID")).startswith(OWN_RULES)}
    if _plain(own) == _plain(wanted):
        return
    others = [rule for rule in rules if rule.get("ID") not in own]
    yield Difference(
        "lifecycle",
        f"{len(wanted)} lifecycle rules are wanted and {len(own)} others are there."
        if own
        else "The bucket has no lifecycle rules of the portal.",
        lambda: client.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [*wanted.values(), *others]}
        ),
    )


def _plain(rules):
    return {
        name: (
            rule.get("Status"),
            rule.get("Filter", {}).get("Prefix", rule.get("Prefix", "")),
            rule.get("Expiration", {}).get("Days"),
            rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
        )
        for name, rule in rules.items()
    }


def _read(call, bucket, name, holds=""):
    """The field `name` of the call's answer; empty when nothing is set, None when the service cannot tell.

    An answer without the key `holds` in that field is none.
    """
    try:
        answer = call(Bucket=bucket).get(name, {})
    except ClientError as error:
        if _code(error) in _NONE:
            return {}
        if is_unknown(error):
            return None
        raise
    return None if holds and holds not in answer else answer


def is_unknown(error):
    """True for a ClientError by which a service says that it does not know the call."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return _code(error) in _UNKNOWN or status in _UNKNOWN_STATUS


def _code(error):
    return str(error.response.get("Error", {}).get("Code", ""))
