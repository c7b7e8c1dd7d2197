"""The page of a request for people without an account, its forms without JavaScript, and the owner's pages."""

import hashlib
import re
from datetime import timedelta

import pytest
from django.conf import settings as portal
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Company
from audit.models import Event
from fileshare import folders
from fileshare.models import File, FileRequest, PermissionType, ReceivedFile, RequestSender
from fileshare.requests import addresses, file_requests, sender_cookies
from tests.factories import FolderFactory, SubfolderFactory, grant
from tests.fileshare.helpers import send_whole, space
from tests.fileshare.requests.request_helpers import Outsider, ask_for_files, counts, path_of_request

pytestmark = pytest.mark.django_db
NOBODYS = "00000000-0000-4000-8000-000000000000"
MARKUP = "<script>alert(1)</script>"


def text_of(response):
    return response.content.decode()


def in_minutes(minutes):
    return f"{timezone.now() + timedelta(minutes=minutes):%Y-%m-%dT%H:%M}"


def the_form(**facts):
    chosen = {"place": "own", "type_policy": "folder", "max_files": 3, "max_megabytes": 1}
    return {**chosen, "title": "Statements", "deadline": in_minutes(60), **facts}


@pytest.fixture
def row(people):
    people["client"].name = "Wanjiru Kamau"
    people["client"].company = Company.objects.get(slug="savanna")
    people["client"].save()
    return ask_for_files(people["client"], note="All of March, please.")


# --- Asking ---------------------------------------------------------------------------------------


def test_the_folder_named_in_the_address_is_a_choice_among_however_many(people, page_as, monkeypatch):
    monkeypatch.setattr("fileshare.views.file_requests.MAX_PLACES", 1)
    named, other, foreign = (FolderFactory(name=name) for name in ("Zinnia", "Yarrow", "Xanthe"))
    below = SubfolderFactory(folder=named)
    for folder in (named, other):
        grant(folder, PermissionType.UPLOAD, user=people["client"])
    page = page_as("client")

    def choices(query):
        answer = page.get(f"/requests/new{query}")
        assert answer.status_code == 200
        return [str(value) for value, _label in answer.context["form"].fields["place"].widget.choices]

    assert choices("") == ["own", str(other.pk)]
    assert choices(f"?folder_id={other.pk}") == ["own", str(other.pk)]
    there = ["own", str(other.pk), str(named.pk), f"{named.pk}/{below.pk}"]
    assert choices(f"?folder_id={named.pk}") == choices(f"?folder_id={named.pk}&subfolder_id={below.pk}") == there
    for nothing in (foreign.pk, "x", "%00"):
        assert choices(f"?folder_id={nothing}") == ["own", str(other.pk)]


# --- Opening and saying who one is ----------------------------------------------------------------


def test_a_stranger_reads_who_asks_for_what_and_until_when_before_anything_else(row):
    answer = Outsider(row).open()
    page = text_of(answer)

    assert answer.status_code == 200
    for words in ("Wanjiru Kamau", "Savanna", "Statements of March", "All of March, please.", "Up to 5 files"):
        assert words in page
    assert f"{row.deadline:%H:%M} UTC" in page
    assert 'type="file"' not in page, "first they say who they are"
    assert "noindex" in answer["X-Robots-Tag"]
    assert "no-store" in answer["Cache-Control"]
    assert not RequestSender.objects.exists(), "nothing is stored for whoever only looks"


def test_a_sender_reads_how_many_will_see_the_files_and_no_name(people):
    folder = FolderFactory(company=people["colleague"].company)
    grant(folder, "upload", user=people["uploader"])
    outsider = Outsider(ask_for_files(people["uploader"], folder_id=folder.pk))
    assert "Seen by" not in text_of(outsider.open())
    outsider.start(name="Amina")

    page = text_of(outsider.open())

    assert "Seen by: 2 people" in page
    assert "Baobab" not in page
    assert "Who they are" not in page


def test_looking_makes_no_rows_however_often(row):
    for method in ("get", "head"):
        assert getattr(Client(), method)(path_of_request(row)).status_code == 200
    assert not RequestSender.objects.exists()
    assert not Event.objects.filter(action="request_refused").exists()


@pytest.mark.parametrize("token", ["x", "A" * 43, "..", "%00", "é", "9" * 400])
@pytest.mark.parametrize("rest", ["", "/receipt", f"/upload/{NOBODYS}"])
def test_an_unknown_address_is_not_found(token, rest, row):
    assert Client().get(f"/request/{token}{rest}").status_code == 404


def test_the_sender_is_known_again_by_a_cookie_for_this_address_alone(row, settings):
    outsider = Outsider(row)

    answer = outsider.start(name="Amina")

    assert (answer.status_code, answer["Location"]) == (302, outsider.path)
    cookie = answer.cookies[sender_cookies.NAME]
    assert cookie["path"] == outsider.path
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")
    assert 'type="file"' in text_of(outsider.open())
    settings.SITE_IS_SECURE = True
    assert Outsider(row).start().cookies[sender_cookies.NAME]["secure"] is True


@pytest.mark.parametrize(
    "forge",
    [
        lambda text: text[:-1] + ("y" if text.endswith("x") else "x"),
        lambda text: "x",
        lambda text: text.replace(".", ",", 1),
    ],
    ids=["signature", "short", "secret"],
)
def test_a_forged_cookie_is_nobodys(forge, row):
    outsider = Outsider(row)
    outsider.start()
    outsider.client.cookies[sender_cookies.NAME] = forge(outsider.client.cookies[sender_cookies.NAME].value)

    assert outsider.receipt().status_code == 403
    assert outsider.promise(b"x").json()["code"] == "sender_unknown"


def test_a_sender_may_leave_the_browser_to_another(row):
    outsider = Outsider(row)
    outsider.start(name="Amina")
    outsider.deliver()

    answer = outsider.client.post(f"{outsider.path}/leave")

    assert answer.status_code == 302
    assert answer.cookies[sender_cookies.NAME].value == ""
    assert "notes.txt" not in text_of(outsider.open())


@pytest.mark.parametrize("password", ["seven green boats", " spaces ", "pässwörd", "密码🔑", "e\u0301", "<b>&\"'"])
def test_a_password_of_any_unicode_opens_and_no_other_does(password, people):
    row = ask_for_files(people["client"], password=password)
    outsider = Outsider(row)
    assert 'type="password"' in text_of(outsider.open())

    for wrong in (password + "x", password.upper() + "!", "x" * 900):
        answer = outsider.start(password=wrong)
        assert answer.status_code == 403
        assert "This is not the password." in text_of(answer)
    assert outsider.start().status_code == 400
    assert not RequestSender.objects.exists()

    assert outsider.start(password=password).status_code == 302


def test_guesses_at_a_password_are_limited_by_request_and_address(people, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "initiate": "100/d", "share_password": "3/d"}
    outsider = Outsider(ask_for_files(people["client"], password="seven green boats"))

    assert [outsider.start(password="guess").status_code for _ in range(4)] == [403, 403, 403, 429]
    other = Outsider(ask_for_files(people["client"], password="nine blue kites"))
    assert other.start(password="nine blue kites").status_code == 302


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"name": "", "email": "a@example.org"}, "This field is required"),
        ({"name": "Amina", "email": ""}, "This field is required"),
        ({"name": "Amina", "email": "nobody"}, "valid e-mail address"),
        ({"name": "Amina", "email": "a@example.org\r\nBcc: b@example.org"}, "valid e-mail address"),
        ({"name": "x" * 151, "email": "a@example.org"}, "at most 150"),
        ({"name": "https://evil.example/", "email": "a@example.org"}, "web address"),
        ({"name": "a\u202eb", "email": "a@example.org"}, "visible characters"),
        ({"name": "a\x00b", "email": "a@example.org"}, "Null characters"),
    ],
)
def test_a_name_or_address_that_is_asked_for_and_is_none(facts, words, people):
    outsider = Outsider(ask_for_files(people["client"], asks_name=True, asks_email=True))

    answer = outsider.start(**facts)

    assert answer.status_code == 400
    assert words in text_of(answer)
    assert not RequestSender.objects.exists()


def test_a_name_with_line_breaks_is_one_line_and_markup_is_text(row, people, page_as):
    outsider = Outsider(row)
    assert outsider.start(name=f"Amina\r\n{MARKUP}").status_code == 302
    outsider.send((f"{MARKUP}.txt", b"words"))

    assert outsider.row.name == f"Amina {MARKUP}"
    owners = page_as("client").get(row.get_absolute_url())
    for page in (
        outsider.open(),
        outsider.receipt(),
        owners,
        page_as("client").get(File.objects.get().get_absolute_url()),
    ):
        assert MARKUP not in text_of(page)
        assert "&lt;script&gt;" in text_of(page)


def test_what_the_owner_writes_is_text_too(people):
    row = ask_for_files(people["client"], title=MARKUP, note=MARKUP)
    people["client"].name = MARKUP
    people["client"].save()
    outsider = Outsider(row)

    assert MARKUP not in text_of(outsider.open())
    file_requests.close(user=people["client"], request_id=row.pk)
    assert MARKUP not in text_of(outsider.open())


# --- Forged requests ------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["start", "leave", "send", "upload/initiate", "upload/complete", "upload/abort"])
def test_every_post_needs_the_pages_token(call, row):
    outsider = Outsider(row, enforce_csrf_checks=True)

    answer = outsider.client.post(f"{outsider.path}/{call}", {}, content_type="application/json")

    assert answer.status_code == 403
    if call.startswith("upload"):
        assert answer.json()["code"] == "csrf_failed"


def test_with_the_token_forms_and_scripts_of_the_page_work(row):
    outsider = Outsider(row, enforce_csrf_checks=True)
    outsider.open()
    outsider.client.defaults["HTTP_X_CSRFTOKEN"] = outsider.client.cookies["csrftoken"].value

    assert outsider.start(name="Amina").status_code == 302
    transfer = outsider.promise(b"words").json()
    send_whole(transfer, b"words")
    assert outsider.post("complete", {"file_id": transfer["file_id"]}).status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"null", b'{"files": []}', b"[" * 50_000, b"x" * 2**21])
@pytest.mark.parametrize("call", ["initiate", "complete", "abort"])
def test_a_body_that_makes_no_sense_is_refused_with_json(call, body, row):
    outsider = Outsider(row)
    outsider.start()

    answer = outsider.client.post(f"{outsider.path}/upload/{call}", body, content_type="application/json")

    assert answer.status_code in (400, 413)
    assert {"detail", "code"} <= set(answer.json())
    assert counts(row) == (0, 0, 0, 0)


@pytest.mark.parametrize("file_id", ["x", "-1", "9" * 400, NOBODYS, "null", "initiate x"])
def test_an_upload_that_is_none_is_not_found(file_id, row):
    outsider = Outsider(row)
    outsider.start()

    answer = outsider.status(file_id)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


# --- The form without JavaScript ------------------------------------------------------------------


def test_several_files_go_in_by_the_plain_form_and_are_on_the_receipt(row):
    outsider = Outsider(row)
    outsider.start(name="Amina")

    answer = outsider.send(("a.txt", b"first"), ("b.txt", b"second"), ("a.txt", b"third"))

    assert (answer.status_code, answer["Location"]) == (302, outsider.path)
    page = text_of(outsider.open())
    assert "Your 3 files have arrived." in page
    receipt = text_of(outsider.receipt())
    assert receipt.count("a.txt") == 2
    for body in (b"first", b"second", b"third"):
        if portal.STORAGE == "local":
            assert hashlib.sha256(body).hexdigest() in receipt
    assert File.objects.count() == 3
    assert counts(row) == (3, 16, 0, 0)


def test_what_is_refused_in_a_form_costs_the_others_nothing(row):
    outsider = Outsider(row)
    outsider.start()

    answer = outsider.send(("a.txt", b"words"), ("run.exe", b"MZ"), ("b.txt", b"more"))

    assert answer.status_code == 415
    assert "run.exe" in text_of(answer)
    assert sorted(File.objects.values_list("filename", flat=True)) == ["a.txt", "b.txt"]
    assert counts(row)[2:] == (0, 0)
    assert space(row.folder) == (9, 0)


def test_a_form_stops_where_the_request_does(people):
    row = ask_for_files(people["client"], max_files=2)
    outsider = Outsider(row)
    outsider.start()

    answer = outsider.send(("a.txt", b"one"), ("b.txt", b"two"), ("c.txt", b"three"))

    assert answer.status_code == 410
    assert File.objects.count() == 2
    assert "c.txt" in text_of(answer)


def test_a_form_without_a_file_or_of_somebody_unknown_is_refused(row):
    outsider = Outsider(row)
    assert outsider.send(("a.txt", b"words")).status_code == 403
    outsider.start()
    assert outsider.send().status_code == 400
    assert not File.objects.exists()


def test_a_form_has_its_limit(row, settings):
    settings.MAX_FORM_UPLOAD_BYTES = 1000
    outsider = Outsider(row)
    outsider.start()

    assert outsider.send(("a.bin", b"x" * 2000)).status_code == 413
    assert not File.objects.exists()


def test_a_receipt_is_the_senders_alone(row):
    outsider, other = Outsider(row), Outsider(row)
    outsider.start(name="Amina")
    other.start(name="Other")
    outsider.send(("mine.txt", b"words"))

    assert outsider.receipt().status_code == 200
    assert "mine.txt" not in text_of(other.receipt())
    assert "Nothing has arrived from you yet" in text_of(other.receipt())
    assert Outsider(row).receipt().status_code == 403


def queries_of(ask):
    """The number of queries of the second of two equal requests."""
    ask()
    with CaptureQueriesContext(connection) as queries:
        assert ask().status_code == 200
    return len(queries)


@pytest.mark.parametrize("shown", ["open", "receipt"])
def test_the_senders_pages_ask_as_many_queries_for_twelve_files_as_for_two(shown, row):
    FileRequest.objects.update(max_files=100)
    outsider = Outsider(row)
    outsider.start()

    def cost(count):
        outsider.send(*[(f"{number}.txt", b"x") for number in range(count)])
        return queries_of(getattr(outsider, shown))

    assert cost(2) == cost(10) <= 12


# --- The owner's pages ----------------------------------------------------------------------------


def test_an_owner_makes_a_request_by_the_page_and_passes_its_address_on(people, page_as):
    browser = page_as("client")
    assert "/requests/" in text_of(browser.get("/files/"))

    answer = browser.post("/requests/new", the_form(note="Soon", asks_name="on", password=" pässwörd "))

    row = FileRequest.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, row.get_absolute_url())
    assert (row.folder, row.asks_name, row.asks_email) == (folders.personal_folder(people["client"]), True, False)
    page = text_of(browser.get(row.get_absolute_url()))
    assert addresses.address(row) in page
    assert 'class="qr-code"' in page
    assert Outsider(row).start(name="Amina", password=" pässwörd ").status_code == 302
    assert row.title in text_of(browser.get("/requests/"))


def test_a_folder_page_leads_to_a_request_for_that_folder(people, page_as, company_folder):
    subfolder = SubfolderFactory(folder=company_folder, slug="inner")
    browser = page_as("uploader")
    address = f"/requests/new?folder_id={company_folder.pk}&amp;subfolder_id={subfolder.pk}"
    assert address in text_of(browser.get("/fileshare/baobab-files/inner/"))
    assert "/requests/new" not in text_of(page_as("colleague").get("/fileshare/baobab-files/"))

    page = text_of(browser.get(address.replace("&amp;", "&")))
    place = f"{company_folder.pk}/{subfolder.pk}"
    assert re.search(f'value="{place}"\\s+selected', page)
    browser.post("/requests/new", the_form(place=place))

    assert FileRequest.objects.get().subfolder == subfolder


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadline": "2020-01-01T00:00"},
        {"deadline": "2999-01-01T00:00"},
        {"deadline": ""},
        {"title": ""},
        {"max_files": 0},
        {"max_files": 1001},
        {"max_megabytes": -1},
        {"type_policy": "all"},
        {"place": "x"},
        {"place": f"{NOBODYS}/x"},
    ],
    ids=str,
)
def test_a_form_of_the_owner_that_makes_no_sense_is_shown_again(wrong, page_as):
    answer = page_as("client").post("/requests/new", the_form(**wrong))

    assert answer.status_code == 400
    assert "errorlist" in text_of(answer)
    assert not FileRequest.objects.exists()


def test_a_folder_one_may_not_upload_to_is_refused(people, page_as, company_folder):
    facts = the_form(place=str(company_folder.pk))

    assert page_as("colleague").post("/requests/new", facts).status_code == 403
    assert page_as("stranger").post("/requests/new", facts).status_code == 404
    assert not FileRequest.objects.exists()


def test_only_what_was_changed_changes(row, people, page_as):
    FileRequest.objects.filter(pk=row.pk).update(max_bytes=999_999, deadline=timezone.now() - timedelta(days=1))
    row.refresh_from_db()
    browser = page_as("client")
    facts = the_form(title="Other words", deadline=f"{row.deadline:%Y-%m-%dT%H:%M}", max_files=5, note=row.note)

    answer = browser.post(f"{row.get_absolute_url()}edit", facts)

    assert answer.status_code == 302, text_of(answer)
    changed = FileRequest.objects.get()
    assert (changed.title, changed.max_bytes, changed.deadline) == ("Other words", 999_999, row.deadline)
    assert Event.objects.get(action="request_changed").detail["fields"] == ["title"]


def test_the_owner_closes_opens_and_renews_by_the_page(row, page_as):
    browser = page_as("client")
    path = path_of_request(row)

    browser.post(f"{row.get_absolute_url()}close")
    assert Client().get(path).status_code == 410
    assert "Open it again" in text_of(browser.get(row.get_absolute_url()))
    browser.post(f"{row.get_absolute_url()}reopen")
    assert Client().get(path).status_code == 200
    browser.post(f"{row.get_absolute_url()}address")
    assert Client().get(path).status_code == 404


def test_the_owner_sees_who_sent_what_and_the_files_page_says_so_too(row, people, page_as):
    outsider = Outsider(row)
    outsider.start(name="Amina Otieno", email="amina@example.org")
    outsider.send(("march.txt", b"words"))
    browser = page_as("client")

    page = text_of(browser.get(row.get_absolute_url()))
    for words in ("march.txt", "Amina Otieno", "amina@example.org", "1 of 5 files"):
        assert words in page
    page = text_of(browser.get(ReceivedFile.objects.get().file.get_absolute_url()))
    assert "Received from" in page
    assert "Amina Otieno" in page
    assert row.get_absolute_url() in page


def test_invitations_go_out_by_the_page(row, page_as, outbox):
    browser = page_as("client")

    answer = browser.post(f"{row.get_absolute_url()}invite", {"emails": "a@example.org, b@example.org\nA@example.org"})

    assert answer.status_code == 302
    assert sorted(letter.to[0] for letter in outbox()) == ["a@example.org", "b@example.org"]
    wrong = browser.post(f"{row.get_absolute_url()}invite", {"emails": "nobody"})
    assert wrong.status_code == 400
    assert "valid e-mail address" in text_of(wrong)


@pytest.mark.parametrize("address", ["/requests/", "{detail}"])
def test_the_owners_pages_ask_as_many_queries_for_twelve_rows_as_for_two(address, row, people, page_as):
    FileRequest.objects.update(max_files=100)
    browser = page_as("client")
    path = address.format(detail=row.get_absolute_url())

    def cost(count):
        for number in range(count):
            outsider = Outsider(row)
            outsider.start(name=f"Sender {number}")
            outsider.send((f"{number}.txt", b"x"))
            ask_for_files(people["client"])
        return queries_of(lambda: browser.get(path))

    assert cost(2) == cost(10)
