"""Avatars: of every picture that it accepts, the portal stores a clean square."""

import io
import random
import struct
import zlib
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image, PngImagePlugin

from accounts.credentials import api_tokens
from accounts.models import User
from tests.fakes import pictures

pytestmark = pytest.mark.django_db
SECRET = "taken at 1.29 S 36.82 E"


def picture(kind="PNG", size=(640, 480), mode="RGB", **options):
    """The bytes of a picture, left half red, right half blue."""
    image = Image.new(mode, size, "blue")
    image.paste(Image.new(mode, (size[0] // 2, size[1]), "red"), (0, 0))
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def with_metadata(kind):
    """A picture with a secret in its metadata. A JPEG or WebP also lies on its side."""
    if kind == "PNG":
        facts = PngImagePlugin.PngInfo()
        facts.add_text("Comment", SECRET)
        return picture("PNG", pnginfo=facts)
    exif = Image.Exif()
    exif[0x010E] = SECRET
    exif[0x0112] = 6  # a viewer turns it by a quarter to the right
    return picture(kind, exif=exif)


def bomb(width=40_000, height=40_000):
    """A PNG of few bytes that claims 1.6 billion pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.fixture
def send(api_as):
    """send(content) uploads the client's picture by API."""

    def post(content, name="me.png", content_type="image/png"):
        upload = SimpleUploadedFile(name, content, content_type)
        return api_as("client").post("/api/users/me/avatar", {"avatar": upload}, format="multipart")

    return post


@pytest.fixture
def stored(people):
    """stored() is the bytes of the client's stored picture, or None."""

    def read():
        avatar = User.objects.get(pk=people["client"].pk).avatar
        return avatar.read() if avatar else None

    return read


@pytest.mark.parametrize(
    "content",
    [
        picture("PNG"),
        picture("JPEG"),
        picture("WEBP"),
        picture("PNG", mode="RGBA"),
        picture("PNG", mode="P"),
        picture("PNG", mode="1"),
        picture("PNG", mode="L"),
        picture("JPEG", mode="CMYK"),
        picture("PNG", size=(1, 1)),
        picture("PNG", size=(4000, 3)),
    ],
)
def test_png_jpeg_and_webp_become_a_square_of_256(content, send, stored):
    response = send(content)

    assert response.status_code == 200
    image = Image.open(io.BytesIO(stored()))
    assert (image.format, image.size) == ("PNG", (256, 256))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_no_metadata_survives(kind, send, stored):
    content = with_metadata(kind)
    assert SECRET.encode() in content

    assert send(content).status_code == 200

    image = Image.open(io.BytesIO(stored()))
    assert SECRET.encode() not in stored()
    assert dict(image.getexif()) == {}
    assert image.info == {}


def test_a_picture_on_its_side_is_turned_upright(send, stored):
    send(with_metadata("JPEG"))

    image = Image.open(io.BytesIO(stored())).convert("RGB")
    top, bottom = image.getpixel((128, 20)), image.getpixel((128, 236))
    assert top[0] > 200 > 60 > top[2], "what was left is up"
    assert bottom[2] > 200 > 60 > bottom[0]


@pytest.mark.parametrize("content", pictures.ODD_TAGS.values(), ids=pictures.ODD_TAGS.keys())
def test_odd_tags_beside_the_one_that_turns_a_picture_do_not_matter(content, send, stored):
    assert send(content, name="me.jpg", content_type="image/jpeg").status_code == 200
    assert Image.open(io.BytesIO(stored())).size == (256, 256)


def test_bytes_behind_the_picture_are_dropped(send, stored):
    assert send(picture("PNG") + b"<script>alert(1)</script>").status_code == 200
    assert b"<script>" not in stored()


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 415, "avatar_type"),
        (picture("GIF", mode="P"), 415, "avatar_type"),
        (picture("BMP"), 415, "avatar_type"),
        (picture("TIFF"), 415, "avatar_type"),
        (b"%PDF-1.4", 415, "avatar_type"),
        (b"", 415, "avatar_type"),
        (b"\x00" * 100, 415, "avatar_type"),
        (picture("PNG")[:400], 400, "avatar_unreadable"),
        (picture("JPEG")[:700], 400, "avatar_unreadable"),
        (picture("WEBP")[:-40], 400, "avatar_unreadable"),
        (pictures.png_with_cut_exif(), 400, "avatar_unreadable"),
        (bomb(), 400, "avatar_too_many_pixels"),
        (bomb(8_000, 8_000), 400, "avatar_too_many_pixels"),
        (b"\x89PNG" + b"\0" * (5 * 1024 * 1024), 413, "avatar_too_large"),
        (picture("PNG") + b"\0" * (5 * 1024 * 1024), 413, "avatar_too_large"),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else str(value),
)
def test_anything_else_is_refused_by_its_own_code_and_nothing_is_stored(content, status, code, send, stored):
    response = send(content)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert stored() is None


def test_a_broken_picture_never_is_a_fault(send):
    """Bytes flipped at random in each kind: stored or refused, never a 5xx."""
    dice = random.Random(2)
    for kind in ("PNG", "JPEG", "WEBP"):
        whole = with_metadata(kind)
        for _turn in range(60):
            content = bytearray(whole)
            for _flip in range(dice.randint(1, 20)):
                content[dice.randrange(8, min(len(content), 400))] = dice.randrange(256)
            assert send(bytes(content)).status_code in (200, 400, 413, 415)


def test_the_name_and_declared_type_do_not_matter(send, stored):
    assert send(picture("PNG"), name="../../evil.svg", content_type="image/svg+xml").status_code == 200
    assert stored().startswith(b"\x89PNG")


def test_a_new_picture_has_a_new_address_and_the_old_file_goes(send, people, commits, tmp_path, settings):
    with commits():
        first = send(picture("PNG")).json()["avatar_url"]
    old = User.objects.get(pk=people["client"].pk).avatar
    with commits():
        second = send(picture("JPEG")).json()["avatar_url"]

    assert first != second
    assert not old.storage.exists(old.name)


def test_a_picture_is_removed_with_its_file_and_without_one_nothing_happens(send, stored, people, api_as, commits):
    with commits():
        send(picture())
    old = User.objects.get(pk=people["client"].pk).avatar
    with commits():
        assert api_as("client").delete("/api/users/me/avatar").status_code == 204
        assert old.storage.exists(old.name), "not before the commit"

    assert stored() is None
    assert not old.storage.exists(old.name)
    assert api_as("client").get("/api/users/me").json()["avatar_url"] is None
    with commits():
        assert api_as("client").delete("/api/users/me/avatar").status_code == 204


def test_a_picture_that_is_removed_takes_nobody_elses_along(send, stored, api_as, commits):
    with commits():
        send(picture())
        assert api_as("stranger").delete("/api/users/me/avatar").status_code == 204

    assert stored() is not None


@pytest.mark.parametrize(
    "body",
    [{}, {"avatar": "text"}, {"picture": SimpleUploadedFile("me.png", picture())}],
    ids=["empty", "text", "other"],
)
def test_a_form_without_a_picture_is_refused(body, api_as):
    response = api_as("client").post("/api/users/me/avatar", body, format="multipart")

    assert (response.status_code, response.json()["code"]) == (400, "invalid")


def test_json_is_no_form(api_as):
    response = api_as("client").post("/api/users/me/avatar", {"avatar": "x"}, format="json")

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_a_picture_is_seen_by_anybody_signed_in_as_a_png_and_nothing_else(send, client, people):
    url = send(picture("WEBP")).json()["avatar_url"]
    assert client.get(url).status_code == 401

    client.force_login(people["stranger"])
    response = client.get(url)

    assert response["Content-Type"] == "image/png"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert b"".join(response.streaming_content).startswith(b"\x89PNG")


def test_the_token_that_was_told_an_address_opens_it(send, api_as, people):
    url = send(picture()).json()["avatar_url"]
    until = timezone.now() + timedelta(days=1)

    def told_and_opened(scope):
        facts = {"user": people["client"], "name": scope, "scopes": [scope], "expires_at": until}
        script = Client(headers={"Authorization": f"Bearer {api_tokens.create(**facts)[1]}"})
        return script.get("/api/users/me").status_code, script.get(url).status_code

    assert b"".join(api_as("client").get(url).streaming_content).startswith(b"\x89PNG")
    assert told_and_opened("account:read") == (200, 200)
    assert told_and_opened("account:write") == (403, 200), "it is told the address when it sets the picture"
    assert told_and_opened("files:read") == (403, 403)


def test_no_picture_no_address(client, people):
    client.force_login(people["client"])

    assert client.get(f"/avatars/{people['client'].pk}").status_code == 404


def test_a_switched_off_users_picture_is_not_shown(send, client, people):
    url = send(picture()).json()["avatar_url"]
    User.objects.filter(pk=people["client"].pk).update(is_active=False)
    client.force_login(people["stranger"])

    assert client.get(url).status_code == 404


def test_a_picture_whose_file_is_lost_is_not_there(send, client, people):
    url = send(picture()).json()["avatar_url"]
    avatar = User.objects.get(pk=people["client"].pk).avatar
    avatar.storage.delete(avatar.name)
    client.force_login(people["stranger"])

    assert client.get(url).status_code == 404


def test_a_page_shows_a_new_picture_at_once(send, client, people):
    client.force_login(people["client"])
    for _time in range(2):
        assert send(picture()).json()["avatar_url"] in client.get("/files").content.decode()


def test_the_profile_page_takes_a_picture_and_says_why_it_refused_one(client, people, stored):
    client.force_login(people["client"])
    gif = SimpleUploadedFile("me.gif", picture("GIF", mode="P"))

    refused = client.post("/profile", {"form": "avatar", "avatar": gif})
    assert refused.status_code == 400
    assert refused.context["avatar_form"].errors
    assert stored() is None

    assert (
        client.post("/profile", {"form": "avatar", "avatar": SimpleUploadedFile("me.png", picture())}).status_code
        == 302
    )
    assert stored() is not None


def test_the_profile_page_removes_a_picture(send, client, people, stored):
    client.force_login(people["client"])
    assert "Remove picture" not in client.get("/profile").content.decode()
    send(picture())
    assert "Remove picture" in client.get("/profile").content.decode()

    answer = client.post("/profile", {"form": "no-avatar"}, follow=True)

    assert answer.redirect_chain == [("/profile", 302)]
    assert "Your picture is removed." in answer.content.decode()
    assert "Remove picture" not in answer.content.decode()
    assert stored() is None
    assert client.post("/profile", {"form": "no-avatar"}).status_code == 302


def test_a_form_of_another_site_removes_no_picture(send, people, stored):
    send(picture())
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people["client"])

    assert browser.post("/profile", {"form": "no-avatar"}).status_code == 403
    assert browser.delete("/api/users/me/avatar").status_code == 403
    assert stored() is not None
