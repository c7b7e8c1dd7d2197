"""Uploads of one file in a form: by script, and by the page without JavaScript."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from fileshare import folders
from fileshare.models import File, Upload
from tests.factories import SubfolderFactory
from tests.fakes import documents as samples
from tests.fileshare.helpers import content, refusal, space

UPLOAD = "/api/files/upload"
NOBODYS = "00000000-0000-4000-8000-000000000000"


def attached(body=b"words", name="notes.txt", content_type="text/plain"):
    return SimpleUploadedFile(name, body, content_type)


def post(api, address=UPLOAD, **facts):
    return api.post(address, facts, format="multipart")


def nothing_is_left():
    return not File.objects.exists() and not Upload.objects.exists()


def test_a_file_goes_into_the_callers_own_folder(people, api_as):
    answer = post(api_as("client"), file=attached(b"plain words"))

    assert answer.status_code == 201, answer.json()
    assert answer.json()["folder"]["slug"] == f"u-{people['client'].pk}"
    assert (answer.json()["visibility"], answer.json()["tags"]) == ("private", [])
    assert len(answer.json()["sha256"]) == 64
    link = api_as("client").get(f"/api/client/download/{answer.json()['id']}").json()["download-link"]
    assert content(api_as("client").get(link)) == b"plain words"


def test_a_file_goes_where_it_is_sent(api_as, company_folder):
    subfolder = SubfolderFactory(folder=company_folder)

    answer = post(api_as("uploader"), file=attached(), folder_id=str(company_folder.pk), subfolder_id=str(subfolder.pk))

    assert answer.status_code == 201
    assert answer.json()["folder"]["slug"] == "baobab-files"
    assert answer.json()["subfolder"]["slug"] == subfolder.slug


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        (["Red", " blue "], ["blue", "red"]),
        (["red,blue, RED"], ["blue", "red"]),
        (["", " , "], []),
        (["two  words"], ["two words"]),
        (["é", "É", "e\u0301"], ["é"]),
    ],
)
def test_tags_are_trimmed_lower_case_and_once_each(tags, kept, api_as):
    answer = post(api_as("client"), file=attached(), tags=tags)

    assert answer.status_code == 201, answer.json()
    assert sorted(tag["name"] for tag in answer.json()["tags"]) == kept


@pytest.mark.parametrize(
    "tags", [["x" * 51], ["a\u202eb"], ["a\x07b"], [",".join(str(number) for number in range(51))], ["x" * 2001]]
)
def test_bad_tags_are_refused_and_nothing_is_kept(tags, people, api_as):
    answer = post(api_as("client"), file=attached(), tags=tags)

    assert refusal(answer) == (400, "invalid")
    assert any(field.startswith("tags") for field in answer.json()["errors"])
    assert nothing_is_left()
    assert space(folders.personal_folder(people["client"])) == (0, 0)


def test_a_file_is_made_public_in_the_own_folder_only(people, api_as, company_folder, commits):
    own = post(api_as("uploader"), file=attached(), visibility="public")
    assert (own.status_code, own.json()["visibility"]) == (201, "public")
    assert api_as("stranger").get(f"/api/files/{own.json()['id']}").status_code == 200

    elsewhere = post(api_as("uploader"), file=attached(), visibility="public", folder_id=str(company_folder.pk))

    assert refusal(elsewhere) == (403, "permission_denied")
    assert File.objects.count() == 1
    assert space(company_folder) == (0, 0)
    assert refusal(post(api_as("uploader"), file=attached(), visibility="secret")) == (400, "invalid")


@pytest.mark.parametrize("address", [UPLOAD, "/api/ops/upload"])
def test_a_form_without_a_file_or_with_an_empty_document_is_refused(address, api_as, documents):
    api = api_as("ops")

    assert post(api, address).status_code == 400
    assert post(api, address, file="words").status_code == 400
    assert refusal(post(api, "/api/ops/upload", file=attached(b"", "empty.docx", ""))) == (400, "empty_file")
    assert nothing_is_left()
    assert space(documents) == (0, 0)


@pytest.mark.parametrize("address", [UPLOAD, "/api/ops/upload"])
@pytest.mark.parametrize("excess", [1, 70_000])
def test_a_form_takes_no_more_than_its_limit(address, excess, api_as, settings, documents):
    settings.MAX_FORM_UPLOAD_BYTES = 20_000
    body = samples.docx()

    answer = post(api_as("ops"), address, file=attached(bytes(20_000 + excess), "a.docx", ""))

    assert refusal(answer) == (413, "form_too_large")
    assert nothing_is_left()
    assert post(api_as("ops"), address, file=attached(body, "a.docx", "")).status_code == 201


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"folder_id": NOBODYS}, 404),
        ({"folder_id": "no id"}, 400),
        ({"subfolder_id": NOBODYS}, 404),
        ({"subfolder_id": "no id"}, 400),
    ],
)
def test_a_place_that_is_not_there(facts, status, api_as):
    assert post(api_as("ops"), file=attached(), **facts).status_code == status
    assert nothing_is_left()


def test_a_place_one_may_not_upload_to(api_as, company_folder):
    facts = {"folder_id": str(company_folder.pk)}

    assert post(api_as("colleague"), file=attached(), **facts).status_code == 403
    assert post(api_as("stranger"), file=attached(), **facts).status_code == 404
    assert post(api_as(None), file=attached(), **facts).status_code == 401
    assert nothing_is_left()


def test_ops_upload_takes_office_files_alone_wherever_they_go(api_as, company_folder):
    facts = {"folder_id": str(company_folder.pk)}

    refused = post(api_as("uploader"), "/api/ops/upload", file=attached(), **facts)
    taken = post(api_as("uploader"), "/api/ops/upload", file=attached(samples.docx(), "a.docx", ""), **facts)

    assert refusal(refused) == (415, "extension_not_allowed")
    assert (taken.status_code, taken.json()["folder"]["slug"]) == (201, "baobab-files")


def test_a_form_beyond_the_quota_is_refused(people, api_as):
    folder = folders.personal_folder(people["client"])
    type(folder).objects.filter(pk=folder.pk).update(quota_bytes=4)

    assert refusal(post(api_as("client"), file=attached(b"words"))) == (413, "quota_exceeded")
    assert nothing_is_left()
    assert space(folder) == (0, 0)
    assert post(api_as("client"), file=attached(b"word")).status_code == 201


def test_json_is_no_form(api_as):
    answer = api_as("client").post(UPLOAD, {"file": "words"}, format="json")

    assert refusal(answer) == (415, "unsupported_media_type")


def test_a_broken_form_is_malformed(api_as):
    api = api_as("client")

    for content_type in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=x"):
        answer = api.post(UPLOAD, b"--y\r\nnothing", content_type=content_type)
        assert answer.status_code == 400


# --- The page's form ----------------------------------------------------------------------------------


def test_the_pages_form_works_without_javascript(page_as, company_folder, people):
    browser = page_as("uploader")
    subfolder = SubfolderFactory(folder=company_folder, slug="reports")

    root = browser.post("/files/upload", {"file": attached(), "folder_id": company_folder.pk})
    below = browser.post(
        "/files/upload", {"file": attached(), "folder_id": company_folder.pk, "subfolder_id": subfolder.pk}
    )
    own = browser.post("/files/upload", {"file": attached()})

    assert (root.status_code, root["Location"]) == (302, "/fileshare/baobab-files/")
    assert (below.status_code, below["Location"]) == (302, "/fileshare/baobab-files/reports/")
    assert (own.status_code, own["Location"]) == (302, f"/fileshare/u-{people['uploader'].pk}/")
    assert File.objects.filter(folder=company_folder).count() == 2
    assert b"notes.txt" in browser.get(root["Location"]).content


@pytest.mark.parametrize(
    ("who", "facts", "status"),
    [
        ("uploader", {"file": attached(b"MZ", "run.exe", "")}, 415),
        ("uploader", {"file": attached(samples.html(), "a.png", "")}, 415),
        ("uploader", {}, 400),
        ("uploader", {"file": attached(), "subfolder_id": NOBODYS}, 404),
        ("uploader", {"file": attached(), "subfolder_id": "no id"}, 400),
        ("colleague", {"file": attached()}, 403),
        ("stranger", {"file": attached()}, 404),
        (None, {"file": attached()}, 302),
    ],
)
def test_the_pages_form_refuses_with_a_page(who, facts, status, page_as, company_folder):
    for value in facts.values():
        if isinstance(value, SimpleUploadedFile):
            value.seek(0)

    answer = page_as(who).post("/files/upload", {"folder_id": company_folder.pk, **facts})

    assert answer.status_code == status
    assert status == 302 or b"<h1" in answer.content
    assert nothing_is_left()
    assert space(company_folder) == (0, 0)


@pytest.mark.parametrize("excess", [1, 70_000])
def test_the_pages_form_has_its_limit_too(excess, people, settings):
    settings.MAX_FORM_UPLOAD_BYTES = 1000
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(people["client"])
    browser.get("/files/")
    token = browser.cookies["csrftoken"].value

    def post_form(**options):
        facts = {"csrfmiddlewaretoken": token, "file": attached(bytes(1000 + excess), "a.bin", "")}
        return browser.post("/files/upload", facts, **options)

    answer, with_header = post_form(), post_form(headers={"X-CSRFToken": token})

    assert (answer.status_code, with_header.status_code) == (413, 413)
    assert nothing_is_left()


def test_the_pages_form_needs_its_token(people):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people["client"])

    assert browser.post("/files/upload", {"file": attached()}).status_code == 403
    assert nothing_is_left()
