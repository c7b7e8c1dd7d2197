"""The benchmark works: it starts what it needs, gets back the bytes it sent, and reports every work, however slow."""

import json
import os
import subprocess
import sys

import pytest

from bench import meters
from tests.plugin import ROOT

pytestmark = [pytest.mark.nginx, pytest.mark.sqlite]
MIB = 1024 * 1024


def test_a_quick_run_measures_every_work(tmp_path):
    kinds = "upload,download,small,zip,lists,initiate,move"
    command = [sys.executable, "-m", "bench", "--quick", "--no-s3", "--only", kinds]
    command += ["--dir", str(tmp_path), "--json", str(tmp_path / "bench.json")]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    works = {work["name"]: work for work in result["works"]}
    both = ["make run", "behind nginx"]
    assert {name: list(work["samples"]) for name, work in works.items()} == {
        "upload": ["copy", "nginx PUT", *both],
        "upload as shipped": ["copy", "make run"],
        "download": ["nginx", *both],
        "eight ranges at once": ["nginx", *both],
        "10 KiB signed downloads, 16 connections": ["nginx", *both],
        "ZIP of 62 × 1 MiB": ["zip -0", *both],
        "API page of 100": ["100 files", "6,250 files"],
        "HTML page of 100": ["100 files", "6,250 files"],
        "initiate of 100 files": ["make run"],
        "move to another folder": ["10 files", "62 files"],
    }
    for work in works.values():
        assert f"**{work['name']}**" in done.stdout
        assert work["limit"] in work["samples"]
        for (sample,) in work["samples"].values():
            assert sample["seconds"] > 0
            assert sample["user"] >= 0
            assert sample["system"] >= 0
    assert {sample["amount"] for (sample,) in works["download"]["samples"].values()} == {64}
    assert list(tmp_path.iterdir()) == [tmp_path / "bench.json"], "it cleans up behind itself"


def test_the_meter_sees_what_children_use():
    """The meter also counts half a second of work in a grandchild that has ended."""
    work = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    start = f"import subprocess, sys; input(); subprocess.run([sys.executable, '-c', {work!r}])"
    start += "; print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        meter = meters.Meter(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        use = meter.stop()
        process.communicate("\n")

    assert use.user + use.system >= 0.4


def test_memory_is_the_peak_above_the_beginning():
    meter = meters.Meter(os.getpid())
    data = bytearray(b"x" * 64 * MIB)
    del data

    assert 60 < meter.stop().memory_mib < 200
