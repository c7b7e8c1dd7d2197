"""Companies, roles and users in the admin: it uses the portal's operations, and only supers may open it."""

import json
from datetime import timedelta

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.contributions.actions import Action
from accounts.credentials import api_tokens
from accounts.models import Company, Notification, Role, User
from accounts.people import companies, invitations, roles
from accounts.privacy import subject_rights
from audit.models import Event
from config.errors import Refused
from fileshare import folders, holds
from fileshare.contributions.actions import Action as FileAction
from fileshare.models import Folder
from tests.accounts.notices.letters import token_in
from tests.accounts.test_races import at_once
from tests.factories import CompanyFactory, FolderFactory, UserFactory, grant, proved

pytestmark = pytest.mark.django_db
NOBODY = "00000000-0000-4000-8000-000000000000"
PASSWORD = "nine purple trains"
USERS, ROLES, COMPANIES = "/admin/accounts/user/", "/admin/accounts/role/", "/admin/accounts/company/"


@pytest.fixture
def admin(client, people):
    client.force_login(people["super"])
    return client


@pytest.fixture
def form_of(role):
    """form_of(user, name=…) is the form data of a user's page."""

    def facts(user, **changes):
        groups = [group.pk for group in user.groups.all()]
        data = {"name": user.name, "company": user.company_id or "", "groups": groups, **changes}
        return data if changes.get("is_active") == "" else {"is_active": "on", **data}

    return facts


def fresh(user):
    return User.objects.get(pk=user.pk)


def errors_of(response):
    return response.context["adminform"].form.errors


def texts(response):
    """The messages on the page that an answer leads to."""
    return [str(message) for message in response.context["messages"]]


def act(client, action, users, **more):
    return client.post(USERS, {"action": action, "_selected_action": [user.pk for user in users], **more}, follow=True)


# --- Who gets in ------------------------------------------------------------------------------------


@pytest.fixture
def staff(people):
    """A staff user with every permission but without the role super. The portal itself never makes one."""
    user = people["ops"]
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    return fresh(user)


@pytest.mark.parametrize("where", ["", "add/", "{pk}/change/", "{pk}/delete/", "{pk}/history/"])
@pytest.mark.parametrize("model", ["user", "role", "company"])
def test_staff_with_every_permission_but_not_super_see_nobody(model, where, client, staff, people, role):
    rows = {"user": people["client"], "role": role("ops"), "company": people["colleague"].company}
    client.force_login(staff)

    assert client.get(f"/admin/accounts/{model}/{where.format(pk=rows[model].pk)}").status_code == 403


@pytest.mark.parametrize("model", ["folder", "file", "upload"])
def test_nor_do_they_see_what_people_store(model, client, staff):
    client.force_login(staff)

    assert client.get(f"/admin/fileshare/{model}/").status_code == 403


def test_staff_cannot_raise_themselves_or_anybody(client, staff, people, role, form_of):
    client.force_login(staff)
    super_role = role("super").pk

    answers = [
        client.post(f"{USERS}{staff.pk}/change/", form_of(staff, groups=[super_role])),
        client.post(f"{USERS}{people['client'].pk}/change/", form_of(people["client"], groups=[super_role])),
        client.post(f"{USERS}add/", {"email": "new@example.org", "name": "New", "groups": [super_role]}),
        client.post(f"{ROLES}{role('ops').pk}/change/", {"name": "ops", "permissions": []}),
        client.post(USERS, {"action": "switch_off", "_selected_action": [people["super"].pk]}),
    ]

    assert [answer.status_code for answer in answers] == [403] * 5
    assert list(User.objects.filter(is_superuser=True)) == [people["super"]]
    assert fresh(people["super"]).is_active


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", "users/{user}", {"roles": ["super"]}),
        ("post", "roles", {"name": "new"}),
        ("put", "roles/{role}", {"name": "ops", "permissions": []}),
        ("delete", "roles/{role}", {}),
        ("post", "companies", {"name": "New"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_api_lets_no_staff_manage_people_either(method, path, body, api_as, staff, role):
    call = getattr(api_as(staff), method)

    response = call("/api/admin/" + path.format(user=staff.pk, role=role("ops").pk), body)

    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    assert not fresh(staff).is_superuser


@pytest.mark.parametrize("by", ["ops", "client", "off"])
def test_the_operations_ask_for_themselves(by, people, role):
    who = {"by": people[by]}
    calls = [
        lambda: roles.change_user(**who, user_id=people["client"].pk, roles=["super"]),
        lambda: roles.save_role(**who, name="new"),
        lambda: roles.delete_role(**who, role_id=Role.objects.create(name="old").pk),
        lambda: invitations.invite(**who, email="new@example.org", name="New", roles=["super"]),
    ]

    for call in calls:
        with pytest.raises(PermissionDenied):
            call()
    assert User.objects.filter(is_superuser=True).count() == 1


def test_a_super_demoted_meanwhile_changes_nobody_any_more(people):
    """The session or token of a request may still hold the super's state from before the change."""
    as_they_were = UserFactory(roles=["super"], is_superuser=True)
    roles.change_user(by=people["super"], user_id=as_they_were.pk, roles=["ops"])

    with pytest.raises(PermissionDenied):
        roles.change_user(by=as_they_were, user_id=people["client"].pk, roles=["super"])
    assert not fresh(people["client"]).is_superuser


def test_a_role_gives_its_permissions_and_no_way_into_the_admin(boss_role, people, client):
    user = people["client"]
    roles.change_user(by=people["super"], user_id=user.pk, roles=[boss_role.name])

    after = fresh(user)
    assert roles.permission_names(after) == ["change_user", "view_user"]
    assert (after.is_staff, after.is_superuser) == (False, False)
    client.force_login(after)
    assert client.get(USERS).status_code == 302


@pytest.fixture
def boss_role():
    role = Role.objects.create(name="boss")
    role.permissions.set(roles.permissions().filter(codename__in=["change_user", "view_user"]))
    return role


# --- Users ------------------------------------------------------------------------------------------


def test_a_change_is_recorded_with_what_was_before(admin, people, form_of, role):
    user, company = people["client"], CompanyFactory()
    groups = [role("ops").pk]

    response = admin.post(f"{USERS}{user.pk}/change/", form_of(user, name="Amina", company=company.pk, groups=groups))

    assert response.status_code == 302
    event = Event.objects.get(action=Action.USER_CHANGED)
    assert event.actor == people["super"]
    assert event.detail["before"]["roles"] == ["client"]
    assert event.detail["after"] == {"name": "Amina", "roles": ["ops"], "company": str(company.pk), "is_active": True}


def test_a_page_that_changed_nothing_is_recorded_as_nothing(admin, people, form_of):
    admin.post(f"{USERS}{people['colleague'].pk}/change/", form_of(people["colleague"]))

    assert not Event.objects.filter(action=Action.USER_CHANGED).exists()
    assert roles.role_names(people["colleague"]) == ["client"]


def test_only_a_super_role_makes_staff(admin, people, form_of):
    user = people["client"]
    extra = {"is_staff": "on", "is_superuser": "on", "user_permissions": [1], "email": "x@example.org"}

    admin.post(f"{USERS}{user.pk}/change/", form_of(user, name="New", **extra))

    after = fresh(user)
    assert (after.name, after.is_staff, after.is_superuser) == ("New", False, False)
    assert (after.email, after.user_permissions.count()) == (user.email, 0)


@pytest.mark.parametrize("change", ["role", "switch"])
def test_the_last_super_reads_why_they_stay(change, admin, people, form_of):
    user = people["super"]
    data = form_of(user, groups=[]) if change == "role" else form_of(user, is_active="")

    response = admin.post(f"{USERS}{user.pk}/change/", {**data, "no_super": "on"})

    assert response.status_code == 200
    assert errors_of(response)["__all__"] == ["Somebody active has to stay super."]
    after = fresh(user)
    assert (after.is_superuser, after.is_active, roles.role_names(after)) == (True, True, ["super"])


def test_giving_up_the_administration_takes_a_tick(admin, people, form_of):
    UserFactory(roles=["super"], is_superuser=True)
    user = people["super"]

    refused = admin.post(f"{USERS}{user.pk}/change/", form_of(user, groups=[]))
    assert "groups" in errors_of(refused)
    assert fresh(user).is_superuser

    admin.post(f"{USERS}{user.pk}/change/", form_of(user, groups=[], no_super="on"))
    assert not fresh(user).is_superuser


def test_an_unverified_account_is_not_switched_on_and_the_page_says_so(admin, form_of):
    user = UserFactory(is_active=False, email_verified_at=None)

    response = admin.post(f"{USERS}{user.pk}/change/", form_of(user))

    assert "not verified" in str(errors_of(response))
    assert not fresh(user).is_active


@pytest.mark.parametrize(
    "change",
    [
        {"groups": [999_999]},
        {"groups": ["x"]},
        {"company": NOBODY},
        {"name": ""},
        {"name": "x" * 151},
        {"name": "see www.example.org"},
        {"name": "a\u202eb"},
    ],
    ids=ascii,
)
def test_a_form_that_makes_no_sense_is_told_by_field(change, admin, people, form_of):
    user = people["client"]
    before = User.objects.values().get(pk=user.pk)

    response = admin.post(f"{USERS}{user.pk}/change/", form_of(user, **change))

    assert response.status_code == 200
    assert errors_of(response).keys() == change.keys()
    assert User.objects.values().get(pk=user.pk) == before
    assert not Event.objects.filter(action=Action.USER_CHANGED).exists()


@pytest.mark.parametrize("where", ["add/", "{pk}/change/"])
def test_an_odd_company_id_is_the_clients_mistake(where, admin, people, form_of):
    user = people["client"]
    data = {**form_of(user, company="x"), "email": "new@example.org"}

    assert admin.post(USERS + where.format(pk=user.pk), data).status_code == 400
    assert User.objects.count() == len(people)
    assert fresh(user).company is None


@pytest.mark.parametrize("pk", [NOBODY, "x", "1", "%00", "9" * 40])
def test_an_odd_id_leads_back(pk, admin):
    for page in ("change/", "delete/", "history/"):
        assert admin.get(f"{USERS}{pk}/{page}").status_code == 302


def test_somebody_who_did_things_is_not_deleted(admin, people):
    assert admin.get(f"{USERS}{people['client'].pk}/delete/").status_code == 403
    assert admin.post(f"{USERS}{people['client'].pk}/delete/", {"post": "yes"}).status_code == 403
    act(admin, "delete_selected", [people["client"]], post="yes")
    assert fresh(people["client"])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=STRANGER@", {"stranger"}),
        ("q=%25", set()),
        ("state=off", {"off"}),
        ("state=active&groups__id__exact={client}", {"colleague", "client", "stranger"}),
        ("company__id__exact={company}", {"colleague", "off"}),
        ("files=yes", {"uploader"}),
        ("state=invited", {"invited"}),
        ("state=unverified", {"unverified"}),
        ("state=nonsense&files=nonsense", "all"),
    ],
)
def test_people_are_found(query, found, admin, people, report, role):
    others = {
        "invited": UserFactory(email="invited@example.org", password=None, is_active=False, email_verified_at=None),
        "unverified": UserFactory(email="unverified@example.org", is_active=False, email_verified_at=None),
    }
    everybody = {**people, **others}
    query = query.format(client=role("client").pk, company=people["colleague"].company_id)

    response = admin.get(f"{USERS}?{query}")

    shown = {user.email for user in response.context["cl"].result_list}
    assert shown == {everybody[who].email for who in (everybody if found == "all" else found)}


def test_the_page_of_a_user_shows_grants_and_space_and_leads_to_the_quota(admin, people, company_folder):
    user = people["uploader"]
    personal = folders.personal_folder(user)

    page = admin.get(f"{USERS}{user.pk}/change/").content.decode()

    assert "Download: " in page
    for folder in (company_folder, personal):
        assert reverse("admin:fileshare_folder_change", args=[folder.pk]) in page
    assert "Change the quota" in page


def test_a_quota_is_changed_by_the_operation(admin, people):
    folder = folders.personal_folder(people["client"])
    data = {
        "name": folder.name,
        "slug": folder.slug,
        "type_policy": "general",
        "quota_bytes": "12345",
        **{f"{name}-{kind}_FORMS": 0 for name in ("subfolders", "permissions") for kind in ("TOTAL", "INITIAL")},
    }

    response = admin.post(f"/admin/fileshare/folder/{folder.pk}/change/", data)

    assert response.status_code == 302, errors_of(response)
    assert Folder.objects.get(pk=folder.pk).quota_bytes == 12345
    assert Event.objects.filter(action=FileAction.FOLDER_CHANGED, actor=people["super"]).exists()


def test_a_name_with_markup_stays_text(admin, people, company_folder):
    evil = "<script>alert(1)</script>"
    User.objects.filter(pk=people["colleague"].pk).update(name=evil)
    Company.objects.filter(pk=company_folder.company_id).update(name=evil)
    Folder.objects.filter(pk=company_folder.pk).update(name=evil)
    paths = [
        *(USERS, ROLES, COMPANIES, f"{COMPANIES}{company_folder.company_id}/change/"),
        f"{USERS}{people['uploader'].pk}/change/",
    ]

    for path in paths:
        assert evil not in admin.get(path).content.decode()


# --- Several at once --------------------------------------------------------------------------------


def test_several_get_a_company(admin, people):
    users, company = [people["client"], people["stranger"]], CompanyFactory()

    asked = act(admin, "set_company", users)
    assert "Set the company" in asked.content.decode()
    assert not Event.objects.filter(action=Action.USER_CHANGED).exists()
    act(admin, "set_company", users, apply="1", company=company.pk)

    assert [fresh(user).company for user in users] == [company] * 2
    assert Event.objects.filter(action=Action.USER_CHANGED, actor=people["super"]).count() == 2

    act(admin, "set_company", users, apply="1", company="")
    assert [fresh(user).company for user in users] == [None] * 2


def test_several_get_a_role_besides_theirs(admin, people, role):
    act(admin, "add_role", [people["client"], people["ops"]], apply="1", role=role("ops").pk)

    assert roles.role_names(fresh(people["client"])) == ["client", "ops"]
    assert roles.role_names(fresh(people["ops"])) == ["ops"]


@pytest.mark.parametrize("answer", [{"role": "999999"}, {"role": "x"}, {"role": ""}, {}], ids=str)
def test_a_choice_that_is_none_is_asked_for_again(answer, admin, people):
    response = act(admin, "add_role", [people["client"]], apply="1", **answer)

    assert response.context["form"].errors
    assert not Event.objects.filter(action=Action.USER_CHANGED).exists()


def test_switching_off_many_tells_whom_it_left(admin, people):
    response = act(admin, "switch_off", [people["client"], people["super"], people["ops"]])

    changed, left = texts(response)
    assert changed == "2 accounts were changed."
    assert "super@example.org" in left
    assert [fresh(people[who]).is_active for who in ("client", "ops", "super")] == [False, False, True]


def test_switching_on_many_refuses_the_unverified_alone(admin, people):
    unverified = UserFactory(email="unverified@example.org", is_active=False, email_verified_at=None)

    response = act(admin, "switch_on", [people["off"], unverified])

    assert fresh(people["off"]).is_active
    assert not fresh(unverified).is_active
    assert "unverified@example.org: The address is not verified yet" in texts(response)[1]


@pytest.mark.parametrize("ids", [[NOBODY], ["x"], ["%00", "\x00"], [NOBODY] * 600], ids=["none", "x", "nul", "many"])
def test_actions_on_odd_ids_change_nobody(ids, admin, people):
    response = admin.post(USERS, {"action": "switch_off", "_selected_action": ids})

    assert response.status_code < 500
    assert User.objects.filter(is_active=False).count() == 1


def test_more_than_a_page_of_people_at_once_is_refused_whole(admin, monkeypatch, people):
    monkeypatch.setattr("config.admin.actions.MOST_AT_ONCE", 2)

    response = act(admin, "switch_off", [people["client"], people["ops"], people["colleague"]])

    assert texts(response) == ["At most 2 at once. Nothing was changed."]
    assert User.objects.filter(is_active=False).count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_supers_who_switch_each_other_off_leave_one():
    supers = [UserFactory(roles=["super"], is_superuser=True, is_staff=True) for _n in range(2)]
    browsers = [Client(), Client()]
    for browser, user in zip(browsers, supers, strict=True):
        browser.force_login(user)

    def switch_off(browser, user):
        return lambda: browser.post(USERS, {"action": "switch_off", "_selected_action": [user.pk]}).status_code

    try:
        answers = at_once(switch_off(browsers[0], supers[1]), switch_off(browsers[1], supers[0]))
    finally:
        connections.close_all()

    assert max(answers) < 500
    assert User.objects.filter(is_superuser=True, is_active=True).count() == 1


# --- Invitations ------------------------------------------------------------------------------------


@pytest.fixture
def invited(admin, people, role):
    """A user who has just been invited as ops of a company."""
    company = people["colleague"].company
    data = {"email": "Amina@Example.org ", "name": "Amina", "groups": [role("ops").pk], "company": company.pk}
    response = admin.post(f"{USERS}add/", data)
    assert response.status_code == 302, errors_of(response)
    return User.objects.get(email="amina@example.org")


@pytest.fixture
def token(invited, outbox):
    (message,) = outbox()
    assert message.to == ["amina@example.org"]
    return token_in(message)


def accept(token, password=PASSWORD):
    return Client().post("/invitation", {"token": token, "new_password": password})


def test_an_invited_person_chooses_a_password_and_is_in(token, invited, api_as):
    assert (invited.is_active, invited.is_verified, invited.has_usable_password()) == (False, False, False)
    browser = Client()
    assert browser.get("/invitation", {"token": token}).status_code == 200

    answer = browser.post("/invitation", {"token": token, "new_password": PASSWORD}, follow=True)

    assert answer.redirect_chain == [("/", 302)]
    assert answer.context["user"] == invited
    assert texts(answer) == ["Your account is ready."]
    assert Event.objects.filter(action=Action.LOGIN, actor=invited).exists()
    user = fresh(invited)
    assert (user.is_active, user.is_verified, roles.role_names(user), user.is_staff) == (True, True, ["ops"], False)
    answer = api_as(None).post("/api/auth/login", {"email": user.email, "password": PASSWORD})
    assert answer.status_code == 200
    assert Event.objects.filter(action=Action.EMAIL_VERIFIED, actor=user).exists()


def test_an_invitation_is_recorded(invited, people):
    event = Event.objects.get(action=Action.USER_CHANGED)

    assert (event.actor, event.target_name) == (people["super"], "amina@example.org")
    assert event.detail["invited"] is True
    assert event.detail["after"]["roles"] == ["ops"]


def test_a_link_is_good_once_and_for_seven_days(token):
    with time_machine.travel(timezone.now() + timedelta(days=7, minutes=1)):
        assert accept(token).status_code == 410
    assert accept(token, "short").status_code == 400
    assert accept(token).status_code == 302
    assert accept(token, "ten yellow planes").status_code == 410


@pytest.mark.parametrize("token", ["", "nonsense", "\x00", "x" * 3000])
def test_a_forged_link_opens_nothing(token):
    assert Client().get("/invitation", {"token": token}).status_code == 400
    assert accept(token).status_code == 400


@pytest.mark.parametrize("path", ["/verify-email", "/reset-password"])
def test_a_link_opens_no_other_page(path, token, invited):
    assert Client().post(path, {"token": token, "new_password": PASSWORD}).status_code == 400
    assert not fresh(invited).is_active


def test_an_invitation_sent_again_makes_the_first_stale(token, invited, admin, outbox):
    act(admin, "invite_again", [invited])

    assert accept(token).status_code == 410
    assert accept(token_in(outbox()[-1])).status_code == 302


def test_only_the_invited_are_invited_again(admin, people, outbox):
    response = act(admin, "invite_again", [people["client"]])

    assert "client@example.org" in texts(response)[0]
    assert outbox() == []


def test_a_sign_up_to_an_invited_address_changes_nothing_and_mails_the_invitation(invited, outbox, anybody_signs_up):
    """Otherwise a stranger who knows the address could set the password of a future ops user or super."""
    before = User.objects.values("password", "name").get(pk=invited.pk)

    assert anybody_signs_up("amina@example.org").status_code == 201

    assert User.objects.values("password", "name").get(pk=invited.pk) == before
    assert roles.role_names(invited) == ["ops"]
    assert [message.subject for message in outbox()] == [outbox()[0].subject] * 2


@pytest.fixture
def anybody_signs_up(api_as):
    body = {"password": "stolen green boats", "name": "Mallory"}
    return lambda email: api_as(None).post("/api/auth/signup", {"email": email, **body})


def test_a_sign_up_nobody_confirmed_keeps_nobody_from_being_invited(people, role, outbox, anybody_signs_up):
    anybody_signs_up("amina@example.org")
    stale = token_in(outbox()[-1])

    user = invitations.invite(by=people["super"], email="amina@example.org", name="Amina", roles=["ops"])

    assert (user.is_invited, roles.role_names(user)) == (True, ["ops"])
    assert Client().post("/verify-email", {"token": stale}).status_code == 410
    assert accept(token_in(outbox()[-1])).status_code == 302
    assert not fresh(user).check_password("stolen green boats")


def test_an_invitation_is_withdrawn(token, invited, admin):
    assert admin.post(f"{USERS}{invited.pk}/delete/", {"post": "yes"}).status_code == 302

    assert not User.objects.filter(pk=invited.pk).exists()
    assert accept(token).status_code == 400
    assert Event.objects.filter(action=Action.USER_CHANGED, detail__withdrawn=True).exists()


def test_an_invitation_under_a_legal_hold_is_not_withdrawn(invited, people):
    holds.place(by=people["super"], reason="Case 12", user_id=invited.pk)

    with pytest.raises(Refused) as refused:
        invitations.withdraw(by=people["super"], user_id=invited.pk)

    assert (refused.value.status, refused.value.code) == (409, "legal_hold")
    assert User.objects.filter(pk=invited.pk).exists()


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"email": "client@example.org"}, "email"),
        ({"email": "CLIENT@example.org"}, "email"),
        ({"email": "not an address"}, "email"),
        ({"email": "a@example.org\nBcc: b@example.org"}, "email"),
        ({"name": ""}, "name"),
        ({"name": "look at http://example.org"}, "name"),
        ({"groups": [999_999]}, "groups"),
        ({"company": NOBODY}, "company"),
    ],
    ids=ascii,
)
def test_an_invitation_that_makes_no_sense_is_told_by_field(facts, field, admin, people, outbox):
    response = admin.post(f"{USERS}add/", {"email": "new@example.org", "name": "New", **facts})

    assert response.status_code == 200
    assert list(errors_of(response)) == [field]
    assert User.objects.count() == len(people)
    assert outbox() == []


def test_an_invited_super_counts_as_one_only_after_accepting(admin, people, role, form_of):
    admin.post(f"{USERS}add/", {"email": "new@example.org", "name": "New", "groups": [role("super").pk]})
    invited = User.objects.get(email="new@example.org")
    assert (invited.is_superuser, invited.is_staff, invited.is_active) == (True, True, False)

    with pytest.raises(Refused, match="last_super"):
        roles.change_user(by=people["super"], user_id=people["super"].pk, roles=[])


@pytest.mark.django_db(transaction=True)
def test_two_invitations_of_one_address_make_one_account():
    boss = UserFactory(roles=["super"], is_superuser=True)
    call = {"by": boss, "email": "amina@example.org", "name": "Amina", "roles": ["ops"]}

    answers = at_once(*[lambda: invitations.invite(**call)] * 2)

    assert sorted(type(answer).__name__ for answer in answers) == ["AddressTaken", "User"]


# --- Roles ------------------------------------------------------------------------------------------


def permission_ids(*codenames):
    return list(roles.permissions().filter(codename__in=codenames).values_list("pk", flat=True))


def test_a_role_is_made_changed_and_deleted_by_the_operations(admin, people):
    admin.post(f"{ROLES}add/", {"name": "auditor", "permissions": permission_ids("view_event")})
    role = Role.objects.get(name="auditor")
    url = f"{ROLES}{role.pk}/"
    admin.post(f"{url}change/", {"name": "auditors", "permissions": permission_ids("view_event", "view_file")})

    role.refresh_from_db()
    assert role.name == "auditors"
    assert sorted(role.permissions.values_list("codename", flat=True)) == ["view_event", "view_file"]

    admin.post(f"{url}delete/", {"post": "yes"})
    assert not Role.objects.filter(pk=role.pk).exists()
    assert Event.objects.filter(action=Action.ROLE_CHANGED, actor=people["super"]).count() == 3


def test_a_built_in_role_keeps_its_name_and_stays_here_too(admin, role):
    ops = role("ops")

    admin.post(f"{ROLES}{ops.pk}/change/", {"name": "other", "permissions": permission_ids("view_event")})
    assert admin.post(f"{ROLES}{ops.pk}/delete/", {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [ops.pk], "post": "yes"}
    assert admin.post(ROLES, data).status_code < 500

    ops.refresh_from_db()
    assert ops.name == "ops"
    assert [permission.codename for permission in ops.permissions.all()] == ["view_event"]


def test_a_taken_role_name_is_told_beside_the_form(admin):
    Role.objects.create(name="auditor")

    for name in ("auditor", "AUDITOR", "Ops"):
        response = admin.post(f"{ROLES}add/", {"name": name})
        assert response.status_code == 200
        assert errors_of(response)
    assert Role.objects.count() == 4


def test_a_role_carries_none_of_djangos_bookkeeping(admin):
    foreign = Permission.objects.exclude(pk__in=roles.permissions()).first()

    response = admin.post(f"{ROLES}add/", {"name": "auditor", "permissions": [foreign.pk]})

    assert "permissions" in errors_of(response)
    assert not Role.objects.filter(name="auditor").exists()


def test_several_roles_go_together_and_each_is_recorded(admin):
    made = [Role.objects.create(name=f"role {number}") for number in range(2)]

    admin.post(ROLES, {"action": "delete_selected", "_selected_action": [role.pk for role in made], "post": "yes"})

    assert Role.objects.count() == 3
    assert Event.objects.filter(action=Action.ROLE_CHANGED).count() == 2


# --- Companies --------------------------------------------------------------------------------------


def test_a_company_is_made_changed_and_deleted_by_the_operations(admin, people):
    admin.post(f"{COMPANIES}add/", {"name": "Café Ndovu", "slug": ""})
    company = Company.objects.get(slug="cafe-ndovu")
    url = f"{COMPANIES}{company.pk}/"
    admin.post(f"{url}change/", {"name": "Ndovu", "slug": "ndovu"})

    company.refresh_from_db()
    assert (company.name, company.slug) == ("Ndovu", "ndovu")

    admin.post(f"{url}delete/", {"post": "yes"})
    assert not Company.objects.filter(pk=company.pk).exists()
    assert Event.objects.filter(action=Action.COMPANY_CHANGED, actor=people["super"]).count() == 3


def test_the_log_says_what_a_company_was_called_before_and_after(people):
    company = companies.save_company(by=people["super"], name="Café Ndovu")
    companies.save_company(by=people["super"], company_id=company.pk, name="Ndovu")
    companies.delete_company(by=people["super"], company_id=company.pk)

    details = [event.detail for event in Event.objects.filter(action=Action.COMPANY_CHANGED).order_by("created_at")]
    first, second = {"name": "Café Ndovu", "slug": "cafe-ndovu"}, {"name": "Ndovu", "slug": "cafe-ndovu"}
    assert details == [
        {"before": {}, "after": first},
        {"before": first, "after": second},
        {"before": second, "deleted": True},
    ]


def test_a_company_with_people_or_folders_stays_and_the_page_says_why(admin, people):
    company = people["colleague"].company

    response = admin.post(f"{COMPANIES}{company.pk}/delete/", {"post": "yes"}, follow=True)

    assert texts(response) == ["The company still has people, folders or permissions."]
    assert Company.objects.filter(pk=company.pk).exists()
    assert fresh(people["colleague"]).company == company


def test_several_companies_are_deleted_all_or_none(admin, people):
    empty, full = CompanyFactory(), people["colleague"].company
    data = {"action": "delete_selected", "_selected_action": [empty.pk, full.pk], "post": "yes"}

    response = admin.post(COMPANIES, data, follow=True)

    (text,) = texts(response)
    assert "Baobab" in text
    assert "Nothing was deleted." in text
    assert Company.objects.filter(pk__in=[empty.pk, full.pk]).count() == 2
    assert not Event.objects.filter(action=Action.COMPANY_CHANGED).exists()

    admin.post(COMPANIES, {**data, "_selected_action": [empty.pk]})
    assert not Company.objects.filter(pk=empty.pk).exists()


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "BAOBAB", "slug": "new"},
        {"name": "New", "slug": "baobab"},
        {"name": ""},
        {"name": "!!!"},
        {"name": "New", "slug": "a b"},
    ],
    ids=str,
)
def test_a_company_that_cannot_be_is_told_beside_the_form(facts, admin, people):
    response = admin.post(f"{COMPANIES}add/", facts)

    assert response.status_code == 200
    assert errors_of(response)
    assert Company.objects.count() == 2


def test_the_page_of_a_company_shows_its_people_and_folders(admin, people, company_folder):
    page = admin.get(f"{COMPANIES}{company_folder.company_id}/change/").content.decode()

    assert reverse("admin:accounts_user_change", args=[people["colleague"].pk]) in page
    assert reverse("admin:fileshare_folder_change", args=[company_folder.pk]) in page
    assert "stranger@example.org" not in page


@pytest.mark.django_db(transaction=True)
def test_a_company_deleted_while_somebody_joins_it_is_either_gone_or_kept():
    boss, user = UserFactory(roles=["super"], is_superuser=True), UserFactory()
    company = CompanyFactory()

    at_once(
        lambda: companies.delete_company(by=boss, company_id=company.pk),
        lambda: roles.change_user(by=boss, user_id=user.pk, company_id=company.pk),
    )

    kept = Company.objects.filter(pk=company.pk).exists()
    assert fresh(user).company_id == (company.pk if kept else None)


# --- Cost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["users", "roles", "companies", "user", "role", "company", "add", "choose"])
def test_a_page_costs_the_same_queries_however_many_there_are(where, admin, people, company_folder, role):
    company = company_folder.company
    paths = {
        "users": USERS,
        "roles": ROLES,
        "companies": COMPANIES,
        "user": f"{USERS}{people['uploader'].pk}/change/",
        "role": f"{ROLES}{role('ops').pk}/change/",
        "company": f"{COMPANIES}{company.pk}/change/",
        "add": f"{USERS}add/",
    }

    def more():
        for _number in range(6):
            user = UserFactory(company=company, roles=["ops", "client"])
            folders.personal_folder(user)
            folder = FolderFactory(company=company)
            grant(folder, "download", user=people["uploader"])
            grant(folder, "download", role=role("ops"))
            CompanyFactory()
            extra = Role.objects.create(name=f"role {user.pk}")
            extra.permissions.set(permission_ids("view_file", "view_event"))
            user.groups.add(extra)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            if where == "choose":
                everybody = list(User.objects.values_list("pk", flat=True))
                answer = admin.post(USERS, {"action": "set_company", "_selected_action": everybody})
            else:
                answer = admin.get(paths[where])
        assert answer.status_code == 200
        return [query["sql"] for query in captured]

    more()
    queries()
    few = queries()
    more()
    more()
    many = queries()

    assert len(many) == len(few), "\n".join(many)
    assert len(few) <= 16


def test_long_lists_are_cut_and_lead_on(admin, people):
    company = people["colleague"].company
    for _number in range(25):
        UserFactory(company=company)

    page = admin.get(f"{COMPANIES}{company.pk}/change/").content.decode()

    assert page.count("/admin/accounts/user/") < 30
    assert f"/admin/accounts/user/?company__id__exact={company.pk}" in page


# --- Django's own pages that could bypass the operations --------------------------------------------


def test_the_admin_has_no_page_of_its_own_for_passwords(admin, people):
    before = fresh(people["super"]).password

    response = admin.post("/admin/password_change/", {"old_password": "x", "new_password1": "y", "new_password2": "y"})

    assert response["Location"] == "/profile/security"
    assert fresh(people["super"]).password == before


def test_logging_out_of_the_admin_is_recorded(admin, people):
    admin.post("/admin/logout/")

    assert Event.objects.filter(action=Action.LOGOUT, actor=people["super"]).exists()
    assert admin.get("/admin/").status_code == 302


# --- Deleted roles ----------------------------------------------------------------------------------


def test_a_role_that_goes_is_told_to_its_holders_and_stands_in_the_log(people):
    boss = people["super"]
    role = roles.save_role(by=boss, name="auditor", permissions=["view_event"])
    roles.change_user(by=boss, user_id=people["client"].pk, add_roles=["auditor"])
    roles.save_role(by=boss, role_id=role.pk, name="examiner", requires_second_factor=True)

    roles.delete_role(by=boss, role_id=role.pk)

    made, renamed, deleted = Event.objects.filter(action=Action.ROLE_CHANGED).order_by("created_at")
    assert made.detail["before"] == {}
    assert (renamed.detail["before"]["name"], renamed.detail["after"]["name"]) == ("auditor", "examiner")
    assert deleted.detail == {"before": renamed.detail["after"], "holders": 1, "deleted": True}
    notice = Notification.objects.filter(user=people["client"], type="account_changed").latest("created_at")
    assert notice.payload["roles_removed"] == ["examiner"]


def test_a_role_that_folders_are_open_to_stays(people, company_folder):
    role = roles.save_role(by=people["super"], name="auditor")
    given = grant(company_folder, "download", role=role)

    with pytest.raises(Refused) as refused:
        roles.delete_role(by=people["super"], role_id=role.pk)

    assert (refused.value.status, refused.value.code) == (409, "not_empty")
    given.delete()
    roles.delete_role(by=people["super"], role_id=role.pk)


def test_what_changes_nothing_is_recorded_as_nothing_by_the_api_too(people, api_as):
    before = fresh(people["client"]).updated_at

    answer = api_as("super").patch(f"/api/admin/users/{people['client'].pk}", {"roles": ["client"]})

    assert answer.status_code == 200
    assert fresh(people["client"]).updated_at == before
    assert not Event.objects.filter(action=Action.USER_CHANGED).exists()


def test_tokens_a_super_ended_are_not_told_as_their_owners_doing(people):
    later = timezone.now() + timedelta(days=1)
    api_tokens.create(user=people["client"], name="nightly", scopes=["files:read"], expires_at=later)

    roles.change_user(by=people["super"], user_id=people["client"].pk, is_active=False)

    assert Event.objects.get(action=Action.API_TOKEN_REVOKED).actor == people["super"]


# --- Copying and erasing a user's data --------------------------------------------------------------

WHY = "Letter of 3 May, known by passport"


@pytest.fixture
def proved_admin(admin, people):
    proved(admin, people["super"])
    return admin


def test_a_copy_of_their_data_is_asked_for_with_a_reason(proved_admin, people):
    asked = act(proved_admin, "copy_data", [people["client"]])
    assert "It stands in the audit log" in asked.content.decode()
    assert not Event.objects.filter(action=Action.DATA_EXPORTED).exists()

    copy = act(proved_admin, "copy_data", [people["client"]], apply="1", reason=WHY)

    assert json.loads(b"".join(copy.streaming_content))["account"]["email"] == "client@example.org"
    assert Event.objects.get(action=Action.DATA_EXPORTED).detail == {"reason": WHY, "on_behalf": True}


def test_an_account_is_erased_with_a_reason(proved_admin, people):
    act(proved_admin, "erase", [people["client"]], apply="1", reason=" ")
    assert fresh(people["client"]).closed_at is None

    act(proved_admin, "erase", [people["client"]], apply="1", reason=WHY)

    assert fresh(people["client"]).closed_at is not None
    assert Event.objects.get(action=Action.ACCOUNT_CLOSED).detail["reason"] == WHY


@pytest.mark.parametrize("action", ["copy_data", "erase"])
def test_one_person_at_a_time_and_only_for_who_just_proved_who_they_are(action, admin, people):
    first = act(admin, action, [people["client"]], apply="1", reason=WHY)
    assert first.request["PATH_INFO"] == "/profile/security/confirm"

    proved(admin, people["super"])
    response = act(admin, action, [people["client"], people["stranger"]], apply="1", reason=WHY)

    assert texts(response) == ["Choose one person."]
    assert not Event.objects.filter(action__in=[Action.DATA_EXPORTED, Action.ACCOUNT_CLOSED]).exists()


def test_nobody_erases_themselves_here(proved_admin, people):
    UserFactory(roles=["super"], is_superuser=True)

    response = act(proved_admin, "erase", [people["super"]], apply="1", reason=WHY)

    assert "This is your own account." in texts(response)[0]
    assert fresh(people["super"]).closed_at is None


def test_what_django_keeps_of_edits_names_no_erased_person(proved_admin, form_of, people):
    user = people["client"]
    proved_admin.post(f"{USERS}{user.pk}/change/", form_of(user, name="Another"))
    assert LogEntry.objects.filter(object_repr=user.email).exists()

    subject_rights.erase_now(by=people["super"], user_id=user.pk, reason=WHY)
    assert subject_rights.erase(fresh(user))

    assert not LogEntry.objects.filter(object_repr=user.email).exists()


def test_an_erasure_waits_for_the_store_that_holds_the_picture(people, monkeypatch):
    user = people["client"]
    User.objects.filter(pk=user.pk).update(avatar="avatars/x.png")
    subject_rights.erase_now(by=people["super"], user_id=user.pk, reason=WHY)

    def away(storage, name):
        raise Refused(503, "store_unavailable", "")

    with monkeypatch.context() as patch:
        patch.setattr(fresh(user).avatar.storage.__class__, "delete", away, raising=False)
        assert subject_rights.erase_closed() == 0
    assert fresh(user).avatar.name == "avatars/x.png"
    assert subject_rights.erase_closed() == 1
    assert not fresh(user).avatar
