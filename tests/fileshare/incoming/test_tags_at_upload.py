"""Tags that are sent with an upload: by script and by the plain form. A sender without an account sets none."""

import json
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from audit.models import Event
from fileshare.models import File, Tag, Upload
from fileshare.upkeep import reconcile
from tests.fileshare.helpers import TEXT, begun, complete, refusal, send_parts, send_whole, space
from tests.fileshare.requests.request_helpers import Outsider, ask_for_files

INITIATE = "/api/fileshare/upload/initiate"
BAD_TAGS = [
    "draft",
    {},
    7,
    [7],
    [None],
    [["draft"]],
    ["x" * 51],
    ["x" * 2001],
    ["fine", "a\x00b"],
    ["fine", "a\u202eb"],
    ["fine", "\ud800"],
    [str(number) for number in range(51)],
    [",".join(map(str, range(51)))],
    ["fine"] * 201,
]


@pytest.fixture
def api(api_as):
    return api_as("uploader")


def names(file):
    return sorted(file.tags.values_list("name", flat=True))


def file_facts(filename, **facts):
    return {"filename": filename, "size_bytes": 10, **facts}


def initiate(api, folder, **facts):
    """POST an initiate whose facts may have any type of JSON; returns the answer."""
    return api.post(INITIATE, json.dumps({"folder_id": str(folder.pk), **facts}), content_type="application/json")


# --- By script --------------------------------------------------------------------------------------


def test_a_promised_file_has_its_tags_once_it_is_complete(api, company_folder):
    transfer = begun(api, company_folder, TEXT, tags=[" Draft ", "draft", "2026, Year  end", ""])
    assert not Tag.objects.exists(), "a promise is no file yet"
    send_whole(transfer, TEXT)

    shown = complete(api, transfer).json()

    assert [tag["name"] for tag in shown["tags"]] == ["2026", "draft", "year end"]
    assert names(File.objects.get()) == ["2026", "draft", "year end"]
    assert [tag["name"] for tag in complete(api, transfer).json()["tags"]] == ["2026", "draft", "year end"]
    assert Event.objects.filter(action="upload").count() == 1


@pytest.mark.parametrize("tags", [None, [], [""], [" , "]])
def test_no_tag_is_as_good_as_none_named(tags, api, company_folder):
    transfer = initiate(api, company_folder, **file_facts("notes.txt", size_bytes=len(TEXT)), tags=tags).json()
    send_whole(transfer, TEXT)

    assert complete(api, transfer).json()["tags"] == []


@pytest.mark.parametrize("tags", BAD_TAGS, ids=range(len(BAD_TAGS)))
def test_bad_tags_are_refused_by_name_and_leave_nothing(tags, api, company_folder):
    answer = initiate(api, company_folder, **file_facts("a.txt"), tags=tags)

    assert refusal(answer) == (400, "invalid")
    assert all(field.startswith("tags") for field in answer.json()["errors"])
    assert space(company_folder) == (0, 0)
    assert not Upload.objects.exists()
    assert not Tag.objects.exists()


def test_in_a_batch_each_file_has_its_own_and_those_of_all(api, company_folder):
    files = [file_facts("a.txt", tags=["Draft"]), file_facts("b.txt", tags=["shared, blue"]), file_facts("c.txt")]

    answers = initiate(api, company_folder, files=files, tags=["Shared"]).json()["uploads"]
    for transfer in answers:
        send_whole(transfer, b"ten bytes.")
        assert complete(api, transfer).status_code == 200

    assert {file.filename: names(file) for file in File.objects.all()} == {
        "a.txt": ["draft", "shared"],
        "b.txt": ["blue", "shared"],
        "c.txt": ["shared"],
    }


@pytest.mark.parametrize("tags", BAD_TAGS, ids=range(len(BAD_TAGS)))
def test_one_files_bad_tags_cost_the_others_of_a_batch_nothing(tags, api, company_folder):
    files = [file_facts("bad.txt", tags=tags), file_facts("good.txt", tags=["fine"])]

    bad, good = initiate(api, company_folder, files=files).json()["uploads"]

    assert bad["code"] == "invalid"
    assert all(field.startswith("tags") for field in bad["errors"])
    assert bad["detail"] == next(iter(bad["errors"].values()))[0]
    assert space(company_folder) == (0, 10)
    assert [(str(upload.pk), upload.tags) for upload in Upload.objects.all()] == [(good["file_id"], ["fine"])]


@pytest.mark.parametrize("tags", BAD_TAGS, ids=range(len(BAD_TAGS)))
def test_bad_tags_for_a_whole_batch_refuse_the_whole(tags, api, company_folder):
    answer = initiate(api, company_folder, files=[file_facts("a.txt"), file_facts("b.txt")], tags=tags)

    assert refusal(answer) == (400, "invalid")
    assert space(company_folder) == (0, 0)
    assert not Upload.objects.exists()


def test_fifty_at_most_are_a_files_own_and_those_of_all_together(api, company_folder):
    shared = [f"tag {number}" for number in range(49)]
    files = [file_facts("fits.txt", tags=["one", "tag 1"]), file_facts("not.txt", tags=["one", "two"])]

    fits, too_many = initiate(api, company_folder, files=files, tags=shared).json()["uploads"]

    assert "file_id" in fits
    assert (too_many["code"], list(too_many["errors"])) == ("invalid", ["tags"])
    assert space(company_folder) == (0, 10)


@pytest.mark.local
def test_what_is_resumed_keeps_its_tags(api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT, tags=["draft", "2026"])

    resumed = api.get(f"/api/fileshare/upload/{transfer['file_id']}").json()
    parts = send_parts(resumed, TEXT)

    assert [tag["name"] for tag in complete(api, resumed, parts=parts).json()["tags"]] == ["2026", "draft"]


@pytest.mark.local
def test_an_upload_that_is_completed_for_somebody_keeps_its_tags(api, company_folder):
    transfer = begun(api, company_folder, TEXT, tags=["draft"])
    send_whole(transfer, TEXT)
    Upload.objects.update(created_at=timezone.now() - timedelta(hours=1))

    reconcile.complete_received()

    assert names(File.objects.get()) == ["draft"]


def test_the_schema_tells_of_tags():
    document = SchemaGenerator().get_schema(request=None, public=True)

    shape = document["components"]["schemas"]["InitiateInputRequest"]
    tags = shape["properties"]["tags"]
    assert (tags["type"], tags["items"]["type"]) == ("array", "string")
    assert "tags" not in shape["required"]


# --- On the page ------------------------------------------------------------------------------------


def test_the_form_of_a_page_sends_tags_along(people, company_folder, page_as):
    page = page_as("uploader")
    for address in (company_folder.get_absolute_url(), "/files/"):
        assert 'name="tags"' in page.get(address).content.decode()
    form = {"file": SimpleUploadedFile("notes.txt", b"words", "text/plain"), "folder_id": company_folder.pk}

    answer = page.post("/files/upload", {**form, "tags": "Draft, <i>2026</i>,,draft"})

    assert (answer.status_code, answer["Location"]) == (302, company_folder.get_absolute_url())
    assert names(File.objects.get()) == ["<i>2026</i>", "draft"]
    assert "&lt;i&gt;2026&lt;/i&gt;" in page.get(answer["Location"]).content.decode()


@pytest.mark.parametrize("tags", ["x" * 51, "x" * 5000, "a\x00b", "a\u202eb", ",".join(map(str, range(51)))])
def test_the_form_says_what_is_wrong_with_a_tag_and_nothing_is_left(tags, company_folder, page_as):
    form = {"file": SimpleUploadedFile("notes.txt", b"words", "text/plain"), "folder_id": company_folder.pk}

    answer = page_as("uploader").post("/files/upload", {**form, "tags": tags})

    assert answer.status_code == 400
    assert "Choose a file" not in answer.content.decode()
    assert not File.objects.exists()
    assert not Upload.objects.exists()
    assert space(company_folder) == (0, 0)


# --- From outside -----------------------------------------------------------------------------------


def test_who_answers_a_file_request_tags_nothing(people):
    row = ask_for_files(people["client"])
    outsider = Outsider(row)
    outsider.start()

    assert 'name="tags"' not in outsider.open().content.decode()
    assert refusal(outsider.post("initiate", {**file_facts("a.txt"), "tags": ["mine"]})) == (400, "invalid")
    assert refusal(outsider.post("initiate", {"files": [file_facts("a.txt")], "tags": ["mine"]})) == (400, "invalid")
    told = outsider.post("initiate", {"files": [file_facts("a.txt", tags=["mine"])]}).json()["uploads"][0]
    assert (told["code"], list(told["errors"])) == ("invalid", ["tags"])
    assert not Upload.objects.exists()
    form = {"file": SimpleUploadedFile("a.txt", b"words"), "tags": "mine"}
    assert outsider.client.post(f"{outsider.path}/send", form).status_code == 302
    assert names(File.objects.get()) == []
    assert not Tag.objects.exists()
