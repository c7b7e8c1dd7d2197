"""The pages about folders and files, for each kind of user."""

import re

import pytest
from django.utils.html import escape

from fileshare import folders
from fileshare.models import File
from tests.factories import SubfolderFactory, grant, store_file
from tests.fileshare.helpers import content


@pytest.fixture
def reports(company_folder):
    return SubfolderFactory(folder=company_folder, name="Reports", slug="reports")


@pytest.fixture
def below(people, company_folder, reports):
    return store_file(user=people["uploader"], folder=company_folder, subfolder=reports, filename="below.docx")


def names(response):
    return [row.filename for row in response.context["page"].results]


def has_upload_form(response):
    return b'action="/files/upload"' in response.content


# --- Who gets which page ------------------------------------------------------------------------------

SEEN = ["uploader", "colleague", "super"]
UNSEEN = ["ops", "client", "stranger"]


@pytest.mark.parametrize("who", SEEN + UNSEEN)
def test_pages_of_a_company_folder(who, page_as, report, below):
    browser, status = page_as(who), 200 if who in SEEN else 404

    pages = {
        "folder": browser.get("/fileshare/baobab-files/"),
        "subfolder": browser.get("/fileshare/baobab-files/reports/"),
        "file": browser.get(f"/files/{report.pk}/"),
    }

    assert {name: page.status_code for name, page in pages.items()} == dict.fromkeys(pages, status)
    if status == 200:
        assert names(pages["folder"]) == ["report.docx"]
        assert names(pages["subfolder"]) == ["below.docx"]
        assert [row.filename for row in pages["file"].context["versions"]] == ["report.docx"]
        may_upload = who != "colleague"
        assert has_upload_form(pages["folder"]) is has_upload_form(pages["subfolder"]) is may_upload
        assert (b"/delete" in pages["folder"].content) is may_upload
        assert (b"/delete" in pages["file"].content) is may_upload
        assert (b"/edit" in pages["file"].content) is may_upload
    else:
        assert all(b"report.docx" not in page.content for page in pages.values())


@pytest.mark.parametrize("who", ["off", None])
@pytest.mark.parametrize(
    "address",
    [
        "/fileshare/",
        "/fileshare/baobab-files/",
        "/fileshare/baobab-files/reports/",
        "/fileshare/nothing/",
        "/files/",
        "/files/{file}/",
        "/files/{file}/download",
    ],
)
def test_whoever_is_not_signed_in_goes_to_the_log_in(who, address, page_as, report):
    address = address.format(file=report.pk)

    answer = page_as(who).get(address)

    assert (answer.status_code, answer["Location"]) == (302, f"/login?next={address}")


@pytest.mark.parametrize("address", ["/files/{file}/delete", "/files/{file}/edit", "/files/upload"])
def test_what_changes_something_is_no_get(address, page_as, report):
    assert page_as("uploader").get(address.format(file=report.pk)).status_code == 405
    assert File.objects.filter(pk=report.pk).exists()


@pytest.mark.parametrize(
    "address",
    [
        "/fileshare/nothing/",
        "/fileshare/baobab-files/nothing/",
        "/files/00000000-0000-4000-8000-000000000000/",
        "/files/00000000-0000-4000-8000-000000000000/download",
    ],
)
def test_what_is_not_there(address, page_as, company_folder):
    answer = page_as("super").get(address)

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_the_front_door_shows_a_landing_page_or_a_dashboard(page_as, report, documents):
    assert "dashboard" not in page_as(None).get("/").templates[0].name
    board = page_as("colleague").get("/")

    assert [row.slug for row in board.context["folders"]] == ["documents", "baobab-files"]
    assert [row.filename for row in board.context["recent_files"]] == ["report.docx"]
    assert board.context["personal"].kind == "personal"
    assert b"report.docx" in board.content


@pytest.mark.parametrize(
    ("who", "slugs"),
    [
        ("uploader", ["documents", "baobab-files", "own"]),
        ("colleague", ["documents", "baobab-files", "own"]),
        ("client", ["documents", "own"]),
        ("stranger", ["documents", "own"]),
        ("super", ["documents", "baobab-files", "own"]),
    ],
)
def test_folder_cards(who, slugs, page_as, company_folder, people):
    page = page_as(who).get("/fileshare/")

    own = f"u-{people[who].pk}"
    assert [row.slug for row in page.context["folders"]] == [own if slug == "own" else slug for slug in slugs]
    cards = re.findall(rb'href="/fileshare/([^/"]+)/"', page.content)
    assert list(dict.fromkeys(cards)) == [row.slug.encode() for row in page.context["folders"]]
    assert page.content.count(b"<progress") == len(slugs)


def test_folder_cards_go_on_where_the_last_page_ended(page_as, people, company_folder):
    page = page_as("colleague")
    first = page.get("/fileshare/?limit=2")
    second = page.get(first.context["page"].next)

    slugs = [[row.slug for row in answer.context["folders"]] for answer in (first, second)]
    assert slugs == [["documents", "baobab-files"], [f"u-{people['colleague'].pk}"]]
    assert escape(first.context["page"].next) in first.content.decode()
    assert escape(second.context["page"].previous) in second.content.decode()
    assert page.get("/fileshare/?offset=x").status_code == 400


def test_my_files_are_mine_wherever_they_lie(page_as, people, report, below):
    own = store_file(
        user=people["uploader"],
        folder=folders.personal_folder(people["uploader"]),
        filename="own.txt",
        content=b"words",
    )

    page = page_as("uploader").get("/files/")

    assert names(page) == ["own.txt", "below.docx", "report.docx"]
    assert page.context["personal"].pk == own.folder_id
    assert has_upload_form(page)
    assert names(page_as("super").get("/files/")) == []


def test_an_upload_only_folder_shows_own_files_alone(page_as, people, inbox):
    store_file(user=people["client"], folder=inbox, filename="mine.docx")
    store_file(user=people["super"], folder=inbox, filename="theirs.docx")

    page = page_as("client").get("/fileshare/inbox/")

    assert names(page) == ["mine.docx"]
    assert has_upload_form(page)
    assert b"theirs.docx" not in page.content


def test_a_folder_page_goes_on_where_the_last_one_ended(page_as, people, company_folder):
    for number in range(5):
        store_file(user=people["uploader"], folder=company_folder, filename=f"{number}.txt", content=b"words")
    browser, seen, address = page_as("colleague"), [], "/fileshare/baobab-files/?limit=2"

    while address:
        page = browser.get(address)
        seen += names(page)
        address = page.context["page"].next

    assert seen == ["4.txt", "3.txt", "2.txt", "1.txt", "0.txt"]
    back = browser.get(page.context["page"].previous)
    assert names(back) == ["2.txt", "1.txt"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=x", "cursor=%00", "cursor=" + "a" * 400])
def test_a_page_that_cannot_be(query, page_as, company_folder):
    for address in ("/fileshare/baobab-files/", "/files/"):
        answer = page_as("uploader").get(f"{address}?{query}")
        assert answer.status_code == 400
        assert answer["Content-Type"].startswith("text/html")


def test_names_are_shown_as_text(page_as, people, company_folder):
    file = store_file(
        user=people["uploader"],
        folder=company_folder,
        filename="<img src=x onerror=alert(1)>.txt",
        content=b"x",
        tag_names=["<b>bold</b>"],
    )
    for address in ("/fileshare/baobab-files/", f"/files/{file.pk}/", "/", "/files/"):
        body = page_as("uploader").get(address).content
        assert b"<img src=x" not in body
        assert b"<b>bold" not in body
        assert b"&lt;img src=x" in body


# --- What the pages do --------------------------------------------------------------------------------


@pytest.mark.parametrize("who", SEEN)
def test_download(who, page_as, report):
    browser = page_as(who)

    answer = browser.get(f"/files/{report.pk}/download")

    assert answer.status_code == 302
    assert answer["Location"].startswith("/secure-download/")
    assert len(content(browser.get(answer["Location"]))) == report.size_bytes


@pytest.mark.parametrize("who", UNSEEN)
def test_no_download_for_others(who, page_as, report):
    assert page_as(who).get(f"/files/{report.pk}/download").status_code == 404


def test_delete_goes_back_to_where_the_file_was(page_as, report, below):
    browser = page_as("uploader")

    assert browser.post(f"/files/{report.pk}/delete")["Location"] == "/fileshare/baobab-files/"
    answer = browser.post(f"/files/{below.pk}/delete", follow=True)

    assert answer.redirect_chain == [("/fileshare/baobab-files/reports/", 302)]
    shown = answer.content.decode()
    trash = '<a href="/files/trash/">the trash</a>'
    assert f"“below.docx” was moved to {trash}. It can be restored within 7 days." in shown
    assert not File.objects.kept().exists()


@pytest.mark.parametrize(
    ("who", "status"), [("uploader", 302), ("super", 302), ("colleague", 403), ("stranger", 404), (None, 302)]
)
def test_edit(who, status, page_as, report):
    answer = page_as(who).post(f"/files/{report.pk}/edit", {"filename": "new.docx"})

    assert answer.status_code == status
    file = File.objects.get()
    if who in ("uploader", "super"):
        assert answer["Location"] == f"/files/{report.pk}/"
        assert file.filename == "new.docx"
    else:
        assert file.filename == "report.docx"


@pytest.mark.parametrize("facts", [{"filename": "new.exe"}, {"filename": "x" * 1001}, {"visibility": "all"}])
def test_a_bad_edit_says_so_beside_the_form(facts, page_as, report):
    answer = page_as("uploader").post(f"/files/{report.pk}/edit", facts)

    assert answer.status_code == 400
    assert answer.context["rename_form"].errors
    file = File.objects.get()
    assert (file.filename, file.visibility) == ("report.docx", "private")


def test_an_edit_leaves_alone_what_it_does_not_name(page_as, people, company_folder):
    file = store_file(user=people["uploader"], folder=company_folder, filename="a.docx", tag_names=["red"])

    page_as("uploader").post(f"/files/{file.pk}/edit", {"filename": "b.docx"})

    file.refresh_from_db()
    assert (file.filename, file.visibility, file.tags.get().name) == ("b.docx", "private", "red")


def test_visibility_is_for_the_owner_of_a_personal_file(page_as, people, report):
    own = store_file(
        user=people["client"], folder=folders.personal_folder(people["client"]), filename="a.txt", content=b"x"
    )
    assert b'name="visibility"' in page_as("client").get(f"/files/{own.pk}/").content
    assert b'name="visibility"' not in page_as("uploader").get(f"/files/{report.pk}/").content

    assert page_as("client").post(f"/files/{own.pk}/edit", {"visibility": "public"}).status_code == 302
    assert page_as("uploader").post(f"/files/{report.pk}/edit", {"visibility": "public"}).status_code == 403

    own.refresh_from_db()
    report.refresh_from_db()
    assert (own.visibility, report.visibility) == ("public", "private")
    assert page_as("stranger").get(f"/files/{own.pk}/").status_code == 200


def test_whoever_may_only_upload_sees_the_file_page_of_their_own(page_as, people, company_folder):
    grant(company_folder, "upload", user=people["client"])
    own = store_file(user=people["client"], folder=company_folder, filename="mine.docx")

    page = page_as("client").get(f"/files/{own.pk}/")

    assert page.status_code == 200
    assert page_as("client").get(f"/files/{own.pk}/download").status_code == 403
