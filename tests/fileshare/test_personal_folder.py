"""Each user's personal folder: made on first use, with its own quota, private but for files the owner publishes."""

import io

import pytest
from django.utils import translation

from audit.models import Event
from fileshare import folders
from fileshare.contributions.actions import Action
from fileshare.models import File, Folder
from tests.factories import store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once
from tests.store_client import PageClient

pytestmark = pytest.mark.django_db
TEXT = b"some plain text"


@pytest.fixture
def personal(people):
    return folders.personal_folder(people["client"])


@pytest.fixture
def notes(people, personal):
    """A private file of the client."""
    return store_file(user=people["client"], folder=personal, filename="notes.txt", content=TEXT)


def a_file():
    file = io.BytesIO(TEXT)
    file.name = "notes.txt"
    return file


@pytest.mark.parametrize("path", ["/", "/files/", "/fileshare/"])
def test_a_page_makes_it_with_the_quota_of_the_setting(path, page_as, people, settings):
    settings.PERSONAL_QUOTA_BYTES = 12_345

    assert page_as("client").get(path).status_code == 200

    folder = Folder.objects.get(owner=people["client"])
    assert (folder.kind, folder.quota_bytes, folder.slug) == ("personal", 12_345, f"u-{people['client'].pk}")
    assert (folder.retention_days, folder.type_policy) == (None, "general")


def test_the_api_makes_it(api_as, people, settings):
    settings.PERSONAL_QUOTA_BYTES = 12_345

    rows = api_as("client").get("/api/fileshare/folders").json()["results"]

    assert [(row["quota_bytes"], row["can_upload"]) for row in rows if row["kind"] == "personal"] == [(12_345, True)]


def test_an_upload_makes_it(api_as, people):
    response = api_as("client").post("/api/files/upload", {"file": a_file()}, format="multipart")

    assert response.status_code == 201
    assert response.json()["folder"]["slug"] == f"u-{people['client'].pk}"
    assert response.json()["visibility"] == "private"
    assert Folder.objects.get(owner=people["client"]).used_bytes == len(TEXT)


def test_opening_it_again_leaves_a_changed_quota(page_as, personal, settings):
    Folder.objects.filter(pk=personal.pk).update(quota_bytes=999)
    settings.PERSONAL_QUOTA_BYTES = 12_345

    page_as("client").get("/files/")

    assert Folder.objects.get(pk=personal.pk).quota_bytes == 999


@REAL_TRANSACTIONS
def test_ten_first_uses_at_once_make_one(people):
    made = at_once(10, lambda _number: folders.personal_folder(people["client"]).pk)

    assert len(set(made)) == 1
    assert Folder.objects.filter(owner=people["client"]).count() == 1


def test_beyond_its_quota_nothing_is_stored(api_as, personal):
    Folder.objects.filter(pk=personal.pk).update(quota_bytes=len(TEXT) - 1)

    response = api_as("client").post("/api/files/upload", {"file": a_file()}, format="multipart")

    assert (response.status_code, response.json()["code"]) == (413, "quota_exceeded")
    assert not File.objects.exists()
    after = Folder.objects.get(pk=personal.pk)
    assert (after.used_bytes, after.reserved_bytes) == (0, 0)


def test_my_files_shows_its_quota_and_its_files(page_as, notes):
    page = page_as("client").get("/files/").content.decode()

    assert 'class="bar"' in page
    assert "notes.txt" in page


def test_my_files_of_the_api_are_the_callers_own_alone(api_as, people, notes, report):
    def names(who):
        return [row["filename"] for row in api_as(who).get("/api/users/me/files").json()["results"]]

    assert names("client") == ["notes.txt"]
    assert names("uploader") == ["report.docx"]
    assert names("stranger") == []


@pytest.mark.parametrize("who", ["stranger", "ops", "uploader"])
def test_others_see_neither_it_nor_what_lies_in_it(who, api_as, page_as, people, personal, notes):
    api, page = api_as(who), page_as(who)

    assert api.get(f"/api/files/{notes.pk}").status_code == 404
    assert api.get(f"/api/fileshare/folders/{personal.pk}").status_code == 404
    assert page.get(personal.get_absolute_url()).status_code == 404
    assert page.get(f"/files/{notes.pk}/").status_code == 404
    body = {"file": a_file(), "folder_id": str(personal.pk)}
    assert api.post("/api/files/upload", body, format="multipart").status_code == 404


def test_its_owner_makes_a_file_public_by_page_and_private_again(page_as, api_as, notes):
    owner, stranger = page_as("client"), api_as("stranger")
    page = owner.get(f"/files/{notes.pk}/").content.decode()
    assert "Who may download it" in page
    assert "Only you." in page

    assert owner.post(f"/files/{notes.pk}/edit", {"visibility": "public"}).status_code == 302
    assert "Every signed-in person." in owner.get(f"/files/{notes.pk}/").content.decode()
    assert stranger.get(f"/api/files/{notes.pk}").status_code == 200
    assert stranger.get(f"/api/client/download/{notes.pk}").status_code == 200

    link = stranger.get(f"/api/client/download/{notes.pk}").json()["download-link"]
    owner.post(f"/files/{notes.pk}/edit", {"visibility": "private"})
    assert stranger.get(f"/api/files/{notes.pk}").status_code == 404
    assert stranger.get(link).status_code in (403, 404), "links made before stop too"
    assert Event.objects.filter(action=Action.FILE_CHANGED).count() == 2


def test_a_public_file_is_nobodys_who_is_not_signed_in(page_as, api_as, notes):
    page_as("client").post(f"/files/{notes.pk}/edit", {"visibility": "public"})

    assert api_as(None).get(f"/api/files/{notes.pk}").status_code == 401
    assert PageClient().get(f"/files/{notes.pk}/").status_code == 302


def test_others_neither_rename_nor_hide_a_public_file(page_as, api_as, notes):
    page_as("client").post(f"/files/{notes.pk}/edit", {"visibility": "public"})

    for change in ({"filename": "x.txt"}, {"visibility": "private"}):
        assert api_as("stranger").patch(f"/api/files/{notes.pk}", change).status_code == 403
    assert "Who may download it" not in page_as("stranger").get(f"/files/{notes.pk}/").content.decode()
    after = File.objects.get(pk=notes.pk)
    assert (after.filename, after.visibility) == ("notes.txt", "public")


@pytest.mark.parametrize("change", [{"visibility": "all"}, {"visibility": None}, {"visibility": ""}, {"filename": ""}])
def test_a_change_that_makes_no_sense_is_told_by_field(change, api_as, notes):
    response = api_as("client").patch(f"/api/files/{notes.pk}", change)

    assert response.status_code == 400
    assert response.json()["errors"].keys() == change.keys()


def test_a_file_of_a_shared_folder_is_not_made_public(page_as, api_as, report):
    assert api_as("uploader").patch(f"/api/files/{report.pk}", {"visibility": "public"}).status_code == 403
    assert "Who may download it" not in page_as("uploader").get(f"/files/{report.pk}/").content.decode()


def test_a_rename_by_page_keeps_the_kind(page_as, notes):
    page_as("client").post(f"/files/{notes.pk}/edit", {"filename": "plans.txt"})

    assert File.objects.get(pk=notes.pk).filename == "plans.txt"


def test_its_name_follows_the_reader_not_whoever_made_it(people, monkeypatch):
    monkeypatch.setattr("fileshare.models.folders._", lambda text: f"«{text}»")
    with translation.override("sw"):
        folder = folders.personal_folder(people["client"])

    assert (folder.name, folder.shown_name) == ("My files", "«My files»")
    folder.name = "Wanjiru's drawer"
    assert folder.shown_name == "Wanjiru's drawer"
