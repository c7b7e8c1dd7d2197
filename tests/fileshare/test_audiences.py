"""Pages say who sees what is put into a folder: how many, and to those who may know it, who."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from fileshare import audiences, folders
from fileshare.demo.office_files import docx
from fileshare.models import File, Folder, FolderPermission, PermissionType
from tests.factories import DOCX, CompanyFactory, FolderFactory, UserFactory, grant

pytestmark = pytest.mark.django_db
EVERYBODY = "Seen by everybody with an account (6)"


@pytest.fixture
def shared(people, company_folder):
    """The company's folder, which a client of another company may upload to and download from, too."""
    grant(company_folder, PermissionType.DOWNLOAD, user=people["stranger"])
    grant(company_folder, PermissionType.UPLOAD, user=people["stranger"])
    grant(company_folder, PermissionType.UPLOAD, user=people["colleague"])
    return company_folder


def line(folder, user):
    return audiences.of_folder(folders.visible_folder(user=user, folder_id=folder.pk)).line(user)


def names_on(page):
    return {user.name for user in User.objects.all() if f"<strong>{user.name}</strong>" in page.content.decode()}


# --- The rule ---------------------------------------------------------------------------------------


def test_the_audience_are_those_who_may_download(people, shared, documents, role):
    special = FolderFactory()
    grant(special, PermissionType.DOWNLOAD, role=role("ops"))
    grant(special, PermissionType.UPLOAD, user=people["client"])
    granted = FolderFactory()
    grant(granted, PermissionType.DOWNLOAD, company=people["stranger"].company)
    rows = [shared, documents, special, granted, folders.personal_folder(people["client"])]

    for folder in rows:
        may = {u.pk for u in User.objects.all() if Folder.objects.downloadable_by(u).filter(pk=folder.pk).exists()}
        assert {user.pk for user in Folder.objects.filter(pk=folder.pk).audience()} == may

    assert Folder.objects.for_everybody().get() == documents


@pytest.mark.parametrize("everybody", [True, False])
def test_a_folder_is_for_everybody_as_long_as_clients_may_download(documents, people, everybody):
    if not everybody:
        FolderPermission.objects.filter(folder=documents, role__name="client", permission_type="download").delete()

    assert Folder.objects.get(pk=documents.pk).is_for_everybody is everybody
    assert (line(documents, people["ops"]) == EVERYBODY) is everybody


# --- The line ---------------------------------------------------------------------------------------


def test_the_line_of_a_company_folder(people, company_folder):
    for who in ("uploader", "colleague", "super"):
        assert line(company_folder, people[who]) == "Seen by: Baobab (1 person), the firm (2 people)"


def test_a_client_reads_no_name_of_another_company(people, shared):
    grant(shared, PermissionType.DOWNLOAD, user=people["client"])

    assert line(shared, people["uploader"]) == (
        "Seen by: Baobab (1 person), Savanna (1 person), 1 person without a company, the firm (2 people)"
    )
    assert line(shared, people["colleague"]) == "Seen by: Baobab (1 person), 2 other people, the firm (2 people)"
    assert line(shared, people["client"]) == "Seen by: you, 2 other people, the firm (2 people)"


def test_many_companies_are_counted(people, company_folder):
    for _number in range(3):
        grant(company_folder, PermissionType.DOWNLOAD, user=UserFactory(company=CompanyFactory()))

    assert line(company_folder, people["super"]) == "Seen by: 4 people of 4 companies, the firm (2 people)"


def test_the_line_of_a_personal_folder(people):
    own = folders.personal_folder(people["client"])
    assert line(own, people["client"]) == "Seen by: only you"
    assert line(own, people["super"]) == f"Seen by: {people['client'].name}"

    grant(own, PermissionType.DOWNLOAD, user=people["colleague"])
    assert line(own, people["client"]) == "Seen by: you, 1 other person"
    assert line(own, people["colleague"]) == f"Seen by: {people['client'].name}, Baobab (1 person)"


def test_a_company_that_a_folder_is_granted_to_is_named(people, company_folder):
    grant(company_folder, PermissionType.DOWNLOAD, company=people["stranger"].company)

    assert line(company_folder, people["super"]) == (
        "Seen by: Baobab (1 person), Savanna (1 person), the firm (2 people)"
    )
    assert (
        line(company_folder, people["stranger"]) == "Seen by: Savanna (1 person), 1 other person, the firm (2 people)"
    )


def test_a_folder_of_one_super(people):
    assert line(FolderFactory(), people["super"]) == "Seen by: only you"


def test_somebody_without_an_account_reads_a_number(people, company_folder, documents):
    assert audiences.of_folder(company_folder).line() == "Seen by: 3 people"
    assert audiences.of_folder(documents).line() == EVERYBODY


# --- On pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/", "/fileshare/", "/fileshare/documents/", "/requests/new"])
def test_client_documents_says_everywhere_what_it_is(address, page_as, people, documents):
    page = page_as("ops").get(address)

    assert EVERYBODY in page.content.decode()


def test_the_line_stands_in_the_head_and_above_the_drop_zone(page_as, people, company_folder):
    words = "Seen by: Baobab (1 person), the firm (2 people)"

    assert page_as("uploader").get(company_folder.get_absolute_url()).content.decode().count(words) == 2
    assert page_as("colleague").get(company_folder.get_absolute_url()).content.decode().count(words) == 1
    assert "Seen by: only you" in page_as("client").get("/files/").content.decode()


@pytest.mark.parametrize("address", ["/", "/fileshare/", "/requests/new"])
def test_a_list_asks_once_for_all_folders(address, page_as, people, documents, role):
    client = page_as("ops")
    client.get(address)
    counts = []
    for number in (1, 10):
        for _each in range(number):
            folder = FolderFactory()
            grant(folder, PermissionType.DOWNLOAD, role=role("client"))
            grant(folder, PermissionType.UPLOAD, role=role("ops"))
        with CaptureQueriesContext(connection) as queries:
            page = client.get(address).content.decode()
        assert page.count(EVERYBODY) > number
        counts.append(len(queries))

    assert counts[0] == counts[1]


# --- The list of people -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "status"),
    [("uploader", 200), ("super", 200), ("colleague", 403), ("ops", 404), ("stranger", 404), (None, 302)],
)
def test_whoever_uploads_reads_the_names(who, status, page_as, company_folder):
    assert page_as(who).get(f"/fileshare/{company_folder.slug}/seen-by").status_code == status


def test_a_client_reads_the_names_of_their_company_and_of_the_firm(page_as, people, shared):
    address = f"/fileshare/{shared.slug}/seen-by"
    everybody = {people[who].name for who in ("colleague", "stranger", "uploader", "super")}

    assert names_on(page_as("uploader").get(address)) == everybody
    page = page_as("colleague").get(address)
    assert names_on(page) == everybody - {people["stranger"].name}
    assert "1 more person sees it, whose name you do not see." in page.content.decode()
    assert "Savanna" not in page.content.decode()
    assert people["uploader"].email not in page.content.decode()


def test_the_list_of_people_has_pages_and_a_fixed_number_of_queries(page_as, people, shared):
    client, address = page_as("colleague"), f"/fileshare/{shared.slug}/seen-by"
    client.get(address)
    counts, found = [], []
    for number in (3, 120):
        for _each in range(number):
            UserFactory(company=shared.company)
        with CaptureQueriesContext(connection) as queries:
            page = client.get(address)
        counts.append(len(queries))
    while address:
        page = client.get(address)
        found += [person.pk for person in page.context["page"].results]
        address = page.context["page"].next

    assert counts[0] == counts[1]
    assert len(found) == len(set(found)) == 3 + 120 + 3


# --- Before an upload that many will see ----------------------------------------------------------------


def attached():
    return SimpleUploadedFile("report.docx", docx("Report", ["x"]), DOCX)


def test_the_question_names_how_many_of_how_many(people, company_folder, documents, shared):
    assert audiences.of_folder(documents).question() == (
        "Everybody with an account (6 people of 2 companies) will see these files. Upload?"
    )
    assert audiences.of_folder(shared).question() == "4 people of 2 companies will see these files. Upload?"


def test_nothing_is_asked_where_one_company_sees_it(people, company_folder, page_as):
    audience = audiences.of_folder(company_folder)

    assert (audience.question(), audience.consent()) == ("", "")
    assert b"data-ask=" not in page_as("uploader").get(company_folder.get_absolute_url()).content


def test_the_plain_form_uploads_only_what_was_agreed_to(people, documents, page_as):
    client = page_as("ops")
    page = client.get(documents.get_absolute_url()).content.decode()
    assert 'name="agreed"' in page
    assert 'data-ask="Everybody with an account (6 people of 2 companies) will see these files. Upload?"' in page

    refused = client.post("/files/upload", {"file": attached(), "folder_id": documents.pk})
    assert refused.status_code == 400
    assert "Everybody with an account (6 people of 2 companies) may see this file." in refused.content.decode()
    assert not File.objects.exists()

    done = client.post("/files/upload", {"file": attached(), "folder_id": documents.pk, "agreed": "on"})
    assert (done.status_code, File.objects.count()) == (302, 1)


def test_a_script_is_not_asked(people, documents, api_as):
    answer = api_as("ops").post("/api/ops/upload", {"file": attached()}, format="multipart")

    assert answer.status_code == 201
