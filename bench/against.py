"""This checkout beside an earlier commit and beside peers, in one run: `python -m bench --against 0b6d9ca`.

The commit is checked out into a worktree with an environment of its own. copyparty and HFS take part where they are
installed (on PATH). Every contender does each work once a round; the table gives ratios within a round.
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

from tests.servers import LOOPBACK, free_ports, spawn, stop, wait_until

from . import MIB, meters, report, servers, works

FILES, SIZE = 100, 10 * 1024
OLD, NOW = "before", "now"


@contextlib.contextmanager
def checkout(commit):
    """The folder of a worktree of `commit` with the packages that it needs; removed after the block."""
    folder = servers.ROOT / "var" / "bench" / commit
    git = ["git", "-C", str(servers.ROOT), "worktree"]
    if not folder.exists():
        subprocess.run([*git, "add", "--detach", str(folder), commit], check=True, capture_output=True)
    subprocess.run([sys.executable, "scripts/bootstrap.py", "dev"], cwd=folder, check=True, stdout=sys.stderr)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([*git, "prune"], check=True)


@contextlib.contextmanager
def peer(name, folder, port, command, *, log):
    """A server that shows the files of `folder`, or None where its command is not installed."""
    if shutil.which(command[0]) is None:
        yield None
        return
    process = spawn(command, log=log, env=dict(os.environ), cwd=folder)
    try:
        wait_until(lambda: servers.listens(port), process=process, log=log, seconds=60)
        yield SimpleNamespace(name=name, pids=[process.pid], url=f"http://{LOOPBACK}:{port}")
    finally:
        stop(process, seconds=30)


def copyparty(folder, *, log):
    (port,) = free_ports(1)
    command = ["copyparty", "-q", "-i", LOOPBACK, "-p", str(port), "-v", f"{folder}::r"]
    return peer("copyparty", folder, port, command, log=log)


def run(stack, folder, options, tell):
    """The Works of --against, run."""
    part = 16 if options.quick else 1
    source = servers.random_file(folder / "source.bin", 1024 * MIB // part)
    shown = folder / "shown"
    works.pieces(source, shown / "small", FILES, SIZE)
    shutil.copyfile(source, shown / "large.bin")
    old = stack.enter_context(checkout(options.against))
    plain = {"MULTIPART_THRESHOLD": str(2 * 2**30), "STORE_FSYNC": "0"}
    portals = {
        OLD: stack.enter_context(servers.portal("old", folder, root=old, **plain)),
        NOW: stack.enter_context(servers.portal("now", folder, **plain)),
    }
    nginx = stack.enter_context(servers.plain_nginx(folder))
    for entry in shown.iterdir():
        os.symlink(entry, nginx.files / entry.name)
    rival = stack.enter_context(copyparty(shown, log=folder / "copyparty.log"))
    field = SimpleNamespace(portals=portals, nginx=nginx, rival=rival, root={OLD: old, NOW: servers.ROOT})
    done = []
    for kind in (small, pages, browsing, search, large, archive, start):
        for work in kind(field, folder, source, part):
            work.run(options.rounds, tell)
            done.append(work)
    return done


def small(field, folder, source, part):
    """Signed downloads of 10 KiB, and making such a link, on 16 connections."""
    count = 2000 // part
    ids = {name: portal.inside("stored", "small", str(source), FILES, SIZE) for name, portal in field.portals.items()}
    load = partial(works.load, amount=count, job="many", connections=16, count=count)
    contenders = {
        name: load(portal, urls=partial(works.download_urls, portal, ids[name]))
        for name, portal in field.portals.items()
    }
    for name, other in (("nginx", field.nginx), ("copyparty", field.rival)):
        if other:
            contenders[name] = load(other, urls=[f"{other.url}/small/{number:05}.bin" for number in range(FILES)])
    yield works.Work("10 KiB signed downloads, 16 connections", "requests", OLD, contenders)
    contenders = {
        name: load(portal, urls=[f"{portal.url}/api/client/download/{pk}" for pk in ids[name]], headers=portal.headers)
        for name, portal in field.portals.items()
    }
    yield works.Work("making such a link, 16 connections", "requests", OLD, contenders)


def pages(field, folder, source, part):
    """The first page of a folder of 10,000 files, by the API and in a browser."""
    count, rows = 48 // part or 1, 10_000 // part
    places = {name: portal.inside("rows", "many", rows) for name, portal in field.portals.items()}
    for title, path, headers in (
        ("API page of 100", "/api/fileshare/folders/{}/files", "headers"),
        ("HTML folder page of 50 rows", "/fileshare/many/", "cookie"),
    ):
        contenders = {
            name: works.load(
                portal,
                count,
                "many",
                urls=[portal.url + path.format(places[name])],
                connections=1,
                count=count,
                headers=getattr(portal, headers),
            )
            for name, portal in field.portals.items()
        }
        yield works.Work(title, "requests", OLD, contenders)


def browsing(field, folder, source, part):
    """64 people open the folder's page at once."""
    count = 256 // part
    contenders = {
        name: works.load(
            portal,
            count,
            "many",
            urls=[f"{portal.url}/fileshare/many/"],
            connections=64,
            count=count,
            headers=portal.cookie,
        )
        for name, portal in field.portals.items()
    }
    yield works.Work("64 people browsing", "requests", OLD, contenders)


def search(field, folder, source, part):
    """Each of the seven searches among many names; SQLite."""
    names = {name: portal.inside("names", "named", 1_000_000 // part // 10) for name, portal in field.portals.items()}
    for term in names[NOW]:
        contenders = {
            name: works.load(
                portal,
                24,
                "many",
                urls=[f"{portal.url}/api/files/search?{names[name][term]}"],
                connections=1,
                count=24,
                headers=portal.headers,
            )
            for name, portal in field.portals.items()
        }
        yield works.Work(f"search for {term}", "requests", OLD, contenders)


def large(field, folder, source, part):
    """Download and upload of 1 GiB."""
    amount = source.stat().st_size / MIB
    urls = {}
    for name, portal in field.portals.items():
        _sample, file_id = works.upload(portal, portal.inside("folder", "large"), source)
        urls[name] = partial(works.download_url, portal, file_id)
    for title, facts in (("download", {}), ("eight ranges at once", {"ranges": works.spans(source.stat().st_size, 8)})):
        contenders = {
            name: works.load(portal, amount, "get", url=urls[name], **facts) for name, portal in field.portals.items()
        }
        for name, other in (("nginx", field.nginx), ("copyparty", field.rival)):
            if other:
                contenders[name] = works.load(other, amount, "get", url=f"{other.url}/large.bin", **facts)
        yield works.Work(title, "MiB", OLD, contenders)
    contenders = {
        name: works.upload_to(portal, portal.inside("folder", "uploads"), source)
        for name, portal in field.portals.items()
    }
    yield works.Work("upload", "MiB", OLD, contenders)


def archive(field, folder, source, part):
    """A ZIP of many files of 1 MiB."""
    count = 1000 // part
    contenders = {}
    for name, portal in field.portals.items():
        ids = portal.inside("stored", "zipped", str(source), count, MIB)
        contenders[name] = works.load(
            portal, count, "post", url=portal.url + works.BULK, headers=portal.headers, body={"file_ids": ids}
        )
    yield works.Work(f"ZIP of {count} × 1 MiB", "MiB", OLD, contenders)


def start(field, folder, source, part):
    """`make run` to the first page on a database that is there, and the memory of the whole tree at rest."""
    contenders = {name: works.start(folder, field.root[name]) for name in field.portals}
    yield works.Work("make run, warm", "requests", OLD, contenders)

    def held(portal):
        return lambda: works.Sample(1, 1 / meters.at_rest(*portal.pids))

    contenders = {name: held(portal) for name, portal in field.portals.items()}
    yield works.Work("1 / memory at rest (PSS of the tree, MiB)", "requests", OLD, contenders)


def table(done):
    """Lines of Markdown: one row for each work, with the ratios of this checkout to the commit and to the peers."""
    yield "| work | rate × before | CPU × before | rate × nginx | rate × copyparty |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for work in done:
        rates = {name: [each.amount / each.seconds for each in some] for name, some in work.samples.items()}
        used = {name: [(each.user + each.system) / each.amount for each in some] for name, some in work.samples.items()}
        cells = [_ratio(rates, OLD), _ratio(used, OLD), _ratio(rates, "nginx"), _ratio(rates, "copyparty")]
        yield f"| {' | '.join([work.name, *cells])} |"


def _ratio(values, other):
    if other not in values or not all(values[other]) or not statistics.fmean(values[NOW]):
        return ""
    return report.spread([mine / its for mine, its in zip(values[NOW], values[other], strict=True)], report.number)
