"""What is measured. Each work has contenders that take turns in each round; one of them is the limit."""

import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import LOOPBACK, free_ports

from . import MIB, meters
from .servers import ROOT

CLIENT = Path(__file__).with_name("client.py")
BULK = "/api/fileshare/download/bulk"


@dataclass
class Sample:
    """One turn of one contender. `amount` is in the work's unit; CPU in seconds of all server processes together."""

    seconds: float
    amount: float
    user: float = 0
    system: float = 0
    memory_mib: float = 0
    facts: dict = field(default_factory=dict)


@dataclass
class Work:
    """`unit` is what `amount` counts: MiB moved, or requests answered. Ratios are rates divided by the rate of `limit`.

    A round has `turns` turns of each contender: many, to find a difference of a few percent.
    """

    name: str
    unit: str
    limit: str
    contenders: dict
    note: str = ""
    turns: int = 1
    samples: dict = field(default_factory=dict)

    def run(self, rounds, tell):
        """Run `rounds` rounds; in each turn all contenders, one after the other."""
        for turn in range(rounds * self.turns):
            for name, contender in self.contenders.items():
                sample = contender()
                self.samples.setdefault(name, []).append(sample)
                tell(f"{self.name}, turn {turn + 1} of {rounds * self.turns}, {name}: {sample.seconds:.3f} s")


def client(job, **facts):
    """Run a job in the client's process and return its result."""
    text = json.dumps({"job": job, **facts})
    done = subprocess.run([sys.executable, CLIENT], input=text, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


@contextmanager
def measured(server, sample):
    """Fill in the CPU and memory that the server's processes use during the block."""
    meter = meters.Meter(*server.pids)
    yield
    use = meter.stop()
    sample.user, sample.system, sample.memory_mib = use.user, use.system, use.memory_mib


def load(server, amount, job, **facts):
    """A contender: the client's job against this server. A callable among the facts is called for each turn."""

    def turn():
        given = {name: value() if callable(value) else value for name, value in facts.items()}
        sample = Sample(0, amount)
        with measured(server, sample):
            found = client(job, **given)
        sample.seconds = found["seconds"]
        sample.facts = {name: found[name] for name in ("first_byte", "p95", "user", "system") if name in found}
        return sample

    return turn


def timed_inside(portal, job, slug, processes, count, *options):
    """A contender: a job of bench.inside that measures itself, with `processes` processes at once."""

    def turn():
        seconds, user, system = portal.inside(job, slug, processes, count, *options)
        return Sample(seconds, processes * count, user, system)

    return turn


# --- Upload ----------------------------------------------------------------------------------------


def copy_of(source, target, *, sync=False):
    """A contender: the plain copy."""

    def turn():
        settle()
        found = client("copy", source=str(source), target=str(target), sync=sync)
        os.unlink(target)
        return Sample(found["seconds"], source.stat().st_size / MIB, found["user"], found["system"])

    return turn


def put_to_nginx(nginx, source):
    """A contender: nginx' own PUT."""
    size = source.stat().st_size
    request = {"url": f"{nginx.url}/put.bin", "headers": {}, "start": 0, "size": size}
    send = load(nginx, size / MIB, "put", requests=[request], path=str(source))

    def turn():
        settle()
        sample = send()
        os.unlink(nginx.files / "put.bin")
        return sample

    return turn


def upload_to(portal, folder_id, source):
    """A contender: initiate, all bytes, complete; then the file is purged."""

    def turn():
        settle()
        sample, file_id = upload(portal, folder_id, source)
        with portal.web() as web:
            web.delete(f"/api/fileshare/files/{file_id}").raise_for_status()
            web.delete(f"/api/files/trash/{file_id}").raise_for_status()
        return sample

    return turn


def upload(portal, folder_id, source):
    """(Sample, file id) of an upload as the page does it, one part after the other."""
    size = source.stat().st_size
    sample = Sample(0, size / MIB)
    with portal.web() as web, measured(portal, sample):
        facts = {"filename": source.name, "size_bytes": size, "content_type": "application/octet-stream"}
        began = time.perf_counter()
        promise = web.post("/api/fileshare/upload/initiate", json={"folder_id": folder_id, **facts})
        initiated = time.perf_counter() - began
        promise = promise.raise_for_status().json()
        parts = promise.get("parts") or [{"part_number": 1, "upload_url": promise["upload_url"]}]
        step = promise.get("part_size", size)
        starts = [(part["part_number"] - 1) * step for part in parts]
        requests = [
            {
                "url": part["upload_url"],
                "headers": promise.get("headers", {}),
                "start": start,
                "size": min(step, size - start),
            }
            for part, start in zip(parts, starts, strict=True)
        ]
        sent = client("put", requests=requests, path=str(source))
        facts = {"file_id": promise["file_id"]}
        if "parts" in promise:
            named = [
                {"part_number": part["part_number"], "etag": etag}
                for part, etag in zip(parts, sent["etags"], strict=True)
            ]
            facts |= {"upload_id": promise["upload_id"], "parts": named}
        began = time.perf_counter()
        web.post("/api/fileshare/upload/complete", json=facts).raise_for_status()
        completed = time.perf_counter() - began
    sample.seconds = initiated + sent["seconds"] + completed
    sample.facts = {"put": sent["seconds"], "complete": completed}
    return sample, promise["file_id"]


def settle():
    """Write the data of earlier turns to the disk, so that it does not slow the next one."""
    os.sync()


# --- Download --------------------------------------------------------------------------------------


def download_url(portal, file_id):
    """A signed URL of the file."""
    with portal.web() as web:
        return web.post(f"/api/fileshare/download/{file_id}").raise_for_status().json()["download_url"]


def download_urls(portal, ids):
    """Signed URLs of many files."""
    with portal.web() as web:
        answers = [web.post(f"/api/fileshare/download/{file_id}").raise_for_status() for file_id in ids]
    return [answer.json()["download_url"] for answer in answers]


def spans(size, count):
    """`count` ranges [start, end) that together cover `size`."""
    edges = [size * number // count for number in range(count + 1)]
    return list(zip(edges, edges[1:], strict=False))


def check_download(portal, file_id, source, ranges):
    """Raise unless the whole file and each of these ranges come back as in `source`."""
    url = download_url(portal, file_id)
    whole, pieces = hashlib.sha256(), []
    with open(source, "rb") as file:
        for start, end in ranges:
            piece = hashlib.sha256()
            while start < end:
                block = file.read(min(MIB, end - start))
                piece.update(block)
                whole.update(block)
                start += len(block)
            pieces.append(piece.hexdigest())
    if client("get", url=url, sha256=True)["sha256"] != whole.hexdigest():
        raise RuntimeError(f"{portal.name}: other bytes came back than were sent")
    if client("get", url=url, ranges=ranges, sha256=True)["sha256"] != pieces:
        raise RuntimeError(f"{portal.name}: other ranges came back than were asked for")


# --- ZIP -------------------------------------------------------------------------------------------


def zip_by_hand(folder, amount):
    """A contender: `zip -0` of the same files."""

    def turn():
        began = time.perf_counter()
        process = subprocess.Popen(["zip", "-0", "-q", "-r", "-", "."], cwd=folder, stdout=subprocess.DEVNULL)
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError("zip failed")
        return Sample(time.perf_counter() - began, amount, used.ru_utime, used.ru_stime)

    return turn


def check_zip(portal, ids, source, size):
    """Raise unless the archive holds the pieces of `source` that were stored."""
    with tempfile.TemporaryFile(dir=source.parent) as file:
        with portal.web() as web, web.stream("POST", BULK, json={"file_ids": ids}) as answer:
            answer.raise_for_status()
            for block in answer.iter_raw(MIB):
                file.write(block)
        with zipfile.ZipFile(file) as archive, open(source, "rb") as original:
            for name in sorted(archive.namelist()):
                if archive.read(name) != original.read(size):
                    raise RuntimeError(f"{portal.name}: {name} of the archive is not the file that was stored")
            if len(archive.namelist()) != len(ids):
                raise RuntimeError(f"{portal.name}: the archive is not complete")


# --- The rest --------------------------------------------------------------------------------------


def initiate(portal, folder_id, count):
    """A contender: one call that initiates `count` uploads."""

    def turn():
        files = [{"filename": f"{number}.bin", "size_bytes": 1000 + number} for number in range(count)]
        sample = Sample(0, 1)
        with portal.web() as web, measured(portal, sample):
            began = time.perf_counter()
            answer = web.post("/api/fileshare/upload/initiate", json={"folder_id": folder_id, "files": files})
            sample.seconds = time.perf_counter() - began
        promised = answer.raise_for_status().json()["uploads"]
        if len([one for one in promised if "upload_url" in one]) != count:
            raise RuntimeError("not every file was promised")
        return sample

    return turn


def move(portal, ids, places):
    """A contender: one call that moves all these files, in turn to each folder of `places` (ids)."""
    targets = itertools.cycle(places)

    def turn():
        sample = Sample(0, 1)
        with portal.web() as web, measured(portal, sample):
            began = time.perf_counter()
            answer = web.post("/api/files/move", json={"file_ids": ids, "folder_id": next(targets)})
            sample.seconds = time.perf_counter() - began
        if len(answer.raise_for_status().json()["done"]) != len(ids):
            raise RuntimeError("not every file was moved")
        return sample

    return turn


def start(folder, root=ROOT):
    """A contender: `make run` on an existing database, until the first page is answered."""
    (port,) = free_ports(1)
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    environment |= {
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(folder / f"start-{root.name}"),
        "PORT": str(port),
        "PYTHON": sys.executable,
    }

    def turn():
        began = time.perf_counter()
        process = subprocess.Popen(
            ["make", "run"],
            cwd=root,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                with suppress(OSError), urllib.request.urlopen(f"http://{LOOPBACK}:{port}/login", timeout=60):
                    return Sample(time.perf_counter() - began, 1)
                time.sleep(0.01)
            raise RuntimeError("make run ended")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    turn()  # the first turn creates the database and the demo data
    return turn


def pieces(source, folder, count, size):
    """Write pieces with the same bytes that the portals store, for contenders that read a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with open(source, "rb") as file:
        for number in range(count):
            (folder / f"{number:05}.bin").write_bytes(file.read(size))
    return folder
