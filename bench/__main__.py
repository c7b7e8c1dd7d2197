"""Measure the portal beside its limits.

    make bench                                       all works: about 20 minutes and 12 GiB on the disk
    make bench ARGS="--only upload,zip --rounds 5"   some works
    make bench ARGS=--quick                          a sixteenth of every size, one round: does the benchmark run?
    make bench ARGS="--against 0b6d9ca"              beside that commit, and beside copyparty where it is installed

Prints tables and writes all results to --json (default: var/bench.json). Before timing it checks that downloads return
the bytes that were uploaded. Compare only ratios within one run: the machine also does other work.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.servers import nginx_path, weed_path

from . import MIB, against, report, servers, works


def main(arguments=None):
    options = read_options(arguments)
    # On SIGTERM exit normally, so that the servers it started are stopped.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    when, load = dt.datetime.now(dt.UTC), os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-bench-", dir=options.dir)))
        if options.against:
            tell = Progress(sys.stderr)
            done = against.run(stack, folder, options, tell)
            tell.end()
        else:
            done = measure(stack, folder, options)
    print(f"{when:%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {load:.1f} before, rounds: {options.rounds}")
    if options.against:
        print("\n".join(["", *against.table(done)]))
    print("\n".join(report.table(done)))
    result = report.facts(done, quick=options.quick, rounds=options.rounds, when=when, load=load)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def read_options(arguments):
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a sixteenth of every size, one round")
    parser.add_argument("--rounds", type=int, default=None, help="default: 3; 1 when quick")
    parser.add_argument("--only", default=",".join(KIND_OF), help=f"some of {','.join(KIND_OF)}")
    parser.add_argument("--against", metavar="COMMIT", help="beside this commit and beside peers; five rounds")
    parser.add_argument("--no-s3", action="store_true", help="leave the S3 server out")
    parser.add_argument("--json", type=Path, default=servers.ROOT / "var" / "bench.json")
    parser.add_argument("--dir", default=None, help="where its files lie; default: the system's temporary folder")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(KIND_OF):
        parser.error(f"no such work: {', '.join(unknown)}")
    options.rounds = options.rounds or (1 if options.quick else 5 if options.against else 3)
    if nginx_path() is None:
        parser.error("nginx is what the portal is held against: apt-get install nginx-light")
    return options


def measure(stack, folder, options):
    """Run the Works one after the other and return them."""
    part = 16 if options.quick else 1
    size, pieces, many = 1024 * MIB // part, 1000 // part, 100_000 // part
    tell = Progress(sys.stderr)
    tell("starting the servers")
    source = servers.random_file(folder / "source.bin", size)
    # One PUT for any size and no waiting for the disk, as nginx does it.
    plain = {"MULTIPART_THRESHOLD": str(size), "STORE_FSYNC": "0"}
    # As shipped; in a quick run with smaller parts, so that the smaller file also has several.
    parts = {"MULTIPART_THRESHOLD": str(16 * MIB), "PART_SIZE": str(16 * MIB)} if options.quick else {}
    blocks = {
        "nginx": servers.plain_nginx(folder),
        "run": servers.portal("run", folder, **plain),
        "front": servers.portal_behind_nginx("front", folder, **plain),
        "shipped": servers.portal("shipped", folder, **parts) if "upload" in options.only else None,
        "s3": None if options.no_s3 or weed_path() is None else servers.portal_on_s3("s3", folder, **parts),
    }
    with ThreadPoolExecutor() as pool:
        started = {name: block and pool.submit(stack.enter_context, block) for name, block in blocks.items()}
    field = Field(**{name: future and future.result() for name, future in started.items()})
    done = []
    for kind in options.only:
        for work in KIND_OF[kind](
            field, folder, source, Sizes(size, pieces, many, 2000 // part, 48 // part, many * 10)
        ):
            work.run(options.rounds, tell)
            done.append(work)
    tell.end()
    return done


class Progress:
    """One line, rewritten on a terminal."""

    def __init__(self, stream):
        self._stream = stream

    def __call__(self, text):
        """Show what was done last."""
        ending = "\r\x1b[K" if self._stream.isatty() else "\n"
        self._stream.write(ending + text if ending.startswith("\r") else text + ending)
        self._stream.flush()

    def end(self):
        """End the line."""
        if self._stream.isatty():
            self._stream.write("\n")


@dataclass(frozen=True)
class Field:
    """The contenders: nginx alone; the portal by itself, behind nginx, as shipped, and on S3 (or None)."""

    nginx: object
    run: object
    front: object
    shipped: object
    s3: object

    @property
    def portals(self):
        """{name in the tables: portal} of the portals that get the same measurements."""
        named = {"make run": self.run, "behind nginx": self.front, "on S3": self.s3}
        return {name: portal for name, portal in named.items() if portal}


@dataclass(frozen=True)
class Sizes:
    """Bytes of the large file, MiB pieces in a ZIP, rows of the large folder, small downloads, pages, names."""

    large: int
    pieces: int
    rows: int
    small: int
    pages: int
    names: int

    @property
    def few_names(self):
        """How many names the small search has."""
        return self.names // 100


def upload(field, folder, source, sizes):
    """Upload 1 GiB until it is a File."""
    places = {name: portal.inside("folder", "uploads") for name, portal in field.portals.items()}
    contenders = {"copy": works.copy_of(source, folder / "copy.bin")}
    if field.nginx.takes:
        contenders["nginx PUT"] = works.put_to_nginx(field.nginx, source)
    for name, portal in field.portals.items():
        contenders[name] = works.upload_to(portal, places[name], source)
    yield works.Work("upload", "MiB", "copy", contenders, "one PUT (in parts on S3), initiate to complete, no fsync")
    shipped = {
        "copy": works.copy_of(source, folder / "copy.bin", sync=True),
        "make run": works.upload_to(field.shipped, field.shipped.inside("folder", "uploads"), source),
    }
    yield works.Work("upload as shipped", "MiB", "copy", shipped, "in parts of 50 MiB, each waits for the disk")


def download(field, folder, source, sizes):
    """Download 1 GiB, on one connection and in eight ranges at once."""
    ranges = works.spans(sizes.large, 8)
    shutil.copyfile(source, field.nginx.files / "large.bin")
    urls = {}
    for name, portal in field.portals.items():
        _sample, file_id = works.upload(portal, portal.inside("folder", "downloads"), source)
        works.check_download(portal, file_id, source, ranges)
        urls[name] = partial(works.download_url, portal, file_id)
    amount, static = sizes.large / MIB, f"{field.nginx.url}/large.bin"
    for title, facts in (("download", {}), ("eight ranges at once", {"ranges": ranges})):
        contenders = {"nginx": works.load(field.nginx, amount, "get", url=static, **facts)}
        for name, portal in field.portals.items():
            contenders[name] = works.load(portal, amount, "get", url=urls[name], **facts)
        yield works.Work(title, "MiB", "nginx", contenders)


def small(field, folder, source, sizes):
    """Downloads of 10 KiB by signed URLs; each round asks for new URLs."""
    files, size = 50, 10 * 1024
    works.pieces(source, field.nginx.files / "small", files, size)
    static = [f"{field.nginx.url}/small/{number:05}.bin" for number in range(files)]
    facts = {"connections": 16, "count": sizes.small}
    contenders = {"nginx": works.load(field.nginx, sizes.small, "many", urls=static, **facts)}
    for name, portal in {"make run": field.run, "behind nginx": field.front}.items():
        ids = portal.inside("stored", "small", str(source), files, size)
        urls = partial(works.download_urls, portal, ids)
        contenders[name] = works.load(portal, sizes.small, "many", urls=urls, **facts)
    yield works.Work("10 KiB signed downloads, 16 connections", "requests", "nginx", contenders)


def archive(field, folder, source, sizes):
    """Download many files of 1 MiB as one stored ZIP."""
    by_hand = works.pieces(source, folder / "pieces", sizes.pieces, MIB)
    contenders = {"zip -0": works.zip_by_hand(by_hand, sizes.pieces)}
    for name, portal in field.portals.items():
        ids = portal.inside("stored", "zipped", str(source), sizes.pieces, MIB)
        works.check_zip(portal, ids, source, MIB)
        contenders[name] = works.load(
            portal, sizes.pieces, "post", url=portal.url + works.BULK, headers=portal.headers, body={"file_ids": ids}
        )
    yield works.Work(f"ZIP of {sizes.pieces} × 1 MiB", "MiB", "zip -0", contenders)


def lists(field, folder, source, sizes):
    """The first hundred files of a small and of a large folder."""
    count, portal = sizes.pages, field.run
    places = {"100 files": portal.inside("rows", "few", 100)}
    large = f"{sizes.rows:,} files"
    places[large] = portal.inside("rows", "many", sizes.rows)
    slugs = {"100 files": "few", large: "many"}
    api = {name: f"/api/fileshare/folders/{place}/files" for name, place in places.items()}
    pages = {name: f"/fileshare/{slug}/?limit=100" for name, slug in slugs.items()}
    for title, paths, headers in (("API page of 100", api, portal.headers), ("HTML page of 100", pages, portal.cookie)):
        contenders = {
            name: works.load(
                portal, count, "many", urls=[portal.url + path], connections=1, count=count, headers=headers
            )
            for name, path in paths.items()
        }
        queries = portal.inside("queries", list(paths.values()))
        yield works.Work(
            title, "requests", "100 files", contenders, f"{queries[0]} and {queries[1]} queries by session"
        )


def search(field, folder, source, sizes):
    """Search common and rare names, among few and many; also on PostgreSQL where one runs."""
    portals = {"few": ("SQLite", sizes.few_names, {}), "many": ("SQLite", sizes.names, {})}
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(servers.new_database())
        if url:
            portals |= {
                "few-pg": ("PostgreSQL", sizes.few_names, {"DATABASE_URL": url}),
                "many-pg": ("PostgreSQL", sizes.names, {}),
            }
            portals["many-pg"][2]["DATABASE_URL"] = stack.enter_context(servers.new_database())
        asked = {}
        for name, (database, count, settings) in portals.items():
            portal = stack.enter_context(servers.portal(f"search-{name}", folder, **settings))
            asked[f"{database}, {count:,} names"] = portal, portal.inside("names", "named", count)
        limit, (_portal, terms) = next(iter(asked.items()))
        for term in terms:
            contenders = {
                name: works.load(
                    portal,
                    sizes.pages,
                    "many",
                    urls=[f"{portal.url}/api/files/search?{queries[term]}"],
                    connections=1,
                    count=sizes.pages,
                    headers=portal.headers,
                )
                for name, (portal, queries) in asked.items()
            }
            yield works.Work(f"search for {term}", "requests", limit, contenders)


def audit(field, folder, source, sizes):
    """The cost of a row of the log beside the upload that it records, by one process and by eight at once."""
    with contextlib.ExitStack() as stack:
        portals = {"SQLite": {}}
        url = stack.enter_context(servers.new_database())
        if url:
            portals["PostgreSQL"] = {"DATABASE_URL": url}
        for database, settings in portals.items():
            portal = stack.enter_context(servers.portal(f"audit-{database.lower()}", folder, **settings))
            portal.inside("folder", "logged")
            for processes in (1, 8):
                count = max(4, sizes.small // 10 // processes)
                contenders = {
                    "an upload": works.timed_inside(portal, "uploads", "logged", processes, count),
                    "without its row": works.timed_inside(portal, "uploads", "logged", processes, count, False),
                    "a row alone": works.timed_inside(portal, "appends", "logged", processes, count),
                }
                title = f"audit, {database}, {processes} at once"
                yield works.Work(title, "requests", "an upload", contenders, turns=max(1, sizes.small // 500))


def initiate(field, folder, source, sizes):
    """Initiate uploads of a hundred files in one call."""
    place = field.run.inside("folder", "promises")
    yield works.Work(
        "initiate of 100 files", "requests", "make run", {"make run": works.initiate(field.run, place, 100)}
    )


def move(field, folder, source, sizes):
    """Move many files to another folder by one call."""
    portal, contenders = field.run, {}
    for name, count in (("10 files", 10), (f"{sizes.pieces:,} files", sizes.pieces)):
        slug = f"moved-{count}"
        ids = portal.inside("stored", slug, str(source), count, 1024)
        places = [portal.inside("folder", f"{slug}-{number}") for number in range(2)]
        contenders[name] = works.move(portal, ids, places)
    yield works.Work("move to another folder", "requests", "10 files", contenders, "the bytes follow by a task")


def start(field, folder, source, sizes):
    """Start of `make run`: from the command to the first page."""
    yield works.Work("make run, warm", "requests", "make run", {"make run": works.start(folder)})


KIND_OF = {
    "upload": upload,
    "download": download,
    "small": small,
    "zip": archive,
    "lists": lists,
    "search": search,
    "audit": audit,
    "initiate": initiate,
    "move": move,
    "start": start,
}


if __name__ == "__main__":
    sys.exit(main())
