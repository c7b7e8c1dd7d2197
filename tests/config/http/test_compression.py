"""Pages and lists are compressed, files and answers with secrets are not."""

import gzip

import pytest
from django.test import Client

from accounts.models import User
from config.http.compression import LEAST_BYTES
from tests.factories import FolderFactory, UserFactory, store_file

pytestmark = pytest.mark.django_db
GZIP = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.fixture
def visitor():
    client = Client(headers=GZIP)
    client.force_login(UserFactory())
    return client


def is_compressed(response):
    assert response.status_code == 200
    return response.headers.get("Content-Encoding") == "gzip"


def test_a_page_and_a_list_are_what_they_are_without(visitor):
    for path in ("/fileshare/", "/fileshare/?limit=10", "/api/schema?limit=1"):
        plain, packed = Client(), visitor.get(path)
        plain.cookies = visitor.cookies
        assert is_compressed(packed)
        assert int(packed["Content-Length"]) == len(packed.content) < len(gzip.decompress(packed.content)) / 2
        assert "Accept-Encoding" in packed["Vary"]
        other = plain.get(path)
        assert "Content-Encoding" not in other.headers
        assert "Accept-Encoding" in other["Vary"]


@pytest.mark.parametrize(
    "path",
    [
        "/search?q=report",
        "/fileshare/?limit=10&next=x",
        "/api/files/search?q=report",
        "/profile/tokens",
        "/security/authenticator",
        "/no-such-page",
    ],
)
def test_what_may_tell_a_secret_by_its_length_is_not(visitor, path):
    response = visitor.get(path, follow=True)

    assert len(response.content) > LEAST_BYTES or path.startswith("/api/")
    assert "Content-Encoding" not in response.headers


def test_the_page_of_a_token_is_not(visitor):
    store_file(user=User.objects.get(), folder=FolderFactory(), filename="a.docx")

    assert "Content-Encoding" not in visitor.get("/request/some-token").headers


def test_a_file_keeps_its_length_and_a_range_its_bytes(visitor):
    user = User.objects.get()
    folder = FolderFactory(owner=user)
    file = store_file(user=user, folder=folder, filename="a.txt", content=b"words " * 1000)
    link = visitor.get(f"/files/{file.pk}/download")["Location"]

    whole = visitor.get(link)
    if whole.status_code == 302:
        return  # the bucket sends it
    part = visitor.get(link, headers={"Range": "bytes=0-99"})

    assert (whole["Content-Length"], "Content-Encoding" in whole.headers) == ("6000", False)
    assert (part.status_code, part["Content-Length"], "Content-Encoding" in part.headers) == (206, "100", False)
