"""How the bucket has to be: closed to strangers, open to our pages' uploads, and tidied by S3 itself.

`differences` compares a bucket with that; each Difference that can be mended brings the call that does it.
Rules of others (any whose ID does not begin with `portal-`) are left as they are.
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
"""Of a bucket, says Amazon; what is over the number is left to the portal alone."""
ABORT_DAYS = math.ceil(settings.UPLOAD_LIFETIME.total_seconds() / 86_400) + 1
"""Days after which S3 drops what the portal gave up a day before at the latest."""

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
_UNKNOWN = {"NotImplemented", "MethodNotAllowed", "UnsupportedOperation", "XNotImplemented", "501", "405"}
_NONE = {
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchCORSConfiguration",
    "NoSuchLifecycleConfiguration",
    "NoSuchBucketPolicy",
}


@dataclass(frozen=True)
class Difference:
    """One thing about the bucket that is not as it should be, in a sentence.

    `kind` is bucket, leak, cors, lifecycle or unknown (the service cannot tell, which is no fault);
    `mend` puts it right, None where a person has to.
    """

    kind: str
    text: str
    mend: Callable[[], object] | None = None


def cors_rule(origins):
    """The rule that lets pages of `origins` send to the bucket and read the ETag of what they sent."""
    return {
        "ID": CORS_ID,
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "PUT", "POST"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }


def lifecycle_rules(expiry):
    """The portal's lifecycle rules, by ID. `expiry` is {prefix: days} of objects that may go by themselves."""
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
    """Yield what about `bucket` is not as it should be; only the first when there is no such bucket at all.

    `stranger` is a client without keys; `expiry` is as for lifecycle_rules, or None to leave lifecycle out.
    Raises ClientError, BotoCoreError when the service refuses the questions themselves.
    """
    if not _exists(client, bucket):
        yield Difference("bucket", f"There is no bucket {bucket}.", lambda: _create(client, bucket))
        return
    yield from _leaks(client, stranger, bucket)
    if client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled":
        yield Difference(
            "unknown", "The bucket keeps old versions: what is deleted stays until a rule of yours removes it."
        )
    yield from _cors(client, bucket, origins)
    if expiry is not None:
        yield from _lifecycle(client, bucket, expiry)


def put_lifecycle(client, bucket, expiry):
    """Make the portal's lifecycle rules those of `expiry`, where they differ. Returns whether they did."""
    found = list(_lifecycle(client, bucket, expiry))
    for difference in found:
        if difference.mend:
            difference.mend()
    return any(difference.mend for difference in found)


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


def _leaks(client, stranger, bucket):
    block = _read(client.get_public_access_block, bucket, "PublicAccessBlockConfiguration")
    if block is None:
        yield Difference("unknown", "The service has no block of public access; see that strangers are kept out.")
    elif any(block.get(name) is not True for name in BLOCK):
        yield Difference(
            "leak",
            "Public access is not blocked.",
            lambda: client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=BLOCK),
        )
    status = _read(client.get_bucket_policy_status, bucket, "PolicyStatus")
    if status and status.get("IsPublic"):
        yield Difference("leak", "A bucket policy lets everybody in; take the statement out of it.")
    grants = _read(client.get_bucket_acl, bucket, "Grants") or []
    if any(grant.get("Grantee", {}).get("URI") in _EVERYBODY for grant in grants):
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
        yield Difference("unknown", "The service has no rules for other origins; see that pages may send to it.")
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
    """Whether the first rule for `origin`, the one that counts, allows what the uploader does."""
    for rule in rules:
        if {origin, "*"} & set(rule.get("AllowedOrigins", ())):
            exposed = {name.lower() for name in rule.get("ExposeHeaders", ())}
            allowed = set(rule.get("AllowedMethods", ()))
            return "etag" in exposed and {"GET", "PUT"} <= allowed and "*" in rule.get("AllowedHeaders", ())
    return False


def _lifecycle(client, bucket, expiry):
    rules = _read(client.get_bucket_lifecycle_configuration, bucket, "Rules")
    if rules is None:
        yield Difference("unknown", "The service has no lifecycle rules: what the portal leaves behind stays.")
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


def _read(call, bucket, name):
    """What the call tells of the bucket; an empty list or dict where nothing is set, None where it is not known."""
    try:
        return call(Bucket=bucket).get(name, {})
    except ClientError as error:
        if _code(error) in _NONE:
            return {}
        if _code(error) in _UNKNOWN:
            return None
        raise


def _code(error):
    return str(error.response.get("Error", {}).get("Code", ""))
