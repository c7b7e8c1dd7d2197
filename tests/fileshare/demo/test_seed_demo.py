"""The demo: people, folders and files, created once however often the command runs."""

import io

import pytest
from django.core.management import call_command

from accounts.models import Company, User
from fileshare.management.commands import seed_demo
from fileshare.models import File, Folder, FolderPermission, Subfolder
from tests.fileshare.helpers import content

ROWS = (Company, User, Folder, Subfolder, FolderPermission, File)


def seed():
    out, err = io.StringIO(), io.StringIO()
    call_command("seed_demo", stdout=out, stderr=err)
    assert "refused" not in err.getvalue()
    return out.getvalue()


def counts():
    return {row.__name__: row.objects.count() for row in ROWS}


def test_a_second_time_adds_nothing(db, settings):
    settings.SITE_IS_LOCAL = True
    said = seed()
    first = counts()

    again = seed()

    assert counts() == first
    assert first["File"] == len(list(seed_demo.documents()))
    assert said == again
    for email in (seed_demo.SUPER, seed_demo.OPS_USER, *seed_demo.CLIENTS):
        assert email in said
    assert seed_demo.PASSWORD in said


def test_what_somebody_changed_stays_changed(db, settings):
    settings.SITE_IS_LOCAL = True
    seed()
    User.objects.filter(email=seed_demo.OPS_USER).update(name="Renamed")
    File.objects.filter(filename="Welcome.docx").delete()
    before = counts()

    seed()

    assert counts() == before
    assert User.objects.get(email=seed_demo.OPS_USER).name == "Renamed"


def test_its_people_log_in_and_find_their_files(db, settings, page_as, api_as):
    settings.SITE_IS_LOCAL = True
    seed()
    for email, seen in ((seed_demo.OPS_USER, 15), ("client@demo.example", 5), ("baraka@baobab.example", 10)):
        api = api_as(None)
        answer = api.post("/api/auth/login", {"email": email, "password": seed_demo.PASSWORD})
        assert answer.status_code == 200
        api.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access']}")
        files = api.get("/api/client/files").json()["results"]
        assert len(files) == seen
        link = api.get(f"/api/client/download/{files[0]['id']}").json()["download-link"]
        assert len(content(api.get(link))) == files[0]["size_bytes"]


def test_space_is_counted_as_it_is_used(db, settings):
    settings.SITE_IS_LOCAL = True
    seed()

    for folder in Folder.objects.all():
        assert folder.used_bytes == sum(folder.files.values_list("size_bytes", flat=True))
        assert folder.reserved_bytes == 0


def test_a_portal_others_can_reach_gets_no_well_known_passwords(db, settings):
    settings.SITE_IS_LOCAL = False

    with pytest.raises(SystemExit):
        seed()

    assert not User.objects.exists()
