"""An archive over 4 GiB, and one of a thousand files: exact, in bounded memory, and resumed wherever it is cut."""

import contextlib
import functools
import os
import random
import re
import threading
import uuid
import zipfile
import zlib

import pytest

from fileshare.storage import crc
from tests.faults.portal import MIB, fill, new_folder, readiness

GIB = 1024 * MIB
MOST_GROWTH = 64 * MIB
BLOCK_SIZE = MIB
HOLE = bytes(BLOCK_SIZE)
STEP = 64 * MIB
SPARSE = """
import zlib
from accounts.models import User
from fileshare.models import File, Folder
folder, user = Folder.objects.get(pk="{folder}"), User.objects.get(is_superuser=True)
for pk, size, crc32 in {facts}:
    File.objects.create(pk=pk, folder=folder, filename=f"{{pk}}.bin", size_bytes=size, crc32=crc32, sha256="0" * 64,
        content_type="application/octet-stream", object_key=f"files/sparse/{{pk}}/data.bin", uploaded_by=user)
Folder.objects.filter(pk=folder.pk).update(used_bytes={total})
"""


@functools.cache
def crc_of_zeros(size):
    """The CRC-32 of `size` zero bytes."""
    return zlib.crc32(bytes(size))


def sparse_files(portal, folder, sizes):
    """Make sparse files with a mark every 64 MiB where the store keeps its objects; returns their ids."""
    facts = []
    for size in sizes:
        pk = str(uuid.uuid4())
        path = portal.folder / "data" / "store" / "objects" / "files" / "sparse" / pk / "data.bin"
        path.parent.mkdir(parents=True)
        crc32 = 0
        with path.open("wb") as file:
            for start in range(0, size, STEP):
                mark = f"{pk} at {start}\n".encode()[: size - start]
                file.seek(start)
                file.write(mark)
                hole = min(STEP, size - start) - len(mark)
                crc32 = crc.combine(zlib.crc32(mark, crc32), crc_of_zeros(hole), hole)
            file.truncate(size)
        facts.append((pk, size, crc32))
    portal.shell(SPARSE.format(folder=folder, facts=facts, total=sum(sizes)))
    return [pk for pk, _size, _crc32 in facts]


@contextlib.contextmanager
def memory_watched(portal):
    """Yields a list. At the end it holds by how many bytes the web server's memory grew at most."""
    before, most, over = portal.memory(), [0], threading.Event()

    def watch():
        while not over.wait(0.1):
            most[0] = max(most[0], portal.memory() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def fetch(answer, file, *, up_to=None):
    """Write a streamed answer at the position of `file`, its zeros as holes. Hang up beyond `up_to`."""
    for block in answer.iter_raw(BLOCK_SIZE if up_to is None or up_to > 16 * BLOCK_SIZE else 4096):
        if block == HOLE:
            file.seek(len(block), os.SEEK_CUR)
        else:
            file.write(block)
        if up_to is not None and file.tell() >= up_to:
            return


def download(api, ids, path, cuts):
    """Fetch the archive to `path`, cut at each of `cuts` (fractions of it) and resumed; returns its length."""
    with path.open("wb") as file:
        with api.stream("POST", "/api/fileshare/download/bulk", json={"file_ids": ids}) as answer:
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
            length, etag = int(answer.headers["Content-Length"]), answer.headers["ETag"]
            (again,) = re.findall(r"<([^>]+)>", answer.headers["Link"])
            fetch(answer, file, up_to=cuts[0] * length)
        for cut in [*cuts[1:], None]:
            start = file.tell()
            with api.stream("GET", again, headers={"Range": f"bytes={start}-", "If-Range": etag}) as answer:
                assert answer.status_code == 206
                assert answer.headers["Content-Range"] == f"bytes {start}-{length - 1}/{length}"
                fetch(answer, file, up_to=cut and cut * length)
        assert file.tell() == length
        file.truncate()
    return length


@pytest.mark.sqlite
@pytest.mark.local
def test_an_archive_beyond_four_gibibytes(embedded, tmp_path):
    sizes = [GIB, GIB + 1, GIB - 1, 200 * MIB + 3, GIB]
    seed = random.randrange(2**32)
    cuts = sorted(random.Random(seed).random() for _ in range(3))
    with embedded.signed_in() as api:
        folder = new_folder(api)
        ids = sparse_files(embedded, folder, sizes)
        with memory_watched(embedded) as growth:
            length = download(api, ids, tmp_path / "all.zip", cuts)

    print(f"{length / GIB:.2f} GiB, cut with seed {seed}: the server grew by {growth[0] / MIB:.1f} MiB")  # noqa: T201
    assert length > 4 * GIB
    assert growth[0] < MOST_GROWTH
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert [entry.file_size for entry in archive.infolist()] == sizes
        assert archive.infolist()[-1].header_offset > 4 * GIB - GIB
        assert archive.testzip() is None, f"seed {seed}"
    (tmp_path / "all.zip").unlink()

    with embedded.signed_in() as api:
        for pk in ids:
            assert api.delete(f"/api/files/{pk}").status_code == 204
            assert api.delete(f"/api/files/trash/{pk}").status_code == 204
    assert embedded.space(folder) == (0, 0)


def test_an_archive_of_a_thousand_files(portal, api, tmp_path):
    folder, count = new_folder(api), 1000
    fill(portal, folder, count)
    ids, url = [], f"/api/fileshare/folders/{folder}/files?limit=500"
    while url:
        page = api.get(url).json()
        ids += [row["id"] for row in page["results"]]
        url = page["next"]
    assert len(ids) == count

    for number in range(8):  # each process loads what it needs at its first download
        download(api, ids[number : number + 50], tmp_path / "few.zip", [0.5])
    with memory_watched(portal) as growth:
        download(api, ids, tmp_path / "all.zip", [0.4, 0.7])

    print(f"1,000 files: the server grew by {growth[0] / MIB:.1f} MiB")  # noqa: T201
    assert growth[0] < MOST_GROWTH
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == len(set(archive.namelist())) == count
        for name in archive.namelist():
            number = re.search(r"file (\d+)\.txt$", name)[1]
            assert archive.read(name) == f"{number} ".encode() * 300


def test_a_reader_who_hangs_up_costs_nobody_anything(portal, api):
    """More readers than the server has threads hang up in the middle of an archive."""
    folder = new_folder(api)
    fill(portal, folder, 20)
    ids = [row["id"] for row in api.get(f"/api/fileshare/folders/{folder}/files").json()["results"]]
    for _ in range(20):
        with api.stream("POST", "/api/fileshare/download/bulk", json={"file_ids": ids}) as answer:
            next(answer.iter_raw(1000))

    readiness(api, 200)
    assert len(api.get(f"/api/fileshare/folders/{folder}/files").json()["results"]) == 20
