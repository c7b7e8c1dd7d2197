"""Folders, subfolders and grants by API: supers make, change and delete them."""

import pytest

from accounts.models import Notification
from audit.models import Event
from fileshare import company_folders, folders
from fileshare.models import Folder, FolderPermission, Subfolder
from tests.factories import CompanyFactory, FolderFactory, SubfolderFactory, UserFactory, grant, store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once, refusal

FOLDERS = "/api/fileshare/folders"
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def boss(api_as):
    return api_as("super")


# --- Folders ------------------------------------------------------------------------------------------


def test_a_super_makes_a_company_folder(boss, people):
    company = CompanyFactory(name="Acacia")

    answer = boss.post(
        FOLDERS,
        {
            "name": "Acacia files",
            "description": "All of it.",
            "company_id": str(company.pk),
            "quota_bytes": 5000,
            "retention_days": 7,
            "type_policy": "office",
        },
    )

    assert answer.status_code == 201
    shown = answer.json()
    assert set(shown) == {
        "id",
        "name",
        "slug",
        "description",
        "company",
        "kind",
        "type_policy",
        "retention_days",
        "quota_bytes",
        "used_bytes",
        "can_download",
        "can_upload",
        "can_manage",
        "subfolders",
        "created_at",
    }
    assert (shown["slug"], shown["kind"], shown["company"]["name"]) == ("acacia-files", "company", "Acacia")
    assert (shown["quota_bytes"], shown["used_bytes"], shown["retention_days"]) == (5000, 0, 7)
    assert Folder.objects.get(pk=shown["id"]).created_by == people["super"]
    assert Event.objects.filter(action="folder_created", target_id=shown["id"]).exists()


def test_a_folder_without_a_company_is_special_and_has_defaults(boss, settings):
    shown = boss.post(FOLDERS, {"name": "Templates"}).json()

    assert (shown["kind"], shown["company"], shown["type_policy"]) == ("special", None, "general")
    assert (shown["quota_bytes"], shown["retention_days"]) == (10 * 2**30, 30)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Annual Reports", "annual-reports"),
        ("Baobab files", "baobab-files-2"),
        ("報告", "folder"),
        ("U-turn", "folder-u-turn"),
        ("x" * 200, "x" * 90),
        ("  --  ", "folder"),
        ("documents", "documents-2"),
    ],
)
def test_a_slug_is_made_of_the_name(name, slug, boss, company_folder):
    answer = boss.post(FOLDERS, {"name": name})

    assert answer.status_code == 201, answer.json()
    assert answer.json()["slug"] == slug


@pytest.mark.parametrize(
    ("facts", "status", "code"),
    [
        ({"slug": "baobab-files"}, 409, "slug_taken"),
        ({"slug": "documents"}, 409, "slug_taken"),
        ({"slug": "u-somebody"}, 400, "invalid"),
        ({"slug": "no slug"}, 400, "invalid"),
        ({"slug": "../up"}, 400, "invalid"),
        ({"slug": "x" * 101}, 400, "invalid"),
        ({"slug": "é"}, 400, "invalid"),
        ({"name": ""}, 400, "invalid"),
        ({"name": None}, 400, "invalid"),
        ({"name": "x" * 201}, 400, "invalid"),
        ({"name": "a\x00b"}, 400, "invalid"),
        ({"company_id": NOBODYS}, 400, "invalid"),
        ({"company_id": "no id"}, 400, "invalid"),
        ({"quota_bytes": -1}, 400, "invalid"),
        ({"quota_bytes": 2**63}, 400, "invalid"),
        ({"quota_bytes": "5"}, 400, "invalid"),
        ({"quota_bytes": True}, 400, "invalid"),
        ({"quota_bytes": 1.5}, 400, "invalid"),
        ({"retention_days": 0}, 400, "invalid"),
        ({"retention_days": -1}, 400, "invalid"),
        ({"retention_days": 10**9}, 400, "invalid"),
        ({"type_policy": "everything"}, 400, "invalid"),
        ({"description": "x" * 2001}, 400, "invalid"),
        ({"owner": NOBODYS}, 400, "invalid"),
        ({"used_bytes": 0}, 400, "invalid"),
        ({"kind": "personal"}, 400, "invalid"),
    ],
)
def test_a_folder_that_cannot_be(facts, status, code, boss, company_folder):
    before = Folder.objects.count()

    assert refusal(boss.post(FOLDERS, {"name": "Fine", **facts})) == (status, code)
    assert refusal(boss.patch(f"{FOLDERS}/{FolderFactory().pk}", facts)) == (status, code)
    assert Folder.objects.count() == before + 1


@pytest.mark.parametrize(("who", "status"), [("ops", 403), ("client", 403), ("colleague", 403), (None, 401)])
def test_nobody_else_makes_folders(who, status, api_as, people):
    assert api_as(who).post(FOLDERS, {"name": "Mine"}).status_code == status
    assert not Folder.objects.filter(name="Mine").exists()


def test_a_super_changes_a_folder(boss, company_folder):
    answer = boss.patch(
        f"{FOLDERS}/{company_folder.pk}", {"name": "New", "slug": "new-slug", "quota_bytes": 9, "company_id": None}
    )

    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["name"], shown["slug"], shown["quota_bytes"], shown["kind"]) == ("New", "new-slug", 9, "special")
    assert Event.objects.filter(action="folder_changed").count() == 1


@pytest.mark.local
def test_a_folder_of_an_old_slug_keeps_its_files(boss, report, company_folder, api_as, page_as):
    boss.patch(f"{FOLDERS}/{company_folder.pk}", {"slug": "moved"})

    answer = page_as("colleague").get(f"/files/{report.pk}/download", follow=True)

    assert answer.status_code == 200
    assert len(b"".join(answer.streaming_content)) == report.size_bytes
    assert page_as("colleague").get("/fileshare/baobab-files/").status_code == 404
    assert page_as("colleague").get("/fileshare/moved/").status_code == 200


def test_the_same_slug_again_is_no_conflict(boss, company_folder):
    assert boss.patch(f"{FOLDERS}/{company_folder.pk}", {"slug": "baobab-files"}).status_code == 200


def test_the_built_in_folders_keep_what_they_are(boss, documents, people):
    personal = folders.personal_folder(people["client"])
    company = {"company_id": str(CompanyFactory().pk)}

    for folder in (documents, personal):
        assert refusal(boss.patch(f"{FOLDERS}/{folder.pk}", {"slug": "other"})) == (409, "built_in_folder")
        assert refusal(boss.patch(f"{FOLDERS}/{folder.pk}", company)) == (409, "built_in_folder")
        assert boss.patch(f"{FOLDERS}/{folder.pk}", {"quota_bytes": 7}).status_code == 200
    assert refusal(boss.delete(f"{FOLDERS}/{documents.pk}")) == (409, "built_in_folder")


def test_a_folder_is_deleted_when_it_is_empty(boss, company_folder, report, commits):
    SubfolderFactory(folder=company_folder)
    assert refusal(boss.delete(f"{FOLDERS}/{company_folder.pk}")) == (409, "not_empty")
    boss.delete(f"/api/files/{report.pk}")
    in_trash = boss.delete(f"{FOLDERS}/{company_folder.pk}")
    assert refusal(in_trash) == (409, "not_empty")
    assert in_trash.json()["detail"].startswith("The trash still holds files of this folder.")
    with commits():
        boss.delete(f"/api/files/trash/{report.pk}")

    assert boss.delete(f"{FOLDERS}/{company_folder.pk}").status_code == 204

    assert not Folder.objects.filter(pk=company_folder.pk).exists()
    assert not Subfolder.objects.exists()
    assert boss.delete(f"{FOLDERS}/{company_folder.pk}").status_code == 404


def test_the_log_tells_of_a_folder_that_is_gone(boss, people, company_folder):
    subfolder = SubfolderFactory(folder=company_folder, name="Minutes")
    busy = FolderFactory()
    store_file(user=people["super"], folder=busy)

    boss.delete(f"/api/fileshare/subfolders/{subfolder.pk}")
    boss.delete(f"{FOLDERS}/{company_folder.pk}")
    assert boss.delete(f"{FOLDERS}/{busy.pk}").status_code == 409

    rows = Event.objects.filter(action="folder_deleted").order_by("created_at")
    assert [(row.target_type, row.target_id, row.folder_slug, row.actor) for row in rows] == [
        ("subfolder", str(subfolder.pk), "baobab-files", people["super"]),
        ("folder", str(company_folder.pk), "baobab-files", people["super"]),
    ]
    assert [row.target_name for row in rows] == [str(subfolder), "Baobab"]


@pytest.mark.parametrize("folder_id", [NOBODYS, "no-id", "1", "%00", "a" * 300])
def test_a_folder_that_is_not_there(folder_id, boss):
    for answer in (
        boss.get(f"{FOLDERS}/{folder_id}"),
        boss.patch(f"{FOLDERS}/{folder_id}", {"name": "x"}),
        boss.delete(f"{FOLDERS}/{folder_id}"),
        boss.get(f"{FOLDERS}/{folder_id}/files"),
        boss.get(f"{FOLDERS}/{folder_id}/permissions"),
        boss.post(f"{FOLDERS}/{folder_id}/subfolders", {"name": "x"}),
    ):
        assert refusal(answer) == (404, "not_found")


def test_folders_come_in_order_and_by_pages(boss, people, documents):
    for name in ("Banana", "Apple", "Cherry"):
        FolderFactory(name=name)

    names, address = [], f"{FOLDERS}?limit=2"
    while address:
        page = boss.get(address).json()
        assert len(page["results"]) <= 2
        names += [row["name"] for row in page["results"]]
        address = page["next"]

    assert names == ["Client documents", "Apple", "Banana", "Cherry", "My files"]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "limit=-1", "limit=1.5", "offset=-1", "offset=x"])
def test_bad_pages_of_folders(query, boss):
    assert refusal(boss.get(f"{FOLDERS}?{query}")) == (400, "invalid")


# --- Subfolders ---------------------------------------------------------------------------------------


def test_a_super_makes_subfolders(boss, company_folder):
    address = f"{FOLDERS}/{company_folder.pk}/subfolders"

    first = boss.post(address, {"name": "Reports"})
    given = boss.post(address, {"name": "Reports", "slug": "mine"})
    nameless = [boss.post(address, {"name": name}) for name in ("報告", "書類")]

    assert [answer.status_code for answer in (first, given, *nameless)] == [201] * 4
    assert [answer.json()["slug"] for answer in (first, given, *nameless)] == ["reports", "mine", "folder", "folder-2"]
    assert refusal(boss.post(address, {"name": "reports"})) == (409, "slug_taken")
    assert refusal(boss.post(address, {"name": "Others", "slug": "mine"})) == (409, "slug_taken")
    assert boss.post(f"{FOLDERS}/{FolderFactory().pk}/subfolders", {"name": "R", "slug": "mine"}).status_code == 201


@pytest.mark.parametrize("facts", [{}, {"name": ""}, {"name": "x" * 201}, {"name": "a", "slug": "a b"}, {"folder": 1}])
def test_a_subfolder_that_cannot_be(facts, boss, company_folder):
    assert refusal(boss.post(f"{FOLDERS}/{company_folder.pk}/subfolders", facts)) == (400, "invalid")


def test_a_subfolder_is_deleted_when_it_is_empty(boss, people, company_folder, commits):
    subfolder = SubfolderFactory(folder=company_folder)
    file = store_file(user=people["uploader"], folder=company_folder, subfolder=subfolder)
    address = f"/api/fileshare/subfolders/{subfolder.pk}"

    assert refusal(boss.delete(address)) == (409, "not_empty")
    boss.delete(f"/api/files/{file.pk}")
    in_trash = boss.delete(address)
    assert refusal(in_trash) == (409, "not_empty")
    assert in_trash.json()["detail"].startswith("The trash still holds files of this folder.")
    with commits():
        boss.delete(f"/api/files/trash/{file.pk}")

    assert boss.delete(address).status_code == 204
    assert refusal(boss.delete(address)) == (404, "not_found")


@pytest.mark.parametrize(
    ("who", "status"), [("uploader", 403), ("colleague", 403), ("stranger", 404), ("client", 404), (None, 401)]
)
def test_nobody_else_touches_subfolders_and_grants(who, status, api_as, company_folder):
    subfolder = SubfolderFactory(folder=company_folder)
    permission = company_folder.permissions.first()
    api = api_as(who)

    assert api.post(f"{FOLDERS}/{company_folder.pk}/subfolders", {"name": "x"}).status_code == status
    assert api.delete(f"/api/fileshare/subfolders/{subfolder.pk}").status_code == status
    assert api.get(f"{FOLDERS}/{company_folder.pk}/permissions").status_code == status
    facts = {"role": "client", "permission_type": "download"}
    assert api.post(f"{FOLDERS}/{company_folder.pk}/permissions", facts).status_code == status
    assert api.delete(f"/api/fileshare/permissions/{permission.pk}").status_code == status
    assert company_folder.permissions.count() == 2


def test_files_are_listed_by_place(boss, people, company_folder):
    subfolder = SubfolderFactory(folder=company_folder)
    above = store_file(user=people["uploader"], folder=company_folder)
    below = store_file(user=people["uploader"], folder=company_folder, subfolder=subfolder)
    address = f"{FOLDERS}/{company_folder.pk}/files"

    def listed(query=""):
        return {row["id"] for row in boss.get(address + query).json()["results"]}

    assert listed() == {str(above.pk), str(below.pk)}
    assert listed("?subfolder_id=root") == {str(above.pk)}
    assert listed(f"?subfolder_id={subfolder.pk}") == {str(below.pk)}
    assert boss.get(f"{address}?subfolder_id={SubfolderFactory().pk}").status_code == 404
    assert boss.get(f"{address}?subfolder_id=no-id").status_code == 404
    assert boss.get(f"{address}?subfolder_id={'x' * 65}").status_code == 400


# --- Grants -------------------------------------------------------------------------------------------


def test_a_grant_to_a_user_is_told_to_them_and_counts_at_once(boss, people, company_folder, api_as):
    address = f"{FOLDERS}/{company_folder.pk}/permissions"
    facts = {"user_id": str(people["client"].pk), "permission_type": "download"}

    answer = boss.post(address, facts)

    assert answer.status_code == 201
    shown = answer.json()
    assert set(shown) == {"id", "user", "role", "company", "permission_type", "granted_by", "granted_at"}
    assert (shown["user"]["email"], shown["role"]) == ("client@example.org", None)
    assert shown["granted_by"]["email"] == "super@example.org"
    assert Notification.objects.get(user=people["client"]).type == "folder_granted"
    assert api_as("client").get(f"{FOLDERS}/{company_folder.pk}").json()["can_download"] is True
    assert refusal(boss.post(address, facts)) == (409, "already_granted")
    assert boss.post(address, {**facts, "permission_type": "upload"}).status_code == 201

    assert boss.delete(f"/api/fileshare/permissions/{shown['id']}").status_code == 204
    assert api_as("client").get(f"{FOLDERS}/{company_folder.pk}").json()["can_download"] is False
    assert refusal(boss.delete(f"/api/fileshare/permissions/{shown['id']}")) == (404, "not_found")
    actions = Event.objects.filter(action__startswith="permission_").order_by("created_at", "pk")
    assert sorted(actions.values_list("action", flat=True)) == [
        "permission_granted",
        "permission_granted",
        "permission_revoked",
    ]


def test_a_grant_to_a_role(boss, company_folder, api_as):
    address = f"{FOLDERS}/{company_folder.pk}/permissions"
    facts = {"role": "client", "permission_type": "download"}

    answer = boss.post(address, facts)

    assert (answer.status_code, answer.json()["role"], answer.json()["user"]) == (201, "client", None)
    assert refusal(boss.post(address, facts)) == (409, "already_granted")
    assert api_as("stranger").get(f"{FOLDERS}/{company_folder.pk}").status_code == 200
    listed = boss.get(address).json()["results"]
    assert [(row["role"], row["permission_type"]) for row in listed][-1] == ("client", "download")
    assert len(listed) == 3


def test_a_grant_to_a_company(boss, company_folder, people, api_as):
    address = f"{FOLDERS}/{company_folder.pk}/permissions"
    company = people["colleague"].company
    facts = {"company_id": str(company.pk), "permission_type": "upload"}

    answer = boss.post(address, facts)

    assert (answer.status_code, answer.json()["role"], answer.json()["user"]) == (201, None, None)
    assert answer.json()["company"] == {"id": str(company.pk), "name": "Baobab", "slug": "baobab"}
    assert refusal(boss.post(address, facts)) == (409, "already_granted")
    assert api_as("colleague").get(f"{FOLDERS}/{company_folder.pk}").json()["can_upload"] is True
    assert api_as("stranger").get(f"{FOLDERS}/{company_folder.pk}").status_code == 404
    assert Event.objects.get(action="permission_granted").detail["holder"] == "Baobab"
    assert boss.get(address).json()["results"][-1]["company"]["name"] == "Baobab"


def test_a_folder_that_goes_to_another_company_takes_back_what_the_first_was_granted(boss, people, api_as):
    made = company_folders.set_up(user=people["super"], company_id=people["colleague"].company_id, may_send=True)
    address = f"{FOLDERS}/{made.folder.pk}"
    assert api_as("colleague").get(address).json()["can_upload"] is True

    assert boss.patch(address, {"company_id": str(people["stranger"].company_id)}).status_code == 200

    assert api_as("colleague").get(address).status_code == 404
    assert not made.folder.permissions.exists()
    assert Event.objects.get(action="permission_revoked").detail["holder"] == "Baobab"
    assert boss.patch(address, {"name": "Renamed"}).status_code == 200


def test_a_company_with_grants_is_not_deleted(boss, people):
    company = CompanyFactory()
    permission = grant(FolderFactory(), "download", company=company)

    assert refusal(boss.delete(f"/api/admin/companies/{company.pk}")) == (409, "not_empty")

    assert boss.delete(f"/api/fileshare/permissions/{permission.pk}").status_code == 204
    assert boss.delete(f"/api/admin/companies/{company.pk}").status_code == 204


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"permission_type": "download"},
        {"permission_type": "download", "company_id": NOBODYS},
        {"permission_type": "download", "company_id": "no id"},
        {"permission_type": "download", "role": "client", "company_id": "{company}"},
        {"permission_type": "download", "role": "client", "user_id": "{client}"},
        {"permission_type": "download", "role": "nobody"},
        {"permission_type": "download", "user_id": NOBODYS},
        {"permission_type": "download", "user_id": "no id"},
        {"permission_type": "download", "user_id": None},
        {"permission_type": "manage", "role": "client"},
        {"permission_type": None, "role": "client"},
        {"role": "client"},
        {"permission_type": "download", "role": "client", "folder": NOBODYS},
    ],
)
def test_a_grant_that_cannot_be(facts, boss, people, company_folder):
    ids = {"client": people["client"].pk, "company": people["colleague"].company_id}
    facts = {name: value.format(**ids) if isinstance(value, str) else value for name, value in facts.items()}

    assert refusal(boss.post(f"{FOLDERS}/{company_folder.pk}/permissions", facts)) == (400, "invalid")
    assert company_folder.permissions.count() == 2


@REAL_TRANSACTIONS
def test_granted_many_times_at_once_it_is_one_grant(people, company_folder, api_as):
    apis = [api_as("super") for _ in range(6)]
    address = f"{FOLDERS}/{company_folder.pk}/permissions"
    facts = {"user_id": str(people["client"].pk), "permission_type": "download"}

    answers = at_once(6, lambda number: apis[number].post(address, facts).status_code)

    assert sorted(answers) == [201] + [409] * 5
    assert FolderPermission.objects.filter(user=people["client"]).count() == 1


# --- Personal folders ---------------------------------------------------------------------------------


@REAL_TRANSACTIONS
def test_a_personal_folder_is_made_once_however_many_ask(people, api_as):
    apis = [api_as("client") for _ in range(8)]

    answers = at_once(8, lambda number: apis[number].get(FOLDERS))

    assert [answer.status_code for answer in answers] == [200] * 8
    folder = Folder.objects.get(owner=people["client"])
    assert (folder.slug, folder.kind) == (f"u-{people['client'].pk}", "personal")
    assert {row["id"] for answer in answers for row in answer.json()["results"] if row["kind"] == "personal"} == {
        str(folder.pk)
    }


def test_a_personal_folder_is_nobody_elses(people, api_as):
    folder = folders.personal_folder(people["client"])

    for who in ("ops", "colleague", "stranger"):
        assert api_as(who).get(f"{FOLDERS}/{folder.pk}").status_code == 404
        assert api_as(who).patch(f"{FOLDERS}/{folder.pk}", {"quota_bytes": 1}).status_code == 404
    assert api_as("client").patch(f"{FOLDERS}/{folder.pk}", {"quota_bytes": 2**40}).status_code == 403
    assert api_as("client").delete(f"{FOLDERS}/{folder.pk}").status_code == 403


@REAL_TRANSACTIONS
def test_folders_of_one_name_made_at_once_get_slugs_of_their_own(people, api_as):
    apis = [api_as("super") for _ in range(4)]

    answers = at_once(4, lambda number: apis[number].post(FOLDERS, {"name": "Same"}).status_code)

    made = list(Folder.objects.filter(name="Same").values_list("slug", flat=True))
    assert set(answers) <= {201, 409}
    assert len(made) == len(set(made)) == answers.count(201) >= 1


def test_a_grant_goes_with_its_user(company_folder):
    user = UserFactory()
    grant(company_folder, "download", user=user)

    user.delete()

    assert company_folder.permissions.count() == 2
