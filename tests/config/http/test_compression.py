"""Pages and lists are compressed, files and answers with secrets are not."""

import gzip
from urllib.parse import urlsplit

import pytest
from django.test import Client

from accounts.models import User
from config.http.compression import KINDS, LEAST_BYTES
from fileshare.requests import addresses
from tests.factories import PASSWORD, FolderFactory, UserFactory, proved, store_file
from tests.fileshare.requests.request_helpers import ask_for_files

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


def assert_goes_as_it_is(response):
    """It would be compressed for its length and kind, and is not."""
    assert response.status_code == 200
    assert response["Content-Type"].startswith(KINDS)
    assert len(response.content) > LEAST_BYTES
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("path", ["/search?q=report", "/fileshare/?limit=10&next=x", "/api/files/search?q=report"])
def test_what_words_of_an_address_may_stand_in_is_not(path, visitor):
    user = User.objects.get()
    folder = FolderFactory(owner=user)
    for number in range(5):
        store_file(user=user, folder=folder, filename=f"report {number}.docx")

    assert_goes_as_it_is(visitor.get(path))


def test_pages_that_show_a_secret_are_not(visitor):
    user = User.objects.get()
    row = ask_for_files(user)
    file = store_file(user=user, folder=FolderFactory(owner=None), filename="a.docx")
    visitor = proved(visitor, User.objects.create_superuser(email="super@example.org", password=PASSWORD, name="Super"))

    for path in ("/profile/tokens", "/profile/security/authenticator", f"/files/{file.pk}/"):
        assert_goes_as_it_is(visitor.get(path))
    visitor.force_login(user)
    page = visitor.get(f"/requests/{row.pk}/")
    assert addresses.address(row) in page.content.decode()
    assert_goes_as_it_is(page)


def test_a_page_whose_address_is_a_secret_is_not():
    row = ask_for_files(UserFactory())
    path = urlsplit(addresses.address(row)).path

    assert_goes_as_it_is(Client(headers=GZIP).get(path))


@pytest.mark.local
def test_a_file_keeps_its_length_and_a_range_its_bytes(visitor):
    user = User.objects.get()
    file = store_file(user=user, folder=FolderFactory(owner=user), filename="a.txt", content=b"words " * 1000)
    link = visitor.get(f"/files/{file.pk}/download")["Location"]

    whole = visitor.get(link)
    part = visitor.get(link, headers={"Range": "bytes=0-99"})

    assert (whole["Content-Length"], "Content-Encoding" in whole.headers) == ("6000", False)
    assert (part.status_code, part["Content-Length"], "Content-Encoding" in part.headers) == (206, "100", False)
