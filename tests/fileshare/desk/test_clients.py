"""The clients desk: new clients, their people and their access, for ops and supers."""

import re
from urllib.parse import unquote

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import Http404
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Company, OutgoingMail, Role, User
from accounts.people import roles
from audit.models import Event
from config.errors import Refused
from fileshare.desk import clients, people_lists
from fileshare.models import Folder
from tests.factories import PASSWORD, CompanyFactory, FolderFactory, UserFactory, grant, store_file

pytestmark = [pytest.mark.django_db, pytest.mark.both]
TOKEN = re.compile(r"token=(\S+)")


def make(user, name="Acacia", people="", **wishes):
    return clients.make_client(user=user, name=name, people=people_lists.read(people), **wishes)


def told(refused, field="people"):
    return [str(text) for text in refused.value.errors[field]]


# --- A new client -----------------------------------------------------------------------------------


def test_ops_make_a_client_whose_people_get_in_and_send(people, page_as, outbox):
    page = page_as("ops")
    form = page.get("/clients/new").context["form"]
    facts = {name: form[name].value() or "" for name in form.fields if name != "people_file"}
    facts |= {"name": "Acacia Ltd", "people": "amina@example.org, Amina Otieno", "may_send": "on"}

    answer = page.post("/clients/new", facts, follow=True)

    company = Company.objects.get(name="Acacia Ltd")
    assert answer.redirect_chain == [(f"/clients/{company.pk}/", 302)]
    assert "Acacia Ltd has its folder. 1 invitation is on its way." in answer.content.decode()
    folder = company.folders.get()
    assert sorted(folder.subfolders.values_list("name", flat=True)) == ["Contracts", "From us", "From you", "Tax"]
    (letter,) = outbox()
    browser = Client()
    token = unquote(TOKEN.search(letter.body)[1])
    entered = browser.post("/invitation", {"token": token, "new_password": PASSWORD}, follow=True)
    assert entered.status_code == 200
    amina = User.objects.get(email="amina@example.org")
    assert (amina.name, amina.company, amina.state) == ("Amina Otieno", company, "active")
    assert Folder.objects.uploadable_by(amina).filter(pk=folder.pk).exists()
    assert browser.get(folder.get_absolute_url()).status_code == 200
    for who in ("ops", "uploader", "super"):
        assert Folder.objects.uploadable_by(people[who]).filter(pk=folder.pk).exists()
    assert not Folder.objects.visible_to(people["stranger"]).filter(pk=folder.pk).exists()
    assert set(Event.objects.filter(actor=people["ops"]).values_list("action", flat=True)) == {
        "company_changed",
        "folder_created",
        "permission_granted",
        "user_changed",
    }


@pytest.mark.parametrize(("chosen", "days"), [({}, None), ({"retention_days": "90"}, 90)])
def test_a_client_s_folder_keeps_its_files_unless_the_form_says_otherwise(chosen, days, people, page_as):
    assert page_as("ops").post("/clients/new", {"name": "Acacia Ltd", **chosen}).status_code == 302

    assert Company.objects.get(name="Acacia Ltd").folders.get().retention_days == days


def test_where_there_are_no_new_accounts_a_client_is_made_without_people(settings, people, page_as):
    settings.SIGNUP = "closed"
    browser = page_as("ops")

    refused = browser.post("/clients/new", {"name": "Acacia Ltd", "people": "amina@example.org"})
    assert refused.status_code == 403
    assert "There are no new accounts here" in refused.content.decode()
    assert not User.objects.filter(email="amina@example.org").exists()
    assert not Company.objects.filter(name="Acacia Ltd").exists()

    assert browser.post("/clients/new", {"name": "Acacia Ltd"}).status_code == 302


def test_people_who_may_not_send_only_download(people):
    made = make(people["ops"], may_send=False, people="amina@example.org")

    assert not Folder.objects.uploadable_by(UserFactory(company=made.company)).filter(pk=made.folder.pk).exists()


@pytest.mark.parametrize("who", ["client", "colleague", "stranger", None])
def test_nobody_else_makes_clients_or_sees_them(who, page_as, people):
    page = page_as(who)
    expected = 403 if who else 302

    for path in ("/clients/", "/clients/new", f"/clients/{people['colleague'].company_id}/"):
        assert page.get(path).status_code == expected
    assert page.post("/clients/new", {"name": "Acacia"}).status_code == expected
    assert not Company.objects.filter(name="Acacia").exists()


@pytest.mark.parametrize(
    ("facts", "field", "text"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": "baobab"}, "__all__", "A company of this name or slug is there already."),
        ({"people": "nobody"}, "people", "Line 1: Enter a valid e-mail address."),
        ({"people": "client@example.org"}, "people", "Line 1: There is an account with this address already."),
        ({"subfolders": "***"}, "subfolders", "“***” makes no name of a subfolder."),
        ({"quota_bytes": "much"}, "quota_bytes", "Give a size, such as 500 MB or 20 GB."),
    ],
)
def test_a_refused_client_leaves_nothing(facts, field, text, people, page_as, outbox):
    before = (Company.objects.count(), Folder.objects.count(), User.objects.count(), Event.objects.count())

    answer = page_as("ops").post("/clients/new", {"name": "Acacia", "people": "amina@example.org"} | facts)

    assert answer.status_code in (400, 409)
    assert answer.context["form"].errors[field] == [text]
    assert (Company.objects.count(), Folder.objects.count(), User.objects.count(), Event.objects.count()) == before
    assert outbox() == []


# --- Lists of people --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "amina@example.org, Amina Otieno\nbaraka@example.org, Baraka",
        "Amina Otieno;Amina@Example.org\nBaraka;baraka@example.org;Accounts",
        "E-mail\tName\namina@example.org\tAmina Otieno\n\nbaraka@example.org\tBaraka",
        "Amina Otieno <amina@example.org>\nBaraka <baraka@example.org>\n",
        'Name,Address\r\n"Amina Otieno",amina@example.org\r\n"Baraka",baraka@example.org\r\n,,\r\n',
    ],
)
def test_people_are_read_from_what_people_paste(text):
    assert [(person.email, person.name) for person in people_lists.read(text)] == [
        ("amina@example.org", "Amina Otieno"),
        ("baraka@example.org", "Baraka"),
    ]


def test_an_address_alone_gives_the_name_too():
    assert [person.name for person in people_lists.read("amina@example.org")] == ["amina"]


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("a@example.org\nb@example.org\nA@example.org", ["Line 3: The same address is in line 1."]),
        ("a@example.org, =1+1", ["Line 1: A name does not begin with =."]),
        ("a@example.org, www.example.org", ["Line 1: A name holds no web address."]),
        ("a@example.org\nno address", ["Line 2: Enter a valid e-mail address."]),
        ("nobody\na@example.org", ["Line 1: Enter a valid e-mail address."]),
        ("a@\nb@", ["Line 1: Enter a valid e-mail address.", "Line 2: Enter a valid e-mail address."]),
        (f"a@example.org, {'x' * 151}", ["Line 1: A name has at most 150 characters."]),
    ],
)
def test_wrong_lines_are_told_by_their_number(text, errors):
    with pytest.raises(Refused) as refused:
        people_lists.read(text)

    assert told(refused) == errors


def test_ten_thousand_lines_are_too_many_and_many_errors_are_summed_up():
    with pytest.raises(Refused) as many:
        people_lists.read("\n".join(f"p{number}@example.org" for number in range(10_000)))
    with pytest.raises(Refused) as wrong:
        people_lists.read("\n".join(["a@"] * 30))

    assert told(many) == ["At most 1000 people at a time."]
    assert (len(told(wrong)), told(wrong)[-1]) == (21, "… and 10 more lines.")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_file_of_a_spreadsheet_is_read(encoding, page_as, people):
    company = people["colleague"].company
    grant(FolderFactory(company=company), "upload", user=people["ops"])
    file = SimpleUploadedFile("people.csv", "E-mail;Name\r\nzoe@example.org;Zoë Müller\r\n".encode(encoding))

    assert page_as("ops").post(f"/clients/{company.pk}/", {"people_file": file}).status_code == 302

    assert User.objects.get(email="zoe@example.org").name == "Zoë Müller"


@pytest.mark.parametrize("content", [b"PK\x03\x04\x00\x00", b"\x89PNG\r\n\x1a\n\x00", b"a@example.org\x00"])
def test_a_file_that_is_no_list_is_refused_in_words(content, page_as, people):
    answer = page_as("super").post(
        "/clients/new", {"name": "Acacia", "people_file": SimpleUploadedFile("people.csv", content)}
    )

    assert answer.status_code == 400
    (text,) = answer.context["form"].errors["people_file"]
    assert text == "This is no list of people: save it as CSV, with an address and a name in each line."


def test_a_thousand_are_invited_by_as_many_queries_as_ten(people):
    def queries(name, count):
        lines = "\n".join(f"{name}{number}@example.org, Person {number}" for number in range(count))
        with CaptureQueriesContext(connection) as found:
            make(people["super"], name=name, people=lines)
        return len(found)

    few = queries("few", 10)

    assert queries("more", 40) == few
    assert User.objects.filter(email__startswith="more", is_active=False).count() == 40
    assert OutgoingMail.objects.filter(letter="invitation").count() == 50


def test_a_sign_up_nobody_confirmed_becomes_the_invited_client(people):
    user = UserFactory(email="amina@example.org", is_active=False, email_verified_at=None, name="Old", roles=["client"])

    made = make(people["ops"], people="amina@example.org, Amina")

    user.refresh_from_db()
    assert made.invited == [user]
    assert (user.name, user.company, user.state) == ("Amina", made.company, "invited")
    assert [role.name for role in user.groups.all()] == ["client"]


# --- The list ---------------------------------------------------------------------------------------


def row(page, name):
    return next(row for row in page.context["page"].results if row.company.name == name)


def fetch(page_as, who, file):
    """Download a file as a person does: by its button."""
    answer = page_as(who).get(f"/files/{file.pk}/download", follow=True)
    assert answer.status_code == 200
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.mark.local
def test_the_list_shows_what_waits_for_whom(people, page_as, company_folder):
    files = [store_file(user=people["uploader"], folder=company_folder) for _ in range(3)]
    store_file(user=people["super"], folder=company_folder, filename="of a super.docx")
    grant(company_folder, "upload", company=company_folder.company)
    store_file(user=people["colleague"], folder=company_folder, filename="from them.docx")
    fetch(page_as, "colleague", files[0])
    fetch(page_as, "uploader", files[1])

    page = page_as("uploader").get("/clients/")

    assert [found.company.name for found in page.context["page"].results] == ["Baobab"], "Savanna is not theirs"
    found = row(page, "Baobab")
    assert (found.company.people_count, found.company.seen is not None) == (2, True)
    assert (found.unfetched, found.asked) == (3, 0)
    company_folder.refresh_from_db()
    assert found.company.used_bytes == company_folder.used_bytes
    assert {found.company.name for found in page_as("super").get("/clients/").context["page"].results} == {
        "Baobab",
        "Savanna",
    }


def test_a_search_finds_companies_and_people(people, page_as, company_folder):
    User.objects.filter(pk=people["colleague"].pk).update(name="Amina Otieno")

    by_person = page_as("super").get("/clients/", {"q": "otieno"})
    by_company = page_as("super").get("/clients/", {"q": "savan\0"})

    assert [person.name for person in by_person.context["people"]] == ["Amina Otieno"]
    assert [found.company.name for found in by_person.context["page"].results] == ["Baobab"]
    assert [found.company.name for found in by_company.context["page"].results] == ["Savanna"]
    assert page_as("ops").get("/clients/", {"q": "otieno"}).context["people"] == []


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", ["Acacia", "Baobab", "Savanna"]),
        ("nonsense", ["Acacia", "Baobab", "Savanna"]),
        ("-seen", ["Savanna", "Acacia", "Baobab"]),
        ("seen", ["Acacia", "Baobab", "Savanna"]),
        ("-people", ["Baobab", "Savanna", "Acacia"]),
        ("-space", ["Baobab", "Acacia", "Savanna"]),
    ],
)
def test_the_list_has_its_orders(sort, names, people, page_as, report):
    CompanyFactory(name="Acacia")
    User.objects.filter(pk=people["stranger"].pk).update(last_login=timezone.now())

    page = page_as("super").get("/clients/", {"sort": sort})

    assert [found.company.name for found in page.context["page"].results] == names


def test_the_pages_make_a_fixed_number_of_queries(people, page_as):
    def fill(count):
        company = CompanyFactory()
        for _ in range(count):
            folder = FolderFactory(company=CompanyFactory())
            UserFactory(company=folder.company, roles=["client"])
            store_file(user=people["super"], folder=folder)
            store_file(user=people["super"], folder=FolderFactory(company=company))
            UserFactory(company=company, roles=["client"])
        return company

    page = page_as("super")

    def queries(path):
        page.get(path)
        with CaptureQueriesContext(connection) as found:
            assert page.get(path).status_code == 200
        return len(found)

    def counted(company):
        person = company.people.first()
        return [queries(path) for path in ("/clients/?q=a", f"/clients/{company.pk}/", f"/clients/people/{person.pk}/")]

    few = counted(fill(1))

    assert counted(fill(4)) == few


# --- People and their access ------------------------------------------------------------------------


def test_a_leaver_loses_everything_at_once_and_may_get_it_back(people, page_as, api_as, company_folder):
    person, theirs = people["colleague"], api_as("colleague")
    assert theirs.get("/api/client/files").status_code == 200

    answer = page_as("uploader").post(f"/clients/people/{person.pk}/off", {"back": "/clients/?q=x"}, follow=True)

    assert answer.redirect_chain == [("/clients/?q=x", 302)]
    assert "can no longer log in." in answer.content.decode()
    assert theirs.get("/api/client/files").status_code == 401
    event = Event.objects.get(action="user_changed")
    assert (event.actor, event.detail["after"]["is_active"]) == (people["uploader"], False)
    page_as("uploader").post(f"/clients/people/{person.pk}/on")
    assert User.objects.get(pk=person.pk).state == "active"


@pytest.mark.parametrize("who", ["ops", "stranger", "uploader"])
@pytest.mark.parametrize("whose", ["colleague", "super", "ops", "stranger", "client"])
def test_whose_access_one_may_take(who, whose, people, company_folder):
    """The uploader serves Baobab, the colleague's company, and nobody else anybody."""
    if (who, whose) == ("uploader", "colleague"):
        assert clients.switch(user=people[who], person_id=people[whose].pk, is_active=False).state == "off"
        return
    with pytest.raises(PermissionDenied if who == "stranger" else Http404):
        clients.switch(user=people[who], person_id=people[whose].pk, is_active=False)
    assert User.objects.get(pk=people[whose].pk).is_active


def test_an_ops_of_the_company_is_no_client_of_it(people, company_folder):
    colleague = UserFactory(company=company_folder.company, roles=["client", "ops"])

    assert colleague not in clients.people_of(people["super"], company=company_folder.company)
    with pytest.raises(Http404):
        clients.switch(user=people["super"], person_id=colleague.pk, is_active=False)


def test_an_invitation_is_sent_again_and_only_to_the_invited(people, page_as, outbox):
    (amina,) = make(people["ops"], people="amina@example.org").invited
    page = page_as("ops")

    page.post(f"/clients/people/{amina.pk}/invite")
    page.post(f"/clients/people/{amina.pk}/off")
    refused = page.post(f"/clients/people/{amina.pk}/on", follow=True)

    assert [message.to for message in outbox()] == [["amina@example.org"]] * 2
    assert "They have not accepted their invitation yet: it can be withdrawn." in refused.content.decode()
    amina.refresh_from_db()
    assert amina.state == "invited"


def test_an_invitation_is_withdrawn_and_its_link_opens_nothing(people, page_as, outbox):
    made = make(people["ops"], people="amina@example.org")
    (letter,) = outbox()
    token = unquote(TOKEN.search(letter.body)[1])
    page = page_as("ops")
    assert "can be withdrawn" in page.post(f"/clients/people/{made.invited[0].pk}/off", follow=True).content.decode()

    answer = page.post(f"/clients/people/{made.invited[0].pk}/withdraw", follow=True)

    assert "The invitation of amina@example.org was withdrawn." in answer.content.decode()
    assert Client().post("/invitation", {"token": token, "new_password": PASSWORD}).status_code == 400
    assert not User.objects.filter(email="amina@example.org").exists()


def test_whom_a_super_switched_off_ops_do_not_switch_on(people, company_folder):
    person = people["colleague"]
    roles.change_user(by=people["super"], user_id=person.pk, is_active=False)

    with pytest.raises(Refused) as refused:
        clients.switch(user=people["uploader"], person_id=person.pk, is_active=True)

    assert refused.value.code == "taken_by_super"
    assert clients.switch(user=people["super"], person_id=person.pk, is_active=True).is_active
    clients.switch(user=people["uploader"], person_id=person.pk, is_active=False)
    assert clients.switch(user=people["uploader"], person_id=person.pk, is_active=True).is_active


def test_holders_of_other_roles_are_nobody_of_the_desk(people, company_folder, role):
    roles.save_role(by=people["super"], name="auditor")
    auditor = UserFactory(company=company_folder.company, roles=["client", "auditor"])

    with pytest.raises(Http404):
        clients.switch(user=people["uploader"], person_id=auditor.pk, is_active=False)


@pytest.mark.parametrize("given", ["company", "grant", "role"])
def test_a_sign_up_that_a_super_gave_something_is_not_invited_elsewhere(given, people, company_folder):
    user = UserFactory(email="amina@example.org", is_active=False, email_verified_at=None, roles=["client"])
    if given == "company":
        User.objects.filter(pk=user.pk).update(company=people["stranger"].company)
    elif given == "grant":
        grant(FolderFactory(), "download", user=user)
    else:
        user.groups.add(Role.objects.get(name="ops"))

    with pytest.raises(Refused) as refused:
        make(people["ops"], people="amina@example.org")

    assert told(refused) == ["Line 1: There is an account with this address already."]
    assert make(people["super"], people="amina@example.org").invited == [user]


def test_one_address_is_not_flooded_with_invitations(people, page_as, outbox, settings):
    settings.RATELIMIT_ENABLE = True
    (amina,) = make(people["ops"], people="amina@example.org").invited
    page = page_as("ops")

    answers = [page.post(f"/clients/people/{amina.pk}/invite").status_code for _ in range(12)]

    assert answers.count(302) == 10
    assert answers[-1] == 429


def test_the_page_of_a_person_says_why_they_may_and_what_they_did(people, page_as, report):
    grant(report.folder, "upload", company=report.folder.company)
    fetch(page_as, "colleague", report)

    page = page_as("uploader").get(f"/clients/people/{people['colleague'].pk}/")

    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page.content.decode()))
    assert "Baobab Download Company Baobab" in text
    assert "Baobab Upload Company Baobab" in text
    assert "Client documents Download Role client" in text
    assert "Downloaded report.docx" in text
    assert page_as("ops").get(f"/clients/people/{people['colleague'].pk}/").status_code == 404


def test_a_letter_that_did_not_go_is_seen_beside_its_client(people, page_as):
    made = make(people["ops"], people="amina@example.org\nbaraka@example.org")
    path = f"/clients/{made.company.pk}/"
    OutgoingMail.objects.filter(to="amina@example.org").update(failed_at=timezone.now())
    assert page_as("ops").get(path).context["failed"] == {"amina@example.org"}

    clients.invite_again(user=people["ops"], person_id=made.invited[0].pk)

    assert page_as("ops").get(path).context["failed"] == set()
