"""The load, in a separate process, so that the servers share only the machine with it.

    echo '{"job": "get", "url": ...}' | python bench/client.py      prints the result as JSON

It uses bare sockets. A body goes out by sendfile. A received body goes into one buffer and is not looked at, unless
`sha256` is asked for; timed runs do not ask for it.
"""

import hashlib
import json
import os
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

BLOCK = 1024 * 1024
# With this flag Linux drops the received bytes of a TCP connection instead of copying them.
DISCARD = getattr(socket, "MSG_TRUNC", 0)


class Connection:
    """HTTP/1.1 on one kept connection."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.host = parts.netloc
        self.socket = socket.create_connection((parts.hostname, parts.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(BLOCK)

    def send(self, method, url, headers, length=None):
        """Send the head of a request."""
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send_file(self, path, start, count):
        """Send `count` bytes of a file, from `start`, as the body."""
        with open(path, "rb") as file:
            while count:
                sent = os.sendfile(self.socket.fileno(), file.fileno(), start, min(count, 64 * BLOCK))
                start, count = start + sent, count - sent

    def head(self):
        """(status, headers, first bytes of the body) of the answer."""
        data = b""
        while b"\r\n\r\n" not in data:
            block = self.socket.recv(65536)
            if not block:
                raise ConnectionError(f"no answer, but {data[:200]!r}")
            data += block
        head, _blank, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), headers, rest

    def answer(self, *, digest=None):
        """(status, headers, bytes in the body, time of the first bytes). A body without a length is an error."""
        status, headers, rest = self.head()
        first = time.perf_counter()
        size = left = int(headers["content-length"])
        if digest:
            digest.update(rest)
        left -= len(rest)
        view = memoryview(self.buffer)
        while left:
            count = self.socket.recv_into(view[: min(left, BLOCK)], 0, 0 if digest else DISCARD)
            if not count:
                raise ConnectionError(f"{left} bytes are missing")
            if digest:
                digest.update(view[:count])
            left -= count
        return status, headers, size, first


def get(url, *, headers=None, ranges=None, sha256=False):
    """One GET, or one for each [start, end) of `ranges`, all at once."""
    headers = headers or {}
    if ranges is None:
        digest = hashlib.sha256() if sha256 else None
        connection = Connection(url)
        began = time.perf_counter()
        connection.send("GET", url, headers)
        status, _headers, size, first = connection.answer(digest=digest)
        seconds = time.perf_counter() - began
        assert status in (200, 206), status
        return {"seconds": seconds, "first_byte": first - began, "bytes": size, "sha256": digest and digest.hexdigest()}
    done = []

    def fetch(start, end):
        digest = hashlib.sha256() if sha256 else None
        connection = Connection(url)
        connection.send("GET", url, {**headers, "Range": f"bytes={start}-{end - 1}"})
        status, _headers, size, _first = connection.answer(digest=digest)
        done.append((start, status, size, digest and digest.hexdigest()))

    seconds = _together([(fetch, span) for span in ranges])
    done.sort()
    assert [row[1] for row in done] == [206] * len(ranges), done
    return {"seconds": seconds, "bytes": sum(row[2] for row in done), "sha256": [row[3] for row in done]}


def post(url, *, headers, body, sha256=False):
    """One POST with a JSON body; reads a long answer."""
    digest = hashlib.sha256() if sha256 else None
    data = json.dumps(body).encode()
    connection = Connection(url)
    began = time.perf_counter()
    connection.send("POST", url, {**headers, "Content-Type": "application/json"}, len(data))
    connection.socket.sendall(data)
    status, facts, size, first = connection.answer(digest=digest)
    seconds = time.perf_counter() - began
    assert status < 300, status
    return {"seconds": seconds, "first_byte": first - began, "bytes": size, "status": status, "headers": facts}


def put(requests, *, path):
    """PUT pieces of a file, one after the other on one connection: `requests` are {url, headers, start, size}."""
    connection = Connection(requests[0]["url"])
    etags, began = [], time.perf_counter()
    for request in requests:
        connection.send("PUT", request["url"], request["headers"], request["size"])
        connection.send_file(path, request["start"], request["size"])
        status, headers, _size, _first = connection.answer()
        assert status in (200, 201, 204), status
        etags.append(headers.get("etag"))
    return {"seconds": time.perf_counter() - began, "etags": etags}


def many(urls, *, connections, count, headers=None):
    """`count` GETs in all over `connections` kept connections, going through the URLs in turn. `p95` is in seconds."""
    size, waits = [], []

    def work(number):
        connection = Connection(urls[0])
        for turn in range(number, count, connections):
            sent = time.perf_counter()
            connection.send("GET", urls[turn % len(urls)], headers or {})
            status, _headers, length, _first = connection.answer()
            assert status == 200, status
            waits.append(time.perf_counter() - sent)
            size.append(length)

    seconds = _together([(work, (number,)) for number in range(connections)])
    assert len(size) == count, f"{len(size)} of {count} answered"
    p95 = sorted(waits)[max(0, -(-len(waits) * 95 // 100) - 1)]
    return {"seconds": seconds, "bytes": sum(size), "requests": count, "p95": p95}


def copy(source, target, *, sync=False):
    """A plain copy: read a block, write a block."""
    began = time.perf_counter()
    with open(source, "rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
        while block := reader.read(BLOCK):
            writer.write(block)
        if sync:
            os.fdatasync(writer.fileno())
    return {"seconds": time.perf_counter() - began}


def _together(calls):
    threads = [threading.Thread(target=function, args=arguments) for function, arguments in calls]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


JOBS = {function.__name__: function for function in (get, post, put, many, copy)}

if __name__ == "__main__":
    facts = json.loads(sys.stdin.read())
    result = JOBS[facts.pop("job")](**facts)
    used = os.times()
    # Report the client's own CPU too: a client as busy as the server would be the limit that is measured.
    print(json.dumps({**result, "user": used.user, "system": used.system}))
