"""A super manages roles, users and companies."""

import pytest

from accounts.contributions.actions import Action
from accounts.credentials import tokens
from accounts.models import Company, RefreshToken, Role, User
from accounts.people import roles
from audit.models import Event
from tests.factories import CompanyFactory, FolderFactory, UserFactory

pytestmark = pytest.mark.django_db
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def boss(api_as):
    return api_as("super")


# --- Roles ------------------------------------------------------------------------------------------


def test_the_built_in_roles_are_seeded(boss):
    body = boss.get("/api/admin/roles").json()

    assert [row["name"] for row in body["results"]] == ["client", "ops", "super"]
    assert set(body["results"][0]) == {"id", "name", "permissions"}


def test_a_role_is_made_changed_and_deleted(boss, people):
    made = boss.post("/api/admin/roles", {"name": "auditor", "permissions": ["view_event"]})
    assert made.status_code == 201
    assert made.json()["permissions"] == ["view_event"]
    url = f"/api/admin/roles/{made.json()['id']}"

    changed = boss.put(url, {"name": "auditors", "permissions": ["view_file", "view_event"]})
    assert changed.json() == {"id": made.json()["id"], "name": "auditors", "permissions": ["view_event", "view_file"]}
    assert boss.get(url).json() == changed.json()

    assert boss.put(url, {"name": "auditors"}).json()["permissions"] == ["view_event", "view_file"], "left as they were"
    assert boss.put(url, {"name": "auditors", "permissions": []}).json()["permissions"] == []
    assert boss.delete(url).status_code == 204
    assert boss.get(url).status_code == 404
    assert Event.objects.filter(action=Action.ROLE_CHANGED, actor=people["super"]).count() == 5


@pytest.mark.parametrize("name", ["client", "ops", "super"])
def test_a_built_in_role_keeps_its_name_and_stays(name, boss, role):
    url = f"/api/admin/roles/{role(name).pk}"

    for response in (boss.delete(url), boss.put(url, {"name": "other"})):
        assert (response.status_code, response.json()["code"]) == (409, "built_in_role")
    assert Role.objects.filter(name=name).exists()


def test_a_built_in_role_takes_other_permissions(boss, role):
    response = boss.put(f"/api/admin/roles/{role('ops').pk}", {"name": "ops", "permissions": ["view_event"]})

    assert response.json()["permissions"] == ["view_event"]


def test_a_taken_name_is_a_conflict(boss, role):
    boss.post("/api/admin/roles", {"name": "auditor"})

    again = boss.post("/api/admin/roles", {"name": "Auditor"})

    assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    assert boss.put(f"/api/admin/roles/{Role.objects.get(name='auditor').pk}", {"name": "OPS"}).status_code == 409


@pytest.mark.parametrize("permission", ["fly", "add_contenttype", "add_logentry", "add_permission", ""])
def test_an_unknown_permission_or_one_of_djangos_bookkeeping_is_refused(permission, boss):
    response = boss.post("/api/admin/roles", {"name": "auditor", "permissions": ["view_event", permission]})

    assert response.status_code == 400
    assert "permissions" in list(response.json()["errors"])[0]
    assert not Role.objects.filter(name="auditor").exists()


def test_the_permissions_a_role_may_carry(boss):
    rows = boss.get("/api/admin/permissions?limit=500").json()["results"]

    codenames = [row["codename"] for row in rows]
    assert {"add_file", "change_user", "view_event"} <= set(codenames)
    assert "add_contenttype" not in codenames
    assert codenames == sorted(codenames)


def test_a_permission_of_a_role_is_one_of_its_holders(boss, people):
    boss.post("/api/admin/roles", {"name": "auditor", "permissions": ["view_event"]})
    assert "view_event" not in roles.permission_names(people["client"])

    boss.patch(f"/api/admin/users/{people['client'].pk}", {"roles": ["client", "auditor"]})

    client = User.objects.get(pk=people["client"].pk)
    assert "view_event" in roles.permission_names(client)
    assert "add_file" not in roles.permission_names(client)
    assert roles.user_has_roles(client, "client", "auditor")
    assert not roles.user_has_roles(client, "client", "ops")
    assert roles.user_has_permissions(client, "view_event")
    assert not roles.user_has_permissions(client, "view_event", "add_file")


def test_a_super_has_every_role_and_permission_and_a_switched_off_one_none(people):
    boss = people["super"]
    assert roles.user_has_roles(boss, "ops", "whatever")
    assert "add_file" in roles.permission_names(boss)

    assert roles.user_has_permissions(boss, "add_file", "whatever")

    boss.is_active = False
    assert not roles.user_has_roles(boss, "super")
    assert not roles.user_has_permissions(boss, "add_file")


@pytest.mark.parametrize("role_id", ["0", "-1", "x", "1.5", NOBODY, "9" * 40, "%00", "%F0%9F%98%80"])
def test_an_odd_role_id_is_just_unknown(role_id, boss):
    url = f"/api/admin/roles/{role_id}"

    assert [boss.get(url).status_code, boss.put(url, {"name": "x"}).status_code, boss.delete(url).status_code] == [
        404
    ] * 3


# --- Users ------------------------------------------------------------------------------------------


def test_users_are_listed_newest_first_with_what_a_super_needs(boss, people):
    rows = boss.get("/api/admin/users").json()["results"]

    assert {row["email"] for row in rows} == {user.email for user in people.values()}
    assert set(rows[0]) == {
        *("id", "email", "name", "company", "company_id", "roles"),
        *("is_active", "is_verified", "created_at", "last_login"),
    }
    assert "password" not in str(rows)
    assert [row["created_at"] for row in rows] == sorted((row["created_at"] for row in rows), reverse=True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("STRANGER@", {"stranger@example.org"}),
        ("wanjirũ", {"client@example.org"}),
        ("%", set()),
        ("_", set()),
        ("'; DROP TABLE", set()),
        ("\x00stranger", {"stranger@example.org"}),
        ("  ", "all"),
    ],
)
def test_q_looks_in_addresses_and_names(text, found, boss, people):
    User.objects.filter(pk=people["client"].pk).update(name="wanjirũ")

    rows = boss.get("/api/admin/users", {"q": text}).json()["results"]

    assert {row["email"] for row in rows} == ({user.email for user in people.values()} if found == "all" else found)


def test_a_super_sets_roles_company_and_activity(boss, people):
    company = CompanyFactory()

    response = boss.patch(
        f"/api/admin/users/{people['client'].pk}",
        {"roles": ["client", "ops"], "company_id": str(company.pk), "is_active": False},
    )

    assert response.status_code == 200
    body = response.json()
    assert (body["roles"], body["company"]["id"], body["is_active"]) == (["client", "ops"], str(company.pk), False)
    event = Event.objects.get(action=Action.USER_CHANGED)
    assert (event.actor, event.target_id) == (people["super"], str(people["client"].pk))
    assert event.detail["after"]["roles"] == ["client", "ops"]


def test_what_is_not_named_stays(boss, people):
    colleague = people["colleague"]

    boss.patch(f"/api/admin/users/{colleague.pk}", {"roles": ["ops"]})
    boss.patch(f"/api/admin/users/{colleague.pk}", {})

    after = User.objects.get(pk=colleague.pk)
    assert (after.company_id, after.is_active, roles.role_names(after)) == (colleague.company_id, True, ["ops"])


def test_a_company_is_taken_away_by_null(boss, people):
    assert boss.patch(f"/api/admin/users/{people['colleague'].pk}", {"company_id": None}).json()["company"] is None


def test_the_role_super_and_the_superuser_flags_move_together(boss, people):
    url = f"/api/admin/users/{people['ops'].pk}"

    boss.patch(url, {"roles": ["super"]})
    user = User.objects.get(pk=people["ops"].pk)
    assert (user.is_superuser, user.is_staff) == (True, True)

    boss.patch(url, {"roles": ["ops"]})
    user = User.objects.get(pk=people["ops"].pk)
    assert (user.is_superuser, user.is_staff) == (False, False)


@pytest.mark.parametrize("change", [{"roles": ["client"]}, {"roles": []}, {"is_active": False}])
def test_the_last_super_stays_super(change, boss, people):
    response = boss.patch(f"/api/admin/users/{people['super'].pk}", change)

    assert (response.status_code, response.json()["code"]) == (409, "last_super")
    after = User.objects.get(pk=people["super"].pk)
    assert (after.is_superuser, after.is_active, roles.role_names(after)) == (True, True, ["super"])


def test_a_switched_off_super_does_not_count_as_one(boss, people):
    UserFactory(roles=["super"], is_superuser=True, is_active=False)

    assert boss.patch(f"/api/admin/users/{people['super'].pk}", {"roles": []}).status_code == 409


def test_one_of_two_supers_may_go(boss, people):
    UserFactory(roles=["super"], is_superuser=True)

    assert boss.patch(f"/api/admin/users/{people['super'].pk}", {"roles": ["ops"]}).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"roles": ["client", "captain"]},
        {"roles": "client"},
        {"roles": None},
        {"roles": [None]},
        {"company_id": NOBODY},
        {"company_id": "x"},
        {"is_active": None},
        {"is_active": "perhaps"},
        {"is_superuser": True},
        {"email": "x@example.org"},
        {"password": "nine purple trains"},
    ],
    ids=str,
)
def test_a_change_that_makes_no_sense_changes_nothing(change, boss, people):
    before = User.objects.values().get(pk=people["client"].pk)

    response = boss.patch(f"/api/admin/users/{people['client'].pk}", {"is_active": False, **change})

    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert User.objects.values().get(pk=people["client"].pk) == before
    assert roles.role_names(people["client"]) == ["client"]


def test_an_unverified_user_is_not_switched_on_by_hand(boss):
    user = UserFactory(is_active=False, email_verified_at=None)

    response = boss.patch(f"/api/admin/users/{user.pk}", {"is_active": True})

    assert (response.status_code, response.json()["code"]) == (409, "email_not_verified")
    assert not User.objects.get(pk=user.pk).is_active


def test_switching_off_ends_the_refresh_families_and_switching_on_does_not_bring_them_back(boss, people, api_as):
    refresh = tokens.open_family(people["client"])["refresh"]
    url = f"/api/admin/users/{people['client'].pk}"

    boss.patch(url, {"is_active": False})
    assert not RefreshToken.objects.filter(revoked_at=None).exists()
    boss.patch(url, {"is_active": True})

    assert api_as(None).post("/api/auth/refresh", {"refresh": refresh}).status_code == 401


# --- Companies --------------------------------------------------------------------------------------


def test_a_company_is_made_renamed_and_deleted(boss, people):
    made = boss.post("/api/admin/companies", {"name": "Café Ndovu"})
    assert made.status_code == 201
    assert made.json() == {"id": made.json()["id"], "name": "Café Ndovu", "slug": "cafe-ndovu"}
    url = f"/api/admin/companies/{made.json()['id']}"

    assert boss.patch(url, {"name": "Ndovu"}).json()["slug"] == "cafe-ndovu", "an address stays"
    assert boss.patch(url, {"slug": "ndovu"}).json() == {"id": made.json()["id"], "name": "Ndovu", "slug": "ndovu"}
    names = [row["name"] for row in boss.get("/api/admin/companies").json()["results"]]
    assert names == ["Baobab", "Ndovu", "Savanna"]

    assert boss.delete(url).status_code == 204
    assert boss.delete(url).status_code == 404
    assert Event.objects.filter(action=Action.COMPANY_CHANGED, actor=people["super"]).count() == 4


@pytest.mark.parametrize("facts", [{"name": "BAOBAB", "slug": "other"}, {"name": "Other", "slug": "baobab"}])
def test_a_taken_name_or_slug_is_a_conflict(facts, boss, people):
    company = CompanyFactory()

    for response in (
        boss.post("/api/admin/companies", facts),
        boss.patch(f"/api/admin/companies/{company.pk}", facts),
    ):
        assert (response.status_code, response.json()["code"]) == (409, "name_taken")
    assert Company.objects.count() == 3


@pytest.mark.parametrize(
    "facts",
    [{}, {"name": ""}, {"name": "!!!"}, {"name": "x" * 201}, {"name": "X", "slug": "a b"}, {"name": "X", "id": 1}],
)
def test_a_company_that_makes_no_sense_is_refused(facts, boss, people):
    assert boss.post("/api/admin/companies", facts).status_code == 400
    assert Company.objects.count() == 2


def test_a_company_with_people_or_folders_stays(boss, people):
    with_folder = CompanyFactory()
    FolderFactory(company=with_folder)

    for company in (people["colleague"].company, with_folder):
        response = boss.delete(f"/api/admin/companies/{company.pk}")
        assert (response.status_code, response.json()["code"]) == (409, "not_empty")


# --- Django's admin ---------------------------------------------------------------------------------


def test_the_admin_changes_a_user_by_the_same_operation(client, people, role):
    client.force_login(people["super"])
    user = people["ops"]

    response = client.post(
        f"/admin/accounts/user/{user.pk}/change/",
        {"name": "New Name", "company": "", "groups": [role("super").pk], "is_active": "on"},
    )

    assert response.status_code == 302
    after = User.objects.get(pk=user.pk)
    assert (after.name, after.is_superuser, after.is_staff) == ("New Name", True, True)
    assert Event.objects.filter(action=Action.USER_CHANGED).count() == 1


@pytest.mark.parametrize("fields", [{"groups": []}, {"groups": "super"}])
def test_the_admin_cannot_remove_the_last_super_either(fields, client, people, role):
    client.force_login(people["super"])
    data = {"name": "Boss", "company": "", "groups": [], "is_active": "on"}
    if fields["groups"]:
        data = {"name": "Boss", "company": "", "groups": [role("super").pk]}

    response = client.post(f"/admin/accounts/user/{people['super'].pk}/change/", data)

    assert response.status_code < 500
    after = User.objects.get(pk=people["super"].pk)
    assert (after.is_superuser, after.is_active, roles.role_names(after)) == (True, True, ["super"])


@pytest.mark.parametrize("who", ["client", "ops", "colleague"])
def test_the_admin_is_closed_to_everybody_else(who, client, people):
    client.force_login(people[who])

    response = client.get("/admin/", follow=True)

    assert response.redirect_chain[-1][0] == "/"


@pytest.mark.parametrize("path", ["accounts/user/", "accounts/role/", "accounts/company/", "audit/event/", ""])
def test_the_admins_lists_open(path, client, people):
    client.force_login(people["super"])

    assert client.get(f"/admin/{path}").status_code == 200
