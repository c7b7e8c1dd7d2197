"""A company's folder with its subfolders, made in one step: by the operation, the admin and the command."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import connections
from django.http import Http404

from accounts.models import Company
from audit.models import Event
from config.errors import Invalid
from fileshare import company_folders, folders
from fileshare.contributions.actions import Action
from fileshare.models import Folder, Subfolder
from tests.factories import CompanyFactory, FolderFactory, SubfolderFactory, UserFactory

pytestmark = pytest.mark.django_db
USUAL = ["From us", "From you", "Contracts", "Tax"]
USUAL_SLUGS = ["contracts", "from-us", "from-you", "tax"]


def slugs(folder):
    return sorted(folder.subfolders.values_list("slug", flat=True))


def run(*words):
    """Run the command; returns (output, errors)."""
    out, err = io.StringIO(), io.StringIO()
    call_command("setup_company_folders", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_company_gets_its_folder_and_the_usual_subfolders(people):
    company = CompanyFactory(name="Acacia", slug="acacia")

    done = company_folders.set_up(user=people["super"], company_id=company.pk, quota_bytes=5000)

    assert (done.is_new, done.made, done.there) == (True, USUAL, [])
    folder = company.folders.get()
    assert (folder.name, folder.slug, folder.quota_bytes) == ("Acacia", "acacia", 5000)
    assert slugs(folder) == USUAL_SLUGS
    assert sorted(folder.subfolders.values_list("name", flat=True)) == sorted(USUAL)
    assert Event.objects.filter(action=Action.FOLDER_CREATED, actor=people["super"]).count() == 5


def test_again_makes_what_is_missing_and_leaves_the_rest(people, company_folder):
    SubfolderFactory(folder=company_folder, slug="tax", name="What goes out")
    company, quota = company_folder.company, company_folder.quota_bytes

    first = company_folders.set_up(user=people["super"], company_id=company.pk, quota_bytes=1)
    again = company_folders.set_up(user=people["super"], company_id=company.pk)

    assert (first.is_new, first.made, first.there) == (False, USUAL[:3], ["Tax"])
    assert (again.is_new, again.made, again.there) == (False, [], USUAL)
    company_folder.refresh_from_db()
    assert company_folder.quota_bytes == quota
    assert company_folder.subfolders.get(slug="tax").name == "What goes out"
    assert Event.objects.filter(action=Action.FOLDER_CREATED).count() == 3


def test_the_folder_with_the_companys_slug_comes_before_an_older_one(people):
    company = CompanyFactory(slug="acacia")
    FolderFactory(company=company)
    own = FolderFactory(company=company, slug="acacia")

    assert company_folders.set_up(user=people["super"], company_id=company.pk).folder == own


def test_a_slug_that_somebody_else_has_is_not_taken_from_them(people):
    other = FolderFactory(slug="acacia")

    done = company_folders.set_up(user=people["super"], company_id=CompanyFactory(name="Acacia", slug="acacia").pk)

    assert done.folder != other
    assert done.folder.slug == "acacia-2"


@pytest.mark.parametrize("names", [["///"], ["a\x00b"], ["u-1"], ["a" * 201], [f"n{number}" for number in range(101)]])
def test_names_that_are_none_are_refused_and_nothing_is_made(names, people):
    with pytest.raises(Invalid):
        company_folders.set_up(user=people["super"], company_id=CompanyFactory().pk, subfolders=names)

    assert not Folder.objects.filter(company__isnull=False).exists()


def test_one_name_twice_is_one_subfolder(people):
    names = [" Monthly  reports ", "monthly-reports", "Ripoti"]

    done = company_folders.set_up(user=people["super"], company_id=CompanyFactory().pk, subfolders=names)

    assert done.made == ["Monthly reports", "Ripoti"]


@pytest.mark.parametrize("who", ["ops", "client", "off"])
def test_only_a_super_sets_up(who, people, company_folder):
    with pytest.raises(PermissionDenied):
        company_folders.set_up(user=people[who], company_id=company_folder.company_id)


@pytest.mark.parametrize("company_id", ["x", "00000000-0000-4000-8000-000000000000", None])
def test_a_company_that_is_none_is_not_there(company_id, people):
    with pytest.raises(Http404):
        company_folders.set_up(user=people["super"], company_id=company_id)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one_of_each():
    boss, company = UserFactory(roles=["super"], is_superuser=True), CompanyFactory()

    def set_up(_number):
        try:
            return company_folders.set_up(user=boss, company_id=company.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(set_up, range(2)))

    assert sorted(row.is_new for row in done) == [False, True]
    assert slugs(company.folders.get()) == USUAL_SLUGS


# --- The command --------------------------------------------------------------------------------------


def test_the_command_serves_companies_by_slug_or_name_and_says_what_it_made(db):
    CompanyFactory(name="Acacia Ltd", slug="acacia")
    CompanyFactory(name="Baobab Ltd", slug="baobab")

    out, _err = run("acacia", "baobab ltd", "--quota", "20 GB")
    again, _err = run("acacia")

    assert "acacia: folder acacia made; made: From us, From you, Contracts, Tax" in out
    assert again == "acacia: folder acacia is there; there before: From us, From you, Contracts, Tax\n"
    assert set(Folder.objects.filter(company__isnull=False).values_list("quota_bytes", flat=True)) == {20 * 2**30}
    assert set(Event.objects.filter(action=Action.FOLDER_CREATED).values_list("actor_email", flat=True)) == {""}


def test_the_command_serves_all_with_names_of_ones_own(people):
    run("--all", "--subfolders", "Invoices, Contracts")

    assert Subfolder.objects.count() == 2 * Company.objects.count()
    assert set(Subfolder.objects.values_list("slug", flat=True)) == {"invoices", "contracts"}


def test_the_command_has_technical_names_and_lets_people_send(people):
    run("baobab", "--technical", "--may-send")

    folder = Folder.objects.get(company__slug="baobab")
    assert slugs(folder) == ["configs", "exports", "migrations", "vsz-backups"]
    assert Folder.objects.uploadable_by(people["colleague"]).get(company__isnull=False) == folder


def test_the_usual_subfolders_are_a_setting(people, settings):
    settings.COMPANY_SUBFOLDERS = ["Letters"]

    done = company_folders.set_up(user=people["super"], company_id=people["stranger"].company_id)

    assert done.made == ["Letters"]


def test_people_may_send_and_staff_may_work_there_when_that_is_wished(people, company_folder):
    wishes = {"user": people["super"], "company_id": company_folder.company_id}
    assert not Folder.objects.uploadable_by(people["colleague"]).filter(pk=company_folder.pk).exists()

    for _again in range(2):
        company_folders.set_up(**wishes, may_send=True, staff=True)

    for who in ("colleague", "ops"):
        assert Folder.objects.uploadable_by(people[who]).filter(pk=company_folder.pk).exists()
        assert Folder.objects.downloadable_by(people[who]).filter(pk=company_folder.pk).exists()
    assert company_folder.permissions.exclude(user=people["uploader"]).count() == 3
    assert not Folder.objects.visible_to(people["stranger"]).filter(pk=company_folder.pk).exists()


def test_the_command_makes_no_subfolders_when_told_so(people):
    run("--all", "--subfolders", "")

    assert Folder.objects.filter(company__isnull=False).count() == Company.objects.count()
    assert not Subfolder.objects.exists()


def test_the_command_serves_the_others_and_fails_for_a_company_that_is_not_there(people):
    with pytest.raises(CommandError, match="1 of 2 companies were not found"):
        run("nothing", "baobab")

    assert Folder.objects.filter(company__slug="baobab").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name companies, or say --all."),
        (["baobab", "--all"], "Name companies, or say --all."),
        (["baobab", "--quota", "much"], "--quota is a size"),
        (["baobab", "--quota", "-5 GB"], "--quota is a size"),
        (["baobab", "--quota", "99999999 PB"], "--quota is a size"),
        (["baobab", "--subfolders", "ok,***"], "makes no name of a subfolder"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_words(words, said, people):
    with pytest.raises(CommandError, match=said):
        run(*words)

    assert not Folder.objects.filter(company__isnull=False).exists()


# --- The admin ----------------------------------------------------------------------------------------


@pytest.fixture
def admin(client, people):
    client.force_login(people["super"])
    return client


def address(company):
    return f"/admin/accounts/company/{company.pk}/set-up-folders/"


def test_a_button_on_the_companys_page_sets_up(admin):
    company = CompanyFactory(name="Acacia", slug="acacia")
    assert address(company) in admin.get(f"/admin/accounts/company/{company.pk}/change/").content.decode()
    assert "From us\nFrom you" in admin.get(address(company)).content.decode()

    wishes = {"subfolders": "Invoices\nexports", "quota_bytes": "2 GB", "may_send": "on"}
    response = admin.post(address(company), wishes, follow=True)

    folder = company.folders.get()
    assert folder.permissions.get().company == company
    assert (slugs(folder), folder.quota_bytes) == (["exports", "invoices"], 2 * 2**30)
    text = response.content.decode()
    assert "Subfolders made: Invoices, exports." in text
    assert f"/admin/fileshare/folder/{folder.pk}/change/" in text


@pytest.mark.parametrize(("field", "value"), [("subfolders", "***"), ("quota_bytes", "much"), ("quota_bytes", "-1")])
def test_what_makes_no_sense_is_said_beside_its_field(field, value, admin):
    company = CompanyFactory()

    response = admin.post(address(company), {"subfolders": "a", field: value})

    assert response.status_code == 400
    assert list(response.context["form"].errors) == [field]
    assert not company.folders.exists()


def test_several_companies_are_set_up_at_once(admin, people):
    rows = list(Company.objects.all())
    chosen = {"action": "set_up_folders", "_selected_action": [row.pk for row in rows]}
    form = admin.post("/admin/accounts/company/", chosen)
    assert "From us" in form.content.decode()

    response = admin.post("/admin/accounts/company/", {**chosen, "apply": "1", "subfolders": "a\nb"}, follow=True)

    assert Folder.objects.filter(company__in=rows).count() == len(rows)
    assert "2 companies have their folders." in response.content.decode()


@pytest.mark.parametrize(
    ("chosen", "days"),
    [({}, None), ({"retention_days": "90"}, 90), ({"retention_days": "other", "retention_days_other": "45"}, 45)],
)
def test_a_company_s_folder_keeps_its_files_unless_the_form_says_otherwise(chosen, days, admin):
    company = CompanyFactory()
    assert '<option value="" selected>Keep: until somebody deletes them</option>' in (
        admin.get(address(company)).content.decode()
    )

    admin.post(address(company), {"subfolders": "a", **chosen})

    assert company.folders.get().retention_days == days
    admin.post(address(company), {"subfolders": "b", "retention_days": "30"})
    assert company.folders.get().retention_days == days, "the folder there keeps its own"


def test_a_folder_made_without_the_time_has_the_usual_one(people, settings):
    made = folders.create_folder(user=people["super"], name="Plain")

    assert made.retention_days == settings.DEFAULT_RETENTION_DAYS == 30


@pytest.mark.parametrize("who", [None, "ops", "client"])
def test_the_button_is_for_supers(who, client, people, company_folder):
    if who:
        client.force_login(people[who])

    assert client.post(address(company_folder.company), {"subfolders": "a"}).status_code == 302
    assert not company_folder.subfolders.exists()
