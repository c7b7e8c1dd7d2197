"""Folders in the Django admin: the same operations, rules and log as elsewhere."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import Event
from fileshare import folders
from fileshare.contributions.actions import Action
from fileshare.incoming import uploads
from fileshare.models import Folder, FolderPermission, PermissionType, Subfolder, Upload
from tests.factories import FolderFactory, SubfolderFactory, grant

pytestmark = pytest.mark.django_db


def form(folder=None, *, subfolders=(), permissions=(), **changes):
    """The admin's form for a folder, with its inline rows as dicts."""
    facts = {
        "name": folder.name if folder else "New",
        "slug": folder.slug if folder else "new",
        "description": "",
        "company": "",
        "type_policy": "general",
        "retention_days": "30",
        "quota_bytes": str(folder.quota_bytes) if folder else "1000000",
        # For a field with a computed default, the page also sends the value that it showed first.
        "initial-quota_bytes": str(folder.quota_bytes) if folder else "",
        **changes,
    }
    for prefix, rows in (("subfolders", subfolders), ("permissions", permissions)):
        facts[f"{prefix}-TOTAL_FORMS"] = len(rows)
        facts[f"{prefix}-INITIAL_FORMS"] = sum("id" in row for row in rows)
        for number, row in enumerate(rows):
            facts |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
            if folder:
                facts[f"{prefix}-{number}-folder"] = str(folder.pk)
    return facts


@pytest.fixture
def admin(client, people):
    client.force_login(people["super"])
    return client


def test_a_folder_is_made_with_its_subfolders_and_grants_and_it_is_recorded(admin, people):
    permissions = [{"user": str(people["client"].pk), "role": "", "permission_type": "download"}]

    response = admin.post(
        "/admin/fileshare/folder/add/",
        form(subfolders=[{"name": "Reports", "slug": "reports"}], permissions=permissions),
    )

    assert response.status_code == 302
    folder = Folder.objects.get(slug="new")
    assert folder.subfolders.get().slug == "reports"
    permission = folder.permissions.get()
    assert (permission.user, permission.granted_by) == (people["client"], people["super"])
    recorded = set(Event.objects.filter(actor=people["super"]).values_list("action", flat=True))
    assert {Action.FOLDER_CREATED, Action.GRANTED} <= recorded
    assert people["client"].notifications.get().type == "folder_granted"


def test_a_company_is_granted_in_the_form_and_two_holders_in_one_row_are_refused(admin, people):
    company = people["colleague"].company
    row = {"user": "", "role": "", "company": str(company.pk), "permission_type": "upload"}
    both = row | {"user": str(people["client"].pk)}

    refused = admin.post("/admin/fileshare/folder/add/", form(permissions=[both]))
    made = admin.post("/admin/fileshare/folder/add/", form(permissions=[row]))

    assert "Name a person, a role or a company: one of them." in refused.content.decode()
    assert made.status_code == 302
    assert Folder.objects.get(slug="new").permissions.get().company == company


def test_a_person_page_says_what_they_may_use_and_why(admin, people, company_folder):
    grant(company_folder, PermissionType.UPLOAD, company=people["colleague"].company)

    page = admin.get(f"/admin/accounts/user/{people['colleague'].pk}/change/").content.decode()

    lines = [re.sub("<[^>]+>", "", line) for line in re.findall(r"<li>(.*?)</li>", page)]
    assert {"Download: Baobab (Baobab)", "Upload: Baobab (Baobab)", "Download: Client documents (client)"} <= set(lines)


@pytest.mark.postgres
def test_a_form_that_deletes_locks_no_row_before_the_guard_of_legal_holds(admin):
    """Otherwise the form, a purge and a new hold could wait for one another: a deadlock."""
    folder = FolderFactory()
    old = SubfolderFactory(folder=folder)
    gone = {"id": str(old.pk), "name": old.name, "slug": old.slug, "DELETE": "on"}

    with CaptureQueriesContext(connection) as asked:
        admin.post(f"/admin/fileshare/folder/{folder.pk}/change/", form(folder, name="Renamed", subfolders=[gone]))

    assert not folder.subfolders.exists()
    marks = ("pg_advisory_xact_lock_shared", 'FOR NO KEY UPDATE OF "fileshare_folder"')
    steps = [mark for query in asked for mark in marks if mark in query["sql"]]
    assert set(steps) == set(marks)
    assert steps[0] == marks[0]


def test_a_change_touches_only_what_changed(admin):
    folder = FolderFactory()
    Folder.objects.filter(pk=folder.pk).update(used_bytes=70, reserved_bytes=30)

    admin.post(f"/admin/fileshare/folder/{folder.pk}/change/", form(folder, name="Renamed"))

    folder.refresh_from_db()
    assert (folder.name, folder.used_bytes, folder.reserved_bytes) == ("Renamed", 70, 30)
    assert Event.objects.get(action=Action.FOLDER_CHANGED).detail["after"] == {"name": "Renamed"}


def test_the_log_says_what_of_a_folder_was_before_and_after(people, company_folder):
    subfolder, company = SubfolderFactory(folder=company_folder, name="Old"), company_folder.company_id
    folders.change_folder(user=people["super"], folder_id=company_folder.pk, slug="new", company_id=None, name="New")
    folders.rename_subfolder(user=people["super"], subfolder_id=subfolder.pk, name="Newer")

    changed, renamed = Event.objects.filter(action=Action.FOLDER_CHANGED).order_by("created_at")
    assert changed.detail == {
        "before": {"slug": "baobab-files", "company_id": str(company), "name": "Baobab"},
        "after": {"slug": "new", "company_id": None, "name": "New"},
    }
    assert renamed.detail == {"before": {"name": "Old"}, "after": {"name": "Newer"}}


@pytest.mark.parametrize("changes", [{"retention_days": "99999999"}, {"retention_days": "0"}, {"quota_bytes": "-5"}])
def test_numbers_beyond_reason_are_said_beside_their_field(admin, changes):
    folder = FolderFactory()

    response = admin.post(f"/admin/fileshare/folder/{folder.pk}/change/", form(folder, **changes))

    assert response.status_code == 200
    assert response.context["adminform"].form.errors.keys() == changes.keys()


@pytest.mark.parametrize(
    ("chosen", "days"),
    [
        ({"retention_days": ""}, None),
        ({"retention_days": "30"}, 30),
        ({"retention_days": "90"}, 90),
        ({"retention_days": "365"}, 365),
        ({"retention_days": "2557"}, 2557),
        ({"retention_days": "other", "retention_days_other": "45"}, 45),
        ({"retention_days": "30", "retention_days_other": "45"}, 30),
    ],
)
def test_how_long_files_stay_is_chosen_where_a_folder_is_made(chosen, days, admin):
    assert admin.post("/admin/fileshare/folder/add/", form(**chosen)).status_code == 302

    folder = Folder.objects.get(slug="new")
    assert folder.retention_days == days
    field = admin.get(f"/admin/fileshare/folder/{folder.pk}/change/").context["adminform"].form["retention_days"]
    known = "" if days is None else str(days)
    assert f'value="{"other" if days == 45 else known}" selected' in str(field)
    assert ('value="45"' in str(field)) is (days == 45)


@pytest.mark.parametrize("other", ["", "many", "0", "-5", "99999999", "1.5"])
def test_another_number_of_days_has_to_be_one(other, admin):
    page = admin.post("/admin/fileshare/folder/add/", form(retention_days="other", retention_days_other=other))

    assert page.status_code == 200
    assert page.context["adminform"].form.errors.keys() == {"retention_days"}
    assert 'value="other" selected' in page.content.decode()
    assert not Folder.objects.filter(slug="new").exists()


def test_a_grant_is_taken_back(admin, people):
    folder = FolderFactory()
    permission = grant(folder, PermissionType.DOWNLOAD, user=people["client"])
    row = {"id": str(permission.pk), "DELETE": "on"}

    admin.post(f"/admin/fileshare/folder/{folder.pk}/change/", form(folder, permissions=[row]))

    assert not FolderPermission.objects.filter(pk=permission.pk).exists()
    assert Event.objects.filter(action=Action.REVOKED).exists()


def test_a_subfolder_keeps_its_slug_and_the_form_says_so(admin):
    subfolder = SubfolderFactory(slug="march")
    page = f"/admin/fileshare/folder/{subfolder.folder.pk}/change/"
    row = {"id": str(subfolder.pk), "name": "April", "slug": "april"}

    shown = admin.get(page).content.decode()
    admin.post(page, form(subfolder.folder, subfolders=[row]))

    (field,) = re.findall(r'<input[^>]*name="subfolders-0-slug"[^>]*>', shown)
    assert " disabled" in field
    assert (Subfolder.objects.get().name, Subfolder.objects.get().slug) == ("April", "march")


def test_a_subfolder_with_an_upload_on_its_way_stays(admin, people):
    subfolder = SubfolderFactory()
    folder = subfolder.folder
    uploads.initiate(
        user=people["super"],
        place=uploads.Place(folder, subfolder),
        filename="a.txt",
        size_bytes=10,
        content_type="text/plain",
    )
    row = {"id": str(subfolder.pk), "name": subfolder.name, "slug": subfolder.slug, "DELETE": "on"}

    admin.post(f"/admin/fileshare/folder/{folder.pk}/change/", form(folder, subfolders=[row]))

    assert Subfolder.objects.filter(pk=subfolder.pk).exists()
    assert Upload.objects.filter(subfolder=subfolder).exists()
