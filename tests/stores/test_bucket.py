"""The bucket's settings: closed to strangers, open to our pages, cleaned up; and the rights that the portal needs."""

import json
import re
import secrets
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from botocore.exceptions import ClientError
from django.conf import settings
from django.core import checks
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.test import Client
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from config.errors import Refused
from config.watch import clocks, parts
from fileshare.storage import bucket
from fileshare.storage.checks import bucket_is_safe
from fileshare.upkeep import lifecycle
from tests.environments import environment_of
from tests.servers import S3_KEYS, free_ports, new_bucket, s3_client, use_bucket

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "https://portal.example.org"


@pytest.fixture
def no_bucket(s3_server, settings):
    """Settings that name a bucket which does not exist yet; gives a client."""
    use_bucket(settings, s3_server.endpoint_url, f"portal-{secrets.token_hex(6)}")
    settings.S3_CORS_ORIGINS = [ORIGIN]
    return s3_client(s3_server)


@pytest.fixture
def made(no_bucket, db):
    """The same client; setup_bucket has made the bucket."""
    call_command("setup_bucket")
    return no_bucket


def ids():
    return [message.id for message in bucket_is_safe(None)]


# --- setup_bucket -------------------------------------------------------------------------------


def test_a_bucket_is_made_and_put_right_at_once(no_bucket, settings, db, capsys):
    call_command("setup_bucket")

    said = capsys.readouterr().out
    assert "There is no bucket" in said
    name = settings.S3_FILESHARE_BUCKET
    (rule,) = no_bucket.get_bucket_cors(Bucket=name)["CORSRules"]
    assert rule["AllowedOrigins"] == [ORIGIN]
    assert set(rule["AllowedMethods"]) == {"GET", "PUT", "POST"}
    assert (rule["ExposeHeaders"], rule["MaxAgeSeconds"]) == (["ETag"], 3600)
    rules = no_bucket.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert {rule["ID"] for rule in rules} >= {"portal-unfinished", "portal-staged"}
    call_command("setup_bucket", check=True)
    assert ids() == []


def test_a_check_changes_nothing_and_fails(no_bucket, settings, db, capsys):
    with pytest.raises(CommandError, match="1 thing"):
        call_command("setup_bucket", check=True)

    assert f"There is no bucket {settings.S3_FILESHARE_BUCKET}" in capsys.readouterr().out
    with pytest.raises(ClientError):
        no_bucket.head_bucket(Bucket=settings.S3_FILESHARE_BUCKET)
    assert ids() == ["fileshare.E003"]


def test_without_a_bucket_in_the_settings_there_is_nothing_to_set_up(settings, db):
    settings.STORAGE = "local"

    with pytest.raises(CommandError, match="STORAGE is not s3"):
        call_command("setup_bucket")


class Knows:
    """moto's S3 service, which answers `refusal` for the sub-resources in `unknown`, such as ("PUT", "cors")."""

    def __init__(self):
        self.application, self.unknown = DomainDispatcherApplication(create_backend_app), set()
        self.refusal = ""

    def __call__(self, environ, start_response):
        words = {(environ["REQUEST_METHOD"], word.partition("=")[0]) for word in environ["QUERY_STRING"].split("&")}
        if words & self.unknown:
            start_response(self.refusal, [("Content-Type", "application/xml")])
            code = self.refusal.partition(" ")[2]
            return [f"<Error><Code>{code}</Code><Message>Not here.</Message></Error>".encode()]
        return self.application(environ, start_response)


@pytest.fixture(scope="module")
def knows():
    """(the service, one of its buckets)."""
    service = Knows()
    server = make_server("127.0.0.1", 0, service, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield service, new_bucket(SimpleNamespace(endpoint_url=f"http://127.0.0.1:{server.port}", **S3_KEYS))
    server.shutdown()


ALL_QUESTIONS = ["publicAccessBlock", "policyStatus", "acl", "versioning", "cors", "lifecycle"]


@pytest.mark.parametrize(
    ("refusal", "unknown", "named"),
    [
        # Cloudflare R2
        (
            "501 NotImplemented",
            [("GET", "versioning"), ("GET", "publicAccessBlock")],
            ["GetBucketVersioning", "GetPublicAccessBlock"],
        ),
        # rclone
        ("409 BucketAlreadyExists", [("PUT", "publicAccessBlock")], ["PutPublicAccessBlock"]),
        (
            "405 MethodNotAllowed",
            [("PUT", "lifecycle"), ("PUT", "cors")],
            ["PutBucketLifecycleConfiguration", "PutBucketCors"],
        ),
        (
            "501 Unheard",
            [("GET", name) for name in ALL_QUESTIONS],
            ["GetBucketAcl", "GetBucketCors", "GetBucketLifecycleConfiguration", "GetBucketPolicyStatus"],
        ),
    ],
)
def test_what_a_service_does_not_know_is_named_and_the_rest_is_done(
    refusal, unknown, named, knows, settings, db, capsys
):
    service, there = knows
    client = s3_client(there)
    settings.S3_CORS_ORIGINS = [ORIGIN]
    use_bucket(settings, there.endpoint_url, there.name)
    for forget in (client.delete_bucket_cors, client.delete_bucket_lifecycle, client.delete_public_access_block):
        forget(Bucket=there.name)
    service.unknown, service.refusal = {*unknown}, refusal

    with pytest.raises(CommandError, match="1 thing"):  # moto lets strangers list each of its buckets
        call_command("setup_bucket")

    service.unknown = set()
    said = capsys.readouterr().out
    assert [name for name in named if name not in said] == []
    asked = {name for _method, name in unknown}
    if "lifecycle" not in asked:
        assert client.get_bucket_lifecycle_configuration(Bucket=there.name)["Rules"]
    if "cors" not in asked:
        assert client.get_bucket_cors(Bucket=there.name)["CORSRules"]
    if "publicAccessBlock" not in asked:
        assert client.get_public_access_block(Bucket=there.name)["PublicAccessBlockConfiguration"]


def test_before_migrate_it_is_a_sentence(moto_bucket, settings, tmp_path):
    use_bucket(settings, moto_bucket.endpoint_url, moto_bucket.name)
    environment = environment_of(
        tmp_path,
        base={},
        STORAGE="s3",
        S3_FILESHARE_BUCKET=moto_bucket.name,
        S3_ENDPOINT_URL=moto_bucket.endpoint_url,
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="secret",
    )

    done = subprocess.run(
        [sys.executable, "manage.py", "setup_bucket"], cwd=ROOT, env=environment, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "manage.py migrate" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_of_ours_may_send_and_read_the_etag_and_no_other(made, settings):
    url = f"{settings.S3_ENDPOINT_URL}/{settings.S3_FILESHARE_BUCKET}/files/x"
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}

    ours = httpx.options(url, headers={"Origin": ORIGIN, **asked})
    other = httpx.options(url, headers={"Origin": "https://elsewhere.example", **asked})

    assert ours.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "ETag" in ours.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in other.headers


def test_rules_of_others_stay(made, settings):
    name = settings.S3_FILESHARE_BUCKET
    theirs = {"ID": "theirs", "AllowedOrigins": ["https://a.example"], "AllowedMethods": ["GET"]}
    made.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [theirs]})
    kept = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 5}}
    made.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [kept]})

    call_command("setup_bucket")

    assert [rule["ID"] for rule in made.get_bucket_cors(Bucket=name)["CORSRules"]] == ["portal-pages", "theirs"]
    rules = made.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert {rule["ID"] for rule in rules} >= {"logs", "portal-staged"}


# --- check --deploy -----------------------------------------------------------------------------


def test_a_bucket_policy_for_everybody_is_told(made, settings):
    name = settings.S3_FILESHARE_BUCKET
    statement = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": f"arn:aws:s3:::{name}/*"}
    made.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    assert ids() == ["fileshare.E001"]
    with pytest.raises(CommandError):
        call_command("setup_bucket")


def test_a_bucket_that_keeps_old_versions_is_told_and_no_fault(made, settings, capsys):
    name = settings.S3_FILESHARE_BUCKET
    made.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    call_command("setup_bucket", check=True)

    assert "keeps old versions" in capsys.readouterr().out
    assert ids() == []


def test_cors_that_hides_the_etag_is_told(made, settings):
    rule = {**bucket.cors_rule([ORIGIN]), "ExposeHeaders": ["x-amz-request-id"]}
    made.put_bucket_cors(Bucket=settings.S3_FILESHARE_BUCKET, CORSConfiguration={"CORSRules": [rule]})

    assert ids() == ["fileshare.E002"]
    call_command("setup_bucket")
    assert ids() == []


def test_public_access_is_blocked_where_the_service_can(moto_bucket, settings, db):
    use_bucket(settings, moto_bucket.endpoint_url, moto_bucket.name)
    settings.S3_CORS_ORIGINS = [ORIGIN]
    client = s3_client(moto_bucket)
    client.put_bucket_acl(Bucket=moto_bucket.name, ACL="public-read")

    def leaks():
        found = bucket.differences(client, moto_bucket.name, stranger=client, origins=[ORIGIN], expiry=None)
        return [difference.text for difference in found if difference.kind == "leak" and difference.mend]

    assert len(leaks()) == 2
    with pytest.raises(CommandError):  # moto lets strangers list a bucket even so
        call_command("setup_bucket")
    block = client.get_public_access_block(Bucket=moto_bucket.name)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    assert leaks() == []


def test_a_service_that_is_away_is_a_warning(settings):
    (port,) = free_ports(1)
    use_bucket(settings, f"http://127.0.0.1:{port}", "portal")

    assert ids() == ["fileshare.W001"]


def test_the_check_is_one_of_deployment(settings):
    assert bucket_is_safe in checks.registry.registry.get_checks(include_deployment_checks=True)
    assert bucket_is_safe not in checks.registry.registry.get_checks()


# --- Expiry -------------------------------------------------------------------------------------


def test_the_buckets_own_expiry_follows_the_folders(made, settings, company_folder, report):
    company_folder.retention_days = 10
    company_folder.save()

    def days():
        rules = made.get_bucket_lifecycle_configuration(Bucket=settings.S3_FILESHARE_BUCKET)["Rules"]
        prefixed = {rule["Filter"]["Prefix"]: rule.get("Expiration", {}).get("Days") for rule in rules}
        return prefixed.get("files/baobab-files/")

    assert lifecycle.refresh() is True
    assert days() == 33, "the report was promised its 30 days; two behind, and one an upload may take"
    assert lifecycle.refresh() is False
    report.expires_at = None
    report.save()
    lifecycle.refresh()
    assert days() is None, "what is kept for ever is in no rule"


# --- Profile pictures and readiness -------------------------------------------------------------


def test_pictures_are_kept_in_the_bucket(made):
    storage = storages.create_storage({"BACKEND": "config.outside.bucket.BucketStorage", "OPTIONS": _options()})

    name = storage.save("face.png", ContentFile(b"\x89PNG"))

    assert storage.open(name).read() == b"\x89PNG"
    storage.delete(name)
    with pytest.raises(FileNotFoundError):
        storage.open(name)


def test_readiness_knows_the_bucket(made, monkeypatch):
    monkeypatch.setattr(parts, "PATIENCE_SECONDS", 60)  # a busy machine may answer slowly
    parts.READINESS.forget()
    assert Client().get("/readyz").json()["store"] == "ok"
    assert abs(clocks.difference(clocks.CLOCKS["the bucket"])) < clocks.ALLOWED
    settings.STORAGES["default"]["OPTIONS"]["endpoint_url"] = "http://127.0.0.1:1"
    storage = storages.create_storage({"BACKEND": "config.outside.bucket.BucketStorage", "OPTIONS": _options()})

    with pytest.raises(Refused) as refusal:
        storage.ping()

    assert refusal.value.status == 503


@pytest.mark.parametrize("call", ["delete", "exists", "listdir", "open", "size"])
def test_a_storage_that_is_away_is_a_refusal(made, call):
    options = _options() | {"endpoint_url": "http://127.0.0.1:1"}
    storage = storages.create_storage({"BACKEND": "config.outside.bucket.BucketStorage", "OPTIONS": options})

    with pytest.raises(Refused) as refusal:
        getattr(storage, call)("face.png")

    assert refusal.value.status == 503


def test_what_was_opened_is_read_though_the_storage_went_away(made):
    storage = storages.create_storage({"BACKEND": "config.outside.bucket.BucketStorage", "OPTIONS": _options()})
    name = storage.save("face.png", ContentFile(b"\x89PNG"))

    picture = storage.open(name)
    storage.delete(name)

    assert picture.read() == b"\x89PNG"


def _options():
    return dict(settings.STORAGES["default"]["OPTIONS"])


# --- Rights -------------------------------------------------------------------------------------

# The right that Amazon requires for each call (Service Authorization Reference, Amazon S3).
RIGHTS = {
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "complete_multipart_upload": "s3:PutObject",
    "copy_object": "s3:PutObject",
    "create_bucket": "s3:CreateBucket",
    "create_multipart_upload": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "get_bucket_acl": "s3:GetBucketAcl",
    "get_bucket_cors": "s3:GetBucketCORS",
    "get_bucket_lifecycle_configuration": "s3:GetLifecycleConfiguration",
    "get_bucket_policy_status": "s3:GetBucketPolicyStatus",
    "get_bucket_versioning": "s3:GetBucketVersioning",
    "get_object": "s3:GetObject",
    "get_public_access_block": "s3:GetBucketPublicAccessBlock",
    "head_bucket": "s3:ListBucket",
    "head_object": "s3:GetObject",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "list_objects_v2": "s3:ListBucket",
    "list_parts": "s3:ListMultipartUploadParts",
    "put_bucket_acl": "s3:PutBucketAcl",
    "put_bucket_cors": "s3:PutBucketCORS",
    "put_bucket_lifecycle_configuration": "s3:PutLifecycleConfiguration",
    "put_object": "s3:PutObject",
    "put_public_access_block": "s3:PutBucketPublicAccessBlock",
    "upload_fileobj": "s3:PutObject",
    "upload_part": "s3:PutObject",
}
CALLS = (
    r"(?:client|stranger|_impatient)\.([a-z_0-9]+)\b",
    r"get_paginator\(\"([a-z_0-9]+)\"",
    r"_presign\(\s*\"([a-z_]+)\"",
)


def actions(name):
    policy = json.loads((ROOT / "deploy/aws" / name).read_text())
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def calls(*names):
    """The calls of the S3 API in these files."""
    text = "".join((ROOT / name).read_text() for name in names)
    made = {call for pattern in CALLS for call in re.findall(pattern, text)}
    return made - {"get_paginator", "meta"}


def test_the_portals_rights_are_those_of_its_calls_and_no_more():
    made = calls("fileshare/storage/s3.py", "config/outside/bucket.py")
    made |= {"get_bucket_lifecycle_configuration", "put_bucket_lifecycle_configuration"}  # called by lifecycle.refresh

    assert {RIGHTS[call] for call in made} == actions("portal-policy.json")


def test_the_rights_of_the_set_up_are_those_of_its_calls_and_no_more():
    assert {RIGHTS[call] for call in calls("fileshare/storage/bucket.py")} == actions("setup-policy.json")


@pytest.mark.parametrize("path", sorted((ROOT / "deploy/aws").glob("*.json")), ids=lambda path: path.name)
def test_a_policy_is_well_formed(path):
    policy = json.loads(path.read_text())

    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert {"Sid", "Effect", "Action", "Resource"} <= statement.keys()
        assert statement["Effect"] in ("Allow", "Deny")
        if statement["Effect"] == "Allow":
            assert all("*" not in action for action in statement["Action"])
