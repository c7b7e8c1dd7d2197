"""Unusual files that are accepted: empty files, and pictures with the extension of another picture format."""

import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from audit.models import Event
from fileshare import folders, privacy
from fileshare.models import File, TypePolicy, Upload
from tests.fakes import documents
from tests.fileshare.content.test_inspection import iso
from tests.fileshare.helpers import begun, complete, content, promise, refusal, send_whole, space
from tests.fileshare.requests.request_helpers import Outsider, ask_for_files

pytestmark = pytest.mark.django_db
HEIC = iso(b"heic", b"mif1")
EMPTY_SUM = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def own(people):
    return folders.personal_folder(people["client"])


def sent(api, folder, body, filename):
    transfer = begun(api, folder, body, filename)
    assert send_whole(transfer, body).status_code == 200
    return transfer, complete(api, transfer)


@pytest.mark.parametrize("filename", ["notes.txt", "README", "new.docx"])
def test_an_empty_file_is_taken_downloaded_and_packed(filename, api_as, own):
    api = api_as("client")
    transfer, answer = sent(api, own, b"", filename)

    assert answer.status_code == 200, answer.json()
    assert (answer.json()["size_bytes"], answer.json()["sha256"]) == (0, EMPTY_SUM)
    assert complete(api, transfer).json() == answer.json()
    url = api.post(f"/api/fileshare/download/{answer.json()['id']}").json()["download_url"]
    download = api.get(url.removeprefix("http://testserver"))
    assert (download.status_code, content(download), download["Content-Length"]) == (200, b"", "0")
    assert api.get(url.removeprefix("http://testserver"), HTTP_RANGE="bytes=0-").status_code == 416
    packed = api.post("/api/fileshare/download/bulk", {"file_ids": [answer.json()["id"]]})
    with zipfile.ZipFile(io.BytesIO(content(packed))) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [b""]
    assert space(own) == (0, 0)


def test_an_empty_file_by_every_form(api_as, page_as, people, own):
    answer = api_as("client").post("/api/files/upload", {"file": SimpleUploadedFile("a.txt", b"")}, format="multipart")
    page = page_as("client").post("/files/upload", {"file": SimpleUploadedFile("b.txt", b"")})
    wanted = ask_for_files(people["client"])
    outsider = Outsider(wanted)
    outsider.start()
    delivered, form = outsider.deliver(b"", "c.txt"), outsider.send(("d.txt", b""))

    assert [got.status_code for got in (answer, page, delivered, form)] == [201, 302, 200, 302]
    assert list(File.objects.values_list("size_bytes", flat=True)) == [0] * 4
    shown = page_as("client").get(f"/files/{answer.json()['id']}/")
    assert shown.status_code == 200
    assert page_as("client").get(f"/files/{answer.json()['id']}/preview").status_code == 200


def test_an_empty_file_is_no_office_document(api_as, company_folder):
    company_folder.type_policy = TypePolicy.OFFICE
    company_folder.save()
    api = api_as("uploader")

    assert refusal(promise(api, company_folder, b"")) == (400, "empty_file")
    assert refusal(promise(api, company_folder, b"", size_bytes=-1)) == (400, "invalid")
    assert not Upload.objects.exists()


def test_a_picture_gets_the_ending_of_its_content_and_every_answer_says_so(api_as, page_as, own):
    api = api_as("client")
    transfer, answer = sent(api, own, HEIC, "IMG 1.jpg")

    shown = answer.json()
    assert answer.status_code == 200, shown
    assert (shown["filename"], shown["content_type"], shown["sent_as"]) == ("IMG 1.heic", "image/heic", "IMG 1.jpg")
    assert "IMG 1.jpg" in shown["note"]
    assert ".heic" in shown["note"]
    assert complete(api, transfer).json() == shown
    assert api.get(f"/api/files/{shown['id']}").json()["note"] == shown["note"]
    resumed = api.get(f"/api/fileshare/upload/{shown['id']}").json()
    assert (resumed["status"], resumed["sent_as"], resumed["note"]) == ("complete", "IMG 1.jpg", shown["note"])
    (copied,) = privacy.uploaded_files(own.owner)
    assert (copied["filename"], copied["sent_as"]) == ("IMG 1.heic", "IMG 1.jpg")
    assert shown["note"] in page_as("client").get(f"/files/{shown['id']}/").text
    assert Event.objects.filter(action="upload").latest("pk").detail["sent_as"] == "IMG 1.jpg"


def test_a_picture_is_a_version_only_of_what_was_sent_under_the_same_name(api_as, own):
    api = api_as("client")
    png = documents.png()
    sent_names = ["a.png", "a.jpg", "a.gif", "a.jpg", "a.png"]

    named = [sent(api, own, png, name)[1].json()["filename"] for name in sent_names]

    assert named == ["a.png", "a (2).png", "a (3).png", "a (2).png", "a.png"]


def test_the_forms_say_a_pictures_ending_too(api_as, page_as, people, own):
    page = page_as("client").post(
        "/files/upload", {"file": SimpleUploadedFile("a.jpg", HEIC, "image/jpeg")}, follow=True
    )
    wanted = ask_for_files(people["client"])
    outsider = Outsider(wanted)
    outsider.start()
    delivered = outsider.deliver(documents.png(), "b.jpg")

    assert "a.heic" in page.text
    assert File.objects.get(filename="a.heic").note in page.text
    assert (delivered.json()["filename"], delivered.json()["sent_as"]) == ("b.png", "b.jpg")
    assert delivered.json()["note"] in outsider.open().text
    received = api_as("client").get(f"/api/file-requests/{wanted.pk}/files").json()["results"]
    assert [row["sent_as"] for row in received] == ["b.jpg"]
    assert sorted(File.objects.values_list("filename", flat=True)) == ["a.heic", "b.png"]
