"""The whole admin, model by model: who gets in, what each form and action writes to the log, what its lists cost.

A test fails if a model, a form or an action of the admin is missing from the table.
"""

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.credentials import api_tokens, tokens
from accounts.models import ApiToken, Company, Role, RolePolicy, TotpDevice, User
from audit.log import record
from audit.models import Event
from fileshare import holds
from fileshare.contributions.actions import Action
from fileshare.incoming import uploads
from fileshare.models import File, FileRequest, Folder, RedeemedLink, ShareLink, Upload
from fileshare.models.files import ScanState
from fileshare.requests import file_requests
from fileshare.sharing import shares
from payments.models import CallbackRecord, Plan, Transaction
from tests.factories import CompanyFactory, FolderFactory, PlanFactory, UserFactory, proved, store_file
from tests.fileshare.test_folder_admin import form as folder_form
from tests.judges import faults_of

pytestmark = pytest.mark.django_db
EMPTY = {"apply": "1"}


@pytest.fixture
def desk(client, people):
    return proved(client, people["super"])


def payment(user, folder, plan, phone="254711111111"):
    return Transaction.objects.create(
        user=user,
        plan=plan,
        plan_name=plan.name,
        amount=plan.amount,
        extra_bytes=plan.extra_bytes,
        days=plan.days,
        folder=folder,
        folder_name=folder.name,
        phone_number=phone,
        status="needs_review",
        review_reason="no_answer",
    )


class World:
    """One row of each model, made by the portal's operations where there is one."""

    def __init__(self, people, folder, report):
        self.people, self.boss, self.folder, self.file = people, people["super"], folder, report
        self.company = CompanyFactory()
        self.role = Role.objects.create(name="auditor")
        self.plan = PlanFactory()
        self.payment = payment(people["colleague"], folder, self.plan)
        CallbackRecord.objects.create(raw='{"Body": {}}', transaction=self.payment)
        hour, owner = timedelta(hours=1), people["uploader"]
        self.share = shares.create(user=owner, file_id=report.pk, permission="download", expires_in=hour)[0].link
        self.request = file_requests.create(
            user=owner,
            folder_id=folder.pk,
            title="Papers",
            deadline=timezone.now() + hour,
            max_files=3,
            max_bytes=10**6,
            asks_name=True,
        )
        self.upload = uploads.initiate(
            user=owner, place=uploads.Place(folder), filename="later.docx", size_bytes=100, content_type=""
        )
        until = timezone.now() + timedelta(days=30)
        self.token, _raw = api_tokens.create(user=owner, name="script", scopes=["files:read"], expires_at=until)
        RedeemedLink.objects.create(nonce="n", file=report, user=owner, redeemed_at=timezone.now())
        self.hold = holds.place(by=self.boss, reason="A case", folder_id=FolderFactory().pk)
        self.suspect = store_file(user=owner, folder=folder)
        File.objects.filter(pk=self.suspect.pk).update(
            scan_state=ScanState.INFECTED, scan_detail="Eicar", scanned_at=timezone.now()
        )
        tokens.open_family(owner)

    def invited(self):
        return User.objects.create(email="invited@example.org", name="New", is_active=False, password="!")

    def user_form(self, user, **changes):
        groups = [group.pk for group in user.groups.all()]
        return {"name": user.name, "company": user.company_id or "", "groups": groups, "is_active": "on", **changes}

    def closed(self):
        user = UserFactory()
        User.objects.filter(pk=user.pk).update(is_active=False, closed_at=timezone.now())
        return user

    def with_factor(self):
        user = UserFactory()
        TotpDevice.objects.create(user=user, secret="x")
        return user


# (model, door) → (the row it is about or None, what is sent).
DOORS = {
    ("company", "add"): lambda w: (None, {"name": "New", "slug": "new"}),
    ("company", "change"): lambda w: (w.company, {"name": "Renamed", "slug": w.company.slug}),
    ("company", "delete"): lambda w: (w.company, {"post": "yes"}),
    ("company", "set_up_folders"): lambda w: (w.company, {**EMPTY, "subfolders": "exports"}),
    ("company", "delete_selected"): lambda w: (w.company, {"post": "yes"}),
    ("role", "add"): lambda w: (None, {"name": "new"}),
    ("role", "change"): lambda w: (w.role, {"name": "renamed"}),
    ("role", "delete"): lambda w: (w.role, {"post": "yes"}),
    ("role", "delete_selected"): lambda w: (w.role, {"post": "yes"}),
    ("user", "add"): lambda w: (None, {"email": "new@example.org", "name": "New", "groups": [], "company": ""}),
    ("user", "change"): lambda w: (w.people["client"], w.user_form(w.people["client"], name="Renamed")),
    ("user", "delete"): lambda w: (w.invited(), {"post": "yes"}),
    ("user", "delete_selected"): lambda w: (w.invited(), {"post": "yes"}),
    ("user", "set_company"): lambda w: (w.people["client"], {**EMPTY, "company": w.company.pk}),
    ("user", "add_role"): lambda w: (w.people["client"], {**EMPTY, "role": w.role.pk}),
    ("user", "switch_on"): lambda w: (w.people["off"], {}),
    ("user", "switch_off"): lambda w: (w.people["client"], {}),
    ("user", "reopen"): lambda w: (w.closed(), {}),
    ("user", "invite_again"): lambda w: (w.invited(), {}),
    ("user", "log_out"): lambda w: (w.people["uploader"], {}),
    ("user", "remove_second_factors"): lambda w: (w.with_factor(), {}),
    ("user", "copy_data"): lambda w: (w.people["client"], {**EMPTY, "reason": "By letter"}),
    ("user", "erase"): lambda w: (w.people["client"], {**EMPTY, "reason": "By letter"}),
    ("apitoken", "end"): lambda w: (w.token, {}),
    ("folder", "add"): lambda w: (None, folder_form()),
    ("folder", "change"): lambda w: (w.folder, folder_form(w.folder, company=w.folder.company_id, name="Renamed")),
    ("folder", "delete"): lambda w: (FolderFactory(), {"post": "yes"}),
    ("folder", "delete_selected"): lambda w: (FolderFactory(), {"post": "yes"}),
    ("folder", "grant"): lambda w: (w.folder, {**EMPTY, "role": w.role.pk, "permission_types": ["upload"]}),
    ("upload", "give_up"): lambda w: (w.upload, {}),
    ("sharelink", "revoke"): lambda w: (w.share, {}),
    ("filerequest", "close"): lambda w: (w.request, {}),
    ("hold", "add"): lambda w: (None, {"folder": w.folder.pk, "file": "", "user": "", "reason": "A case"}),
    ("hold", "change"): lambda w: (w.hold, {"release_reason": "Over"}),
    ("quarantinedfile", "change"): lambda w: (w.suspect, {"reason": "A false alarm"}),
    ("quarantinedfile", "delete"): lambda w: (w.suspect, {"post": "yes"}),
    ("quarantinedfile", "delete_selected"): lambda w: (w.suspect, {"post": "yes"}),
    ("plan", "add"): lambda w: (None, {"name": "New", "amount": "100", "extra_bytes": "5 GB", "days": "30"}),
    ("plan", "change"): lambda w: (w.plan, {"name": w.plan.name, "amount": "7", "extra_bytes": "5 GB", "days": "30"}),
}
SHOWN = [
    *[Folder, File, Upload, ShareLink, FileRequest, RedeemedLink],
    *[ApiToken, Company, Plan, Transaction, CallbackRecord],
]
READ_ONLY = {"event", "file", "redeemedlink", "transaction", "callbackrecord"}
MODELS = {model._meta.model_name: model for model in admin.site._registry}


@pytest.fixture
def world(people, company_folder, report):
    return World(people, company_folder, report)


def address(model, page, *args):
    opts = MODELS[model]._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{page}", args=args)


def send(desk, world, model, door):
    row, data = DOORS[model, door](world)
    if door == "add":
        return desk.post(address(model, "add"), data)
    if door in ("change", "delete"):
        return desk.post(address(model, door, row.pk), data)
    return desk.post(address(model, "changelist"), {"action": door, "_selected_action": [row.pk], **data})


def test_every_door_of_the_admin_is_in_the_table(world, rf):
    request = rf.get("/admin/")
    request.user = world.boss
    doors = set()
    for name, model in MODELS.items():
        page = admin.site._registry[model]
        for door in ("add", "change", "delete"):
            if getattr(page, f"has_{door}_permission")(request):
                doors.add((name, door))
        doors |= {(name, action) for action in page.get_actions(request)}

    assert doors == set(DOORS)
    assert {model for model, _door in DOORS} | READ_ONLY == set(MODELS)
    assert Group not in admin.site._registry


@pytest.mark.parametrize(("model", "door"), DOORS, ids=lambda value: value)
def test_every_change_in_the_admin_is_in_the_log(model, door, desk, world):
    before = set(Event.objects.values_list("pk", flat=True))

    response = send(desk, world, model, door)

    assert response.status_code == (200 if door == "copy_data" else 302)
    new = Event.objects.exclude(pk__in=before)
    assert new.filter(actor=world.boss).exists(), f"{model} {door} left nothing in the log"


@pytest.mark.parametrize(("model", "door"), DOORS, ids=lambda value: value)
def test_staff_who_are_no_supers_change_nothing(model, door, client, world):
    staff = world.people["ops"]
    User.objects.filter(pk=staff.pk).update(is_staff=True)
    client.force_login(staff)
    before = Event.objects.count()

    assert send(client, world, model, door).status_code == 403
    assert Event.objects.count() <= before + 1


@pytest.mark.parametrize(("model", "door"), DOORS, ids=lambda value: value)
def test_a_super_without_the_factor_their_role_asks_for_is_sent_to_set_it_up(model, door, desk, world):
    RolePolicy.objects.create(role=Role.objects.get(name="super"), requires_second_factor=True)
    pages = {
        "add": lambda: address(model, "add"),
        "change": lambda: address(model, "changelist"),
        "delete": lambda: address(model, "changelist"),
    }
    before = Event.objects.count()

    looked = desk.get(pages.get(door, pages["change"])())
    sent = send(desk, world, model, door)

    assert [answer["Location"] for answer in (looked, sent)] == [reverse("second-factor")] * 2
    assert Event.objects.count() <= before + 1


@pytest.mark.parametrize("path", ["/admin/", "/admin/jsi18n/", "/admin/autocomplete/?app_label=fileshare"])
def test_nor_do_they_see_the_rest_of_the_admin(path, desk, world):
    RolePolicy.objects.create(role=Role.objects.get(name="super"), requires_second_factor=True)

    assert desk.get(path)["Location"] == reverse("second-factor")


# --- What is shown ------------------------------------------------------------------------------------


def more_of_everything(world):
    people, boss = world.people, world.boss
    for _number in range(4):
        company = CompanyFactory()
        user = UserFactory(company=company, roles=["client", "ops"])
        folder = FolderFactory(company=company)
        plan = PlanFactory()
        CallbackRecord.objects.create(
            raw="{}", transaction=payment(user, folder, plan, phone=f"2547{Transaction.objects.count():08d}")
        )
        file = store_file(user=boss, folder=folder)
        shares.create(user=boss, file_id=file.pk, permission="download", expires_in=timedelta(hours=1))
        file_requests.create(
            user=boss,
            folder_id=folder.pk,
            title="Papers",
            deadline=timezone.now() + timedelta(hours=1),
            max_files=3,
            max_bytes=10**6,
            asks_name=True,
        )
        uploads.initiate(user=boss, place=uploads.Place(folder), filename="a.txt", size_bytes=9, content_type="")
        until = timezone.now() + timedelta(days=30)
        api_tokens.create(user=user, name="script", scopes=["files:read"], expires_at=until)
        RedeemedLink.objects.create(nonce=str(file.pk), file=file, user=user, redeemed_at=timezone.now())
        record(Action.UPLOAD, user=people["client"], target=file, folder=folder)


@pytest.mark.parametrize(
    "model", sorted({*READ_ONLY, *(model for model, _door in DOORS)} - {"hold", "quarantinedfile"})
)
def test_a_list_costs_the_same_queries_however_long(model, desk, world):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert desk.get(address(model, "changelist")).status_code == 200
        return [query["sql"] for query in captured]

    more_of_everything(world)
    queries()
    few = queries()
    more_of_everything(world)
    more_of_everything(world)
    many = queries()

    assert len(many) == len(few), "\n".join(many)
    assert len(few) <= 16


@pytest.mark.parametrize(
    "model",
    [Folder, File, Upload, ShareLink, FileRequest, RedeemedLink, ApiToken, Plan, Transaction, CallbackRecord, Company],
)
def test_a_row_has_its_page(model, desk, world):
    name = model._meta.model_name
    row = model.objects.first()

    page = desk.get(address(name, "change", row.pk)).content.decode()

    assert f"Change {model._meta.verbose_name}" in page or f"View {model._meta.verbose_name}" in page


def pages_of(model):
    """The addresses that the admin has for a model; those of one row are about the first row."""
    row = MODELS[model]._default_manager.first()
    for pattern in admin.site._registry[MODELS[model]].urls:
        yield address(model, "changelist") + re.sub(r"<\w+:\w+>", str(row.pk), str(pattern.pattern))


def faults_by_page(answers):
    """{path: what is wrong with the headers of its answer}."""
    return {path: faults for path, answer in answers.items() if (faults := faults_of(answer, path))}


@pytest.mark.once
def test_every_page_of_the_admin_has_its_headers(desk, world):
    paths = [reverse("admin:app_list", args=[app]) for app in {model._meta.app_label for model in MODELS.values()}]
    paths += [f"/admin/{path}" for path in ("", "jsi18n/", "autocomplete/", "password_change/done/", "nowhere/")]
    for model in MODELS:
        paths += pages_of(model)

    answers = {path: desk.get(path) for path in paths}

    assert faults_by_page(answers) == {}
    changed = [answer.status_code for path, answer in answers.items() if path.endswith("/change/")]
    assert changed == [200] * len(MODELS)


@pytest.mark.once
@pytest.mark.parametrize("who", ["nobody", "staff"])
def test_so_has_what_the_admin_answers_to_others(who, client, world):
    if who == "staff":
        User.objects.filter(pk=world.people["ops"].pk).update(is_staff=True)
        client.force_login(world.people["ops"])

    answers = {path: client.get(path) for path in [address(model, "changelist") for model in MODELS]}

    assert faults_by_page(answers) == {}
    assert {answer.status_code for answer in answers.values()} == {302 if who == "nobody" else 403}


@pytest.mark.parametrize(
    ("model", "query", "found"),
    [
        ("folder", "kind=company", 1),
        ("folder", "kind=documents", 1),
        ("folder", "kind=nonsense", 3),
        ("folder", "space=full", 0),
        ("folder", "o=4", 3),
        ("folder", "o=-5", 3),
        ("folder", "q=baobab", 1),
        ("sharelink", "state=open", 1),
        ("sharelink", "state=over", 0),
        ("sharelink", "state=revoked", 0),
        ("filerequest", "state=open", 1),
        ("filerequest", "state=closed", 0),
        ("filerequest", "state=past", 0),
        ("filerequest", "state=full", 0),
        ("apitoken", "state=live", 1),
        ("apitoken", "state=over", 0),
        ("transaction", "status__exact=needs_review", 1),
        ("transaction", "q=254711111111", 1),
        ("upload", "q=later", 1),
    ],
)
def test_rows_are_found(model, query, found, desk, world):
    page = desk.get(f"{address(model, 'changelist')}?{query}", follow=True)

    assert len(page.context["cl"].result_list) == found


def test_a_repeated_grant_is_said_and_the_rest_is_given(desk, world):
    folders = list(Folder.objects.filter(owner=None)[:2])
    sent = {
        "action": "grant",
        "_selected_action": [folder.pk for folder in folders],
        "apply": "1",
        "user": world.people["client"].pk,
        "permission_types": ["upload"],
    }
    desk.post(address("folder", "changelist"), {**sent, "_selected_action": [folders[0].pk]})

    page = desk.post(address("folder", "changelist"), sent, follow=True).content.decode()

    assert "1 permission was granted." in page
    assert f"{folders[0].name}, Upload: This was granted before." in page
    assert Event.objects.filter(action=Action.GRANTED, actor=world.boss).count() == 2


@pytest.mark.parametrize("facts", [{}, {"permission_types": ["upload"]}, {"permission_types": ["rule"], "role": "1"}])
def test_a_grant_that_makes_no_sense_is_asked_for_again(facts, desk, world):
    sent = {"action": "grant", "_selected_action": [world.folder.pk], "apply": "1", **facts}

    response = desk.post(address("folder", "changelist"), sent)

    assert response.status_code == 200
    assert response.context["form"].errors
    assert not Event.objects.filter(action=Action.GRANTED, actor=world.boss).exists()


def test_what_is_over_is_not_ended_twice(desk, world):
    for model, action, row in (
        ("sharelink", "revoke", world.share),
        ("filerequest", "close", world.request),
        ("apitoken", "end", world.token),
    ):
        sent = {"action": action, "_selected_action": [row.pk]}
        desk.post(address(model, "changelist"), sent)
        before = Event.objects.count()

        page = desk.post(address(model, "changelist"), sent, follow=True).content.decode()

        assert "1 was left as it is:" in page
        assert Event.objects.count() == before


@pytest.mark.parametrize(
    ("text", "size"),
    [("5 GB", 5 * 2**30), ("1.5 MB", 3 * 2**19), ("1,5 mb", 3 * 2**19), ("12", 12), ("2 KiB", 2048), ("0", 0)],
)
def test_a_quota_is_written_with_a_unit(text, size, desk, world):
    desk.post(
        address("folder", "change", world.folder.pk),
        folder_form(world.folder, company=world.folder.company_id, quota_bytes=text),
    )

    world.folder.refresh_from_db()
    assert world.folder.quota_bytes == size


@pytest.mark.parametrize("text", ["much", "5 XB", "-1", "GB", "9" * 40, "999999 PB", "1e9", "٣ GB x"])
def test_a_quota_that_is_none_is_said_beside_its_field(text, desk, world):
    response = desk.post(
        address("folder", "change", world.folder.pk),
        folder_form(world.folder, company=world.folder.company_id, quota_bytes=text),
    )

    assert list(response.context["adminform"].form.errors) == ["quota_bytes"]


def test_a_folder_with_files_stays_and_the_page_says_why(desk, world):
    response = desk.post(address("folder", "delete", world.folder.pk), {"post": "yes"}, follow=True)

    assert Folder.objects.filter(pk=world.folder.pk).exists()
    assert response.status_code in (200, 403)
