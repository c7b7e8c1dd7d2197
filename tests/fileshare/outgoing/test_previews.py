"""Previews: which files have one, who may see it, and that nothing in a file runs on our origin."""

import datetime as dt
import io
import json
import struct
import zlib

import pytest
from django.test import Client
from django.utils import timezone
from PIL import Image

from audit.models import Event
from fileshare.models import File, FolderPermission
from fileshare.outgoing import previews
from fileshare.sharing import shares
from fileshare.storage import StoreUnavailable, get_store
from tests.factories import store_file
from tests.fakes import documents, pictures
from tests.fileshare.helpers import content

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)
JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html"}
SCRIPT = b"<script>alert(document.cookie)</script><h1>Hello</h1>"


@pytest.fixture
def stored(people, company_folder):
    """stored(name, content) is a file of the uploader in the company folder."""

    def store(name, body):
        return store_file(user=people["uploader"], folder=company_folder, filename=name, content=body)

    return store


@pytest.fixture
def shown(people):
    """shown(file, …) is the address of a new link to view the file."""

    def make(file, **facts):
        facts = {"permission": "view", "expires_in": HOUR, **facts}
        (made,) = shares.create(user=people["uploader"], file_id=file.pk, **facts)
        return f"/share/{made.token}"

    return make


def picture(size=(64, 48), *, kind="PNG", mode="RGB", **options):
    out = io.BytesIO()
    Image.new(mode, size, (200, 30, 30, 120)[: len(mode)] if mode != "P" else 1).save(out, kind, **options)
    return out.getvalue()


def bomb(width=30_000, height=30_000):
    """A PNG with very many pixels in few bytes."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def is_harmless(response):
    """True when a browser runs nothing in this answer."""
    policy = response["Content-Security-Policy"]
    return (
        "sandbox" in policy
        and "default-src 'none'" in policy
        and "allow-" not in policy
        and response["X-Content-Type-Options"] == "nosniff"
        and not response["Content-Type"].startswith(("text/html", "image/svg"))
    )


# --- Pictures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "result"),
    [
        ("a.png", picture(), "JPEG"),
        ("a.png", picture(mode="RGBA"), "PNG"),
        ("a.png", picture(mode="P"), "JPEG"),
        ("a.jpg", picture(kind="JPEG"), "JPEG"),
        ("a.jpeg", picture(kind="JPEG", size=(4000, 1000)), "JPEG"),
        ("a.webp", picture(kind="WEBP", mode="RGBA"), "PNG"),
        ("a.gif", documents.gif(), "JPEG"),
    ],
    ids=["png", "png-alpha", "png-palette", "jpg", "jpeg-large", "webp", "gif"],
)
def test_a_picture_is_drawn_anew(name, body, result, stored, shown, page_as):
    file = stored(name, body)

    for answer in (Client().get(f"{shown(file)}/preview"), page_as("colleague").get(f"/files/{file.pk}/preview")):
        assert answer.status_code == 200, answer.content
        assert is_harmless(answer)
        assert answer["Cache-Control"] == "private, no-cache"
        drawn = Image.open(io.BytesIO(answer.content))
        assert drawn.format == result
        assert answer["Content-Type"] == f"image/{result.lower()}"
        assert max(drawn.size) <= previews.SIDE_PIXELS


@pytest.mark.parametrize("body", pictures.ODD_TAGS.values(), ids=pictures.ODD_TAGS.keys())
def test_a_picture_with_odd_tags_is_turned_upright(body, stored, shown, page_as):
    file = stored("a.jpg", body)

    for answer in (Client().get(f"{shown(file)}/preview"), page_as("colleague").get(f"/files/{file.pk}/preview")):
        assert answer.status_code == 200, answer.content
        assert Image.open(io.BytesIO(answer.content)).size == pictures.UPRIGHT


def test_no_metadata_and_nothing_hidden_goes_along(stored, shown):
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    body = picture(kind="JPEG", exif=exif, comment=b"a secret")
    file = stored("a.jpg", body)

    answer = Client().get(f"{shown(file)}/preview").content

    assert b"taken at home" in body
    for hidden in (b"taken at home", b"a secret", b"Exif"):
        assert hidden not in answer


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (bomb(), "preview_too_large"),
        (bomb(9_000, 9_000), "preview_too_large"),
        (picture((300, 300), mode="RGBA")[:200], "preview_unreadable"),
        (b"\x89PNG\r\n\x1a\n" + SCRIPT, "preview_unreadable"),
        (picture()[:20], "preview_unreadable"),
        (pictures.png_with_cut_exif(), "preview_unreadable"),
    ],
    ids=["bomb", "smaller-bomb", "truncated", "script", "header", "cut-exif"],
)
def test_a_bad_picture_is_refused(body, code, stored, shown, people, company_folder, page_as):
    file = stored("a.png", picture())
    # Replace the bytes in the store: an older version of the inspection may have let such a file in.
    get_store().delete(file.object_key)
    get_store().write(file.object_key, io.BytesIO(body), size_limit=len(body))
    File.objects.filter(pk=file.pk).update(size_bytes=len(body))

    for answer in (
        Client().get(f"{shown(file)}/preview", headers=JSON),
        page_as("colleague").get(f"/files/{file.pk}/preview", headers=JSON),
    ):
        assert (answer.status_code, answer.json()["code"]) == (415, code)
    assert not Event.objects.filter(action="preview").exists()


def test_a_huge_file_is_not_read_for_a_picture(stored, shown, monkeypatch):
    file = stored("a.png", picture())
    monkeypatch.setattr(previews, "MAX_IMAGE_BYTES", file.size_bytes - 1)
    monkeypatch.setattr(type(get_store()), "read_range", None)

    answer = Client().get(f"{shown(file)}/preview", headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (415, "preview_too_large")


def test_a_browser_asks_anew_and_gets_the_bytes_once(stored, shown, people):
    file = stored("a.png", picture())
    address = f"{shown(file)}/preview"
    first = Client().get(address)

    again = Client().get(address, headers={"If-None-Match": first["ETag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert Event.objects.filter(action="preview").count() == 1
    FolderPermission.objects.filter(user=people["uploader"]).delete()
    assert Client().get(address, headers={"If-None-Match": first["ETag"], **JSON}).status_code == 410


# --- Text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.json", "a.xml", "a.log"])
def test_text_stands_escaped_in_a_page_of_ours(name, stored, shown, page_as):
    bodies = {
        "a.json": b'{"a": "<script>alert(1)</script>"}',
        "a.csv": b"name,word\n1,<script>alert(1)</script>\n",
        "a.xml": b"<?xml version='1.0'?><a>" + SCRIPT + b"</a>",
    }
    file = stored(name, bodies.get(name, SCRIPT))

    for answer in (
        Client().get(f"{shown(file)}/preview", headers=HTML),
        page_as("colleague").get(f"/files/{file.pk}/preview"),
    ):
        text = answer.content.decode()
        assert answer.status_code == 200
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
        assert "default-src 'self'" in answer["Content-Security-Policy"]
        assert "unsafe-inline" not in answer["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Größe 表 🦁".encode(), "Größe 表 🦁"),
        ("Größe".encode("utf-8-sig"), "Größe"),
        ("Größe 表".encode("utf-16"), "Größe 表"),
        ("Größe 表".encode("utf-32"), "Größe 表"),
        ("Größe".encode("cp1252"), "Größe"),
        (b"a\x1b[31mb\x07\x7f", "a�[31mb��"),
        (b"one\ttwo\r\nthree", "one\ttwo\r\nthree"),
    ],
    ids=["utf-8", "bom", "utf-16", "utf-32", "cp1252", "controls", "lines"],
)
def test_text_is_read_leniently(body, text, stored):
    file = stored("a.txt", body) if b"\0" not in body else stored("a.txt", b"x" * len(body))
    if b"\0" in body:
        get_store().delete(file.object_key)
        get_store().write(file.object_key, io.BytesIO(body), size_limit=len(body))

    assert previews.text(file) == (text, False)


def test_a_long_text_is_cut_within_its_limit(stored, shown):
    file = stored("a.txt", "表".encode() * 200_000)

    text, goes_on = previews.text(file)
    answer = Client().get(f"{shown(file)}/preview", headers=HTML)

    assert goes_on
    assert set(text) == {"表"}
    assert len(text) == previews.MAX_TEXT_BYTES // 3
    assert "The beginning of a longer text." in answer.content.decode()


# --- PDF ----------------------------------------------------------------------------------------------


def test_a_pdf_travels_sandboxed_and_through_the_portal(stored, shown, page_as):
    file = stored("a.pdf", documents.pdf())

    for answer in (Client().get(f"{shown(file)}/preview"), page_as("colleague").get(f"/files/{file.pk}/preview")):
        assert answer.status_code == 200
        assert is_harmless(answer)
        assert answer["Content-Type"] == "application/pdf"
        assert answer["Content-Disposition"].startswith("inline")
        assert answer["X-Frame-Options"] == "DENY"
        assert content(answer) == documents.pdf()


def test_the_parts_a_viewer_asks_for_are_one_look(stored, shown):
    file = stored("a.pdf", documents.pdf())
    address = f"{shown(file)}/preview"

    answers = [Client().get(address, headers={"Range": f"bytes={start}-{start + 9}"}) for start in (0, 10, 20)]

    assert [answer.status_code for answer in answers] == [206] * 3
    assert content(answers[1]) == documents.pdf()[10:20]
    assert Client().head(address).status_code == 200
    assert Event.objects.filter(action="preview").count() == 1


# --- Others -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.svg", "a.docx", "a.zip"])
def test_other_kinds_say_so(name, stored, shown, page_as):
    body = {"a.svg": documents.svg(), "a.docx": documents.docx(), "a.zip": documents.zipped({"a": b"x"})}[name]
    file = stored(name, body)
    address = shown(file)

    for answer in (
        Client().get(f"{address}/preview", headers=JSON),
        page_as("colleague").get(f"/files/{file.pk}/preview", headers=JSON),
    ):
        assert (answer.status_code, answer.json()["code"]) == (415, "no_preview")
    page = Client().get(address, headers=HTML).content.decode()
    assert "There is no preview of this kind of file" in page
    assert "/preview" not in page
    assert "/preview" not in page_as("colleague").get(f"/files/{file.pk}/").content.decode()


@pytest.mark.parametrize("ending", ["html", "htm", "svg", "xhtml", "js", "mhtml", "swf"])
def test_what_a_browser_would_run_is_never_shown_whatever_the_row_says(ending, stored, shown):
    file = stored("a.txt", SCRIPT)
    File.objects.filter(pk=file.pk).update(filename=f"a.{ending}", content_type="image/png")

    assert Client().get(f"{shown(file)}/preview", headers=JSON).status_code == 415


# --- Who ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "status"),
    [("uploader", 200), ("colleague", 200), ("super", 200), ("stranger", 404), ("ops", 404), (None, 302)],
)
def test_a_preview_is_for_whoever_may_download(who, status, stored, page_as):
    file = stored("a.png", picture())

    assert page_as(who).get(f"/files/{file.pk}/preview").status_code == status
    assert Event.objects.filter(action="preview").exists() is (status == 200)
    file.refresh_from_db()
    assert file.download_count == 0


def test_who_may_see_and_not_download_sees_no_preview(inbox, people, page_as):
    file = store_file(user=people["client"], folder=inbox, filename="a.png", content=picture())

    assert page_as("client").get(f"/files/{file.pk}/preview").status_code == 403
    assert b"/preview" not in page_as("client").get(f"/files/{file.pk}/").content


def test_a_look_by_a_link_is_written_down(stored, shown):
    file = stored("a.png", picture())

    Client().get(f"{shown(file, emails=['amina@example.org'])}/preview")

    event = Event.objects.get(action="preview")
    assert (event.actor, event.target_id, event.detail["recipient"]) == (None, str(file.pk), "amina@example.org")


def test_a_link_to_download_shows_no_preview(stored, shown):
    file = stored("a.pdf", documents.pdf())

    answer = Client().get(f"{shown(file, permission='download', max_downloads=1)}/preview", headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (403, "download_only")


def test_a_password_opens_the_preview_for_a_while(stored, shown, settings, time_machine):
    file = stored("a.png", picture())
    address, other = shown(file, password="right 🔑"), shown(file, password="right 🔑")
    visitor = Client(enforce_csrf_checks=True)

    def look(where=address):
        return visitor.get(f"{where}/preview", headers=JSON)

    assert (look().status_code, look().json()["code"]) == (403, "share_password_required")
    wrong = visitor.post(f"{address}/unlock", {"password": "wrong"}, headers=JSON)
    assert (wrong.status_code, look().status_code) == (403, 403)
    right = visitor.post(f"{address}/unlock", {"password": "right 🔑"}, headers=HTML)
    assert (right.status_code, right["Location"]) == (302, address)
    cookie = right.cookies["share_unlocked"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (address, True, "Lax")
    assert look().status_code == 200
    # The test client sends a cookie to every path. The cookie of one link must not unlock another.
    assert look(other).status_code == 403
    time_machine.move_to(timezone.now() + dt.timedelta(minutes=31))
    assert look().status_code == 403


def test_a_script_opens_it_too(stored, shown):
    file = stored("a.txt", b"words")
    address, script = shown(file, password="x"), Client()

    answer = script.post(f"{address}/unlock", json.dumps({"password": "x"}), content_type="application/json")

    assert answer.status_code == 204
    assert script.get(f"{address}/preview").status_code == 200


@pytest.mark.parametrize("forged", ["x", "", "a:b:c", "é"])
def test_a_forged_proof_opens_nothing(forged, stored, shown):
    address = shown(stored("a.txt", b"words"), password="x")
    visitor = Client()
    visitor.cookies["share_unlocked"] = forged

    assert visitor.get(f"{address}/preview", headers=JSON).status_code == 403


def test_a_store_that_is_away_says_so(stored, shown, monkeypatch):
    file = stored("a.png", picture())
    address = shown(file)

    def away(self, key, start, end):
        raise StoreUnavailable

    monkeypatch.setattr(type(get_store()), "read_range", away)

    assert Client().get(f"{address}/preview", headers=JSON).status_code == 503


def test_previews_are_slowed(stored, shown, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "preview": "2/d"}
    address = shown(stored("a.png", picture()))

    assert [Client().get(f"{address}/preview").status_code for _ in range(3)] == [200, 200, 429]


def test_the_later_parts_of_a_pdf_are_the_look_that_was_counted(stored, shown, page_as, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "preview": "2/d"}
    file = stored("a.pdf", documents.pdf())

    def parts(client, address, *ranges):
        headers = [{"Range": f"bytes={asked}"} if asked else {} for asked in ranges]
        return [client.get(address, headers=each).status_code for each in headers]

    for client, address in [
        (Client(), f"{shown(file)}/preview"),
        (page_as("colleague"), f"/files/{file.pk}/preview"),
    ]:
        assert parts(client, address, "0-9", *["10-19"] * 5, "20-") == [206] * 7
        assert parts(client, address, None, "0-", "-999999", None) == [200, 429, 429, 429]
        assert parts(client, address, "10-19", "-9") == [206, 206]
        whole = client.get(address, headers={"Range": "bytes=10-19", "If-Range": '"another"'})
        assert whole.status_code == 429, "it would be the whole"


def test_a_picture_has_no_later_parts(stored, shown, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "preview": "2/d"}
    address = f"{shown(stored('a.png', picture()))}/preview"

    answers = [Client().get(address, headers={"Range": "bytes=10-19"}) for _turn in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]


# --- Load -------------------------------------------------------------------------------------------


def test_when_enough_pictures_are_being_drawn_the_next_is_asked_to_come_again(stored, shown, monkeypatch):
    monkeypatch.setattr(previews, "PATIENCE_SECONDS", 0.01)
    address = f"{shown(stored('a.png', picture()))}/preview"
    drawing = [previews._DECODING.acquire(blocking=False) for _number in range(2)]
    try:
        busy = Client().get(address, headers=JSON)
    finally:
        for _held in filter(None, drawing):
            previews._DECODING.release()

    assert (busy.status_code, busy.json()["code"], busy["Retry-After"]) == (503, "preview_busy", "2")
    assert Client().get(address, headers=JSON).status_code == 200
    assert not Event.objects.filter(action="preview").count() > 1, "a look that failed is no look"


def test_asking_for_the_headers_draws_nothing(stored, shown, monkeypatch):
    address = f"{shown(stored('a.png', picture()))}/preview"
    monkeypatch.setattr(previews, "image", lambda file: pytest.fail("drawn"))

    assert Client().head(address).status_code == 200


def test_a_picture_of_many_pixels_is_drawn_from_a_jpeg_only(stored, shown):
    def status(name, kind):
        file = stored(name, picture((5000, 4000), kind=kind, mode="L"))
        return Client().get(f"{shown(file)}/preview", headers=JSON).status_code

    assert status("large.jpg", "JPEG") == 200
    assert status("large.png", "PNG") == 415
