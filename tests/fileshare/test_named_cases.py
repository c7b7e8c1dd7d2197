"""The five cases named in the order for the portal, from end to end."""

import datetime as dt
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from audit.models import Event
from fileshare.models import File
from tests.factories import DOCX
from tests.fakes import documents as samples
from tests.fileshare.helpers import content, space

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"


def ops_upload(api, name, body, content_type="application/octet-stream"):
    return api.post("/api/ops/upload", {"file": SimpleUploadedFile(name, body, content_type)}, format="multipart")


@pytest.mark.parametrize(
    ("name", "body", "content_type"),
    [
        ("letter.docx", samples.docx(), DOCX),
        ("figures.xlsx", samples.xlsx(), XLSX),
        ("plan.pptx", samples.pptx(), PPTX),
        ("LETTER.DOCX", samples.docx(), "application/octet-stream"),
        ("strict.docx", samples.strict_docx(), DOCX),
    ],
)
def test_ops_upload_with_allowed_types(name, body, content_type, api_as, documents):
    answer = ops_upload(api_as("ops"), name, body, content_type)

    assert answer.status_code == 201, answer.json()
    assert answer.json()["filename"] == name
    assert answer.json()["folder"]["slug"] == "documents"
    assert answer.json()["size_bytes"] == len(body)
    assert space(documents) == (len(body), 0)
    assert Event.objects.filter(action="upload", target_id=answer.json()["id"], actor_email="ops@example.org").exists()


@pytest.mark.parametrize(
    ("name", "body", "content_type", "code"),
    [
        ("notes.txt", b"text", "text/plain", "extension_not_allowed"),
        ("sheet.csv", b"a,b", "text/csv", "extension_not_allowed"),
        ("photo.png", samples.png(), "image/png", "extension_not_allowed"),
        ("paper.pdf", samples.pdf(), "application/pdf", "extension_not_allowed"),
        ("setup.exe", samples.windows_program(), "application/octet-stream", "extension_not_allowed"),
        ("macros.docm", samples.macro_document(), "application/octet-stream", "extension_not_allowed"),
        ("report.docx.exe", samples.docx(), "application/octet-stream", "extension_not_allowed"),
        ("docx", samples.docx(), DOCX, "extension_not_allowed"),
        ("page.docx", samples.docx(), "text/html", "content_type_blocked"),
        ("letter.docx", samples.docx(), "application/pdf", "content_type_mismatch"),
        ("renamed.docx", samples.macro_document(), DOCX, None),
        ("hidden.docx", samples.hidden_macros(), DOCX, None),
        ("secret.docx", samples.encrypted_docx(), DOCX, None),
        ("fake.docx", samples.fake_types_zip(), DOCX, None),
        ("sheet-inside.docx", samples.xlsx(), DOCX, None),
        ("program.docx", samples.windows_program(), DOCX, None),
        ("text.docx", b"only words", DOCX, None),
        ("cut.docx", samples.truncated_docx(), DOCX, None),
        ("before.docx", samples.program_before_docx(), DOCX, None),
        ("behind.docx", samples.program_behind_docx(), DOCX, None),
        ("old.docx", samples.legacy_doc(), DOCX, None),
        ("zip-bomb.docx", samples.zip_bomb(2), DOCX, None),
        ("xml-bomb.docx", samples.xml_bomb(), DOCX, None),
        ("lying-bomb.docx", samples.lying_bomb(), DOCX, None),
    ],
)
def test_ops_upload_with_refused_types(name, body, content_type, code, api_as, documents, commits):
    with commits():
        answer = ops_upload(api_as("ops"), name, body, content_type)

    assert answer.status_code == 415, answer.json()
    assert set(answer.json()) == {"detail", "code"}
    assert code is None or answer.json()["code"] == code
    assert not File.objects.exists()
    assert space(documents) == (0, 0)
    event = Event.objects.get(action="upload_refused")
    assert (event.actor_email, event.detail["filename"]) == ("ops@example.org", name)
    assert event.detail["code"] == answer.json()["code"]


@pytest.mark.parametrize(
    ("who", "status"), [("ops", 201), ("super", 201), ("client", 403), ("colleague", 403), ("off", 401), (None, 401)]
)
def test_ops_upload_is_for_ops(who, status, api_as, documents):
    answer = ops_upload(api_as(who), "letter.docx", samples.docx(), DOCX)

    assert answer.status_code == status
    assert File.objects.exists() is (status == 201)


def test_signup_verification_login_by_script(api_as, db, outbox):
    api = api_as(None)
    facts = {"email": "New.Person@example.org", "password": "nine quiet lamps", "name": "New Person"}
    credentials = {"email": "new.person@example.org", "password": "nine quiet lamps"}

    assert api.post("/api/auth/signup", facts).status_code == 201
    refused = api.post("/api/auth/login", credentials)
    assert (refused.status_code, refused.json()["code"]) == (403, "email_not_verified")

    token = re.search(r"token=([^\s&]+)", outbox()[0].body)[1]
    assert api.get(f"/api/auth/verify-email?token={token}").json() == {"message": "success"}
    answer = api.post("/api/auth/login", credentials).json()

    api.credentials(HTTP_AUTHORIZATION=f"Bearer {answer['access']}")
    me = api.get("/api/users/me").json()
    assert (me["email"], me["roles"], me["company"]) == ("new.person@example.org", ["client"], None)
    slugs = {row["slug"] for row in api.get("/api/fileshare/folders").json()["results"]}
    assert slugs == {"documents", f"u-{me['id']}"}


def test_encrypted_url_made(report, api_as, people, page_as):
    answer = api_as("colleague").get(f"/api/client/download/{report.pk}")

    assert answer.status_code == 200
    assert set(answer.json()) == {"download-link", "message", "expires_in"}
    assert answer.json()["message"] == "success"
    assert answer.json()["expires_in"] == 900
    link = answer.json()["download-link"]
    assert re.fullmatch(r"/secure-download/[A-Za-z0-9_=-]+", link)
    assert str(report.pk) not in link
    assert "no-store" in answer["Cache-Control"]
    assert Event.objects.filter(action="link_created", actor=people["colleague"], target_id=str(report.pk)).exists()
    by_token, by_session = api_as("colleague").get(link), page_as("colleague").get(link)
    assert len(content(by_token)) == len(content(by_session)) == report.size_bytes


@pytest.mark.parametrize("who", ["stranger", "uploader", "super", "client"])
def test_wrong_user_at_a_secure_url(who, report, api_as, page_as):
    link = api_as("colleague").get(f"/api/client/download/{report.pk}").json()["download-link"]

    by_script, by_browser = api_as(who).get(link), page_as(who).get(link, headers={"Accept": "text/html"})

    assert (by_script.status_code, by_script.json()["code"]) == (403, "link_of_another")
    assert by_browser.status_code == 403
    assert by_browser["Content-Type"].startswith("text/html")
    assert File.objects.get().download_count == 0


@pytest.mark.local
def test_expired_url(report, api_as, time_machine):
    start = dt.datetime(2031, 5, 1, 12, tzinfo=dt.UTC)
    time_machine.move_to(start, tick=False)
    File.objects.update(expires_at=None)
    link = api_as("colleague").get(f"/api/client/download/{report.pk}").json()["download-link"]

    time_machine.move_to(start + dt.timedelta(seconds=899), tick=False)
    assert len(content(api_as("colleague").get(link))) == report.size_bytes
    time_machine.move_to(start + dt.timedelta(seconds=900), tick=False)
    answer = api_as("colleague").get(link)

    assert (answer.status_code, answer.json()["code"]) == (410, "link_expired")
