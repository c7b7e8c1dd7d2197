"""Every limit of the contract answers 429 with Retry-After, for a page and for a call, which count together."""

import itertools
from datetime import timedelta
from types import SimpleNamespace
from unittest import mock

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.credentials import passwords, tokens
from accounts.models import OutgoingMail
from audit.models import Event
from config.http.throttling import RATES, rate_of
from fileshare.outgoing import downloads
from fileshare.sharing import shares
from tests.factories import PASSWORD, PlanFactory, proved
from tests.fileshare.requests.request_helpers import Outsider, ask_for_files
from tests.payments.daraja import simulated  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db
# The limits of the contract, and those that docs/security.md adds.
CONTRACT = {
    "initiate": "10/m",
    "download_url": "60/m",
    "login": "10/m",
    "login_address": "100/m",
    "share_password_link": "300/h",
    "forgot_password": "5/h",
    "signup": "10/h",
    "stkpush": "5/m",
    "share_password": "10/m",
    "refresh": "60/m",
    "reset_password": "20/h",
    "redeem": "120/m",
    "foreign_link": "10/m",
    "many_files": "60/m",
}


@pytest.fixture
def world(people, company_folder, report, daraja, settings):
    """Every limit is two a day. Holds the rows and clients that the doors need."""
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = dict.fromkeys(RATES, "2/d")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    colleague, uploader = people["colleague"], people["uploader"]
    made = shares.create(
        user=uploader, file_id=report.pk, permission="download", expires_in=timedelta(hours=1), password="open sesame"
    )[0]

    def script(user):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.access_for(user)}")
        return client

    return SimpleNamespace(
        people=people,
        report=report,
        folder=company_folder,
        plan=PlanFactory(),
        share=made.token,
        open_share=shares.create(
            user=uploader, file_id=report.pk, permission="download", expires_in=timedelta(hours=1)
        )[0].token,
        script=script(colleague),
        browser=proved(Client(), colleague),
        uploader=script(uploader),
        uploading=proved(Client(), uploader),
        stranger=script(people["stranger"]),
        link=downloads.link_for(user=colleague, file_id=report.pk),
        visitor=APIClient(),
        number=itertools.count(1),
    )


def new_upload(world):
    return {"folder_id": str(world.folder.pk), "filename": "x.docx", "size_bytes": 9, "content_type": ""}


CREDENTIALS = {"email": "client@example.org", "password": PASSWORD}


def to_another(world):
    """Credentials of an account that no earlier request named."""
    return {"email": f"nobody{next(world.number)}@example.org", "password": PASSWORD}


def from_elsewhere(world):
    """An address that no earlier request came from."""
    return f"203.0.113.{next(world.number)}"


# Limit → the doors that count against it: well-formed requests by call, by page and by other ways.
DOORS = {
    "login": {
        "call": lambda world: world.visitor.post("/api/auth/login", CREDENTIALS),
        "page": lambda world: Client().post("/login", CREDENTIALS),
    },
    "login_address": {
        "call": lambda world: world.visitor.post("/api/auth/login", to_another(world)),
        "page": lambda world: Client().post("/login", to_another(world)),
        "second step": lambda world: world.visitor.post(
            "/api/auth/login/second-factor", {"mfa_token": "x", "code": "123456"}
        ),
    },
    "share_password_link": {
        "call": lambda world: APIClient(REMOTE_ADDR=from_elsewhere(world)).post(
            f"/share/{world.share}/download", {"password": "wrong"}
        ),
        "page": lambda world: Client(REMOTE_ADDR=from_elsewhere(world)).post(
            f"/share/{world.share}/download", {"password": "wrong"}, headers={"accept": "text/html"}
        ),
    },
    "signup": {
        "call": lambda world: world.visitor.post(
            "/api/auth/signup", {"email": "n@example.org", "password": PASSWORD, "name": "N"}
        ),
        "page": lambda world: Client().post("/signup", {"email": "n@example.org", "password": PASSWORD, "name": "N"}),
    },
    "forgot_password": {
        "call": lambda world: world.visitor.post("/api/auth/forgot-password", {"email": "client@example.org"}),
        "page": lambda world: Client().post("/forgot-password", {"email": "client@example.org"}),
    },
    "reset_password": {
        "call": lambda world: world.visitor.post(
            "/api/auth/reset-password", {"token": "x", "new_password": "eight yellow boats"}
        ),
        "page": lambda world: Client().post("/reset-password", {"token": "x", "new_password": "eight yellow boats"}),
    },
    "refresh": {"call": lambda world: world.visitor.post("/api/auth/refresh", {"refresh": "x"})},
    "initiate": {
        "call": lambda world: world.uploader.post("/api/fileshare/upload/initiate", new_upload(world)),
    },
    "download_url": {
        "call": lambda world: world.script.post(f"/api/fileshare/download/{world.report.pk}"),
        "simple call": lambda world: world.script.get(f"/api/client/download/{world.report.pk}"),
        "redirect": lambda world: world.script.get(f"/api/files/{world.report.pk}/download"),
        "bulk": lambda world: world.script.post("/api/fileshare/download/bulk", {"file_ids": [str(world.report.pk)]}),
        "page": lambda world: world.browser.get(reverse("file-download", args=[world.report.pk])),
        "folder as zip": lambda world: world.browser.post(
            f"/fileshare/{world.folder.slug}/download.zip", {"ids": [world.report.pk]}
        ),
        "share link": lambda world: world.visitor.post(f"/share/{world.open_share}/download"),
        "share link's page": lambda world: Client().post(
            f"/share/{world.open_share}/download", headers={"accept": "text/html"}
        ),
    },
    "many_files": {
        "move": lambda world: world.script.post("/api/files/move", {"file_ids": [str(world.report.pk)]}),
        "copy": lambda world: world.script.post("/api/files/copy", {"file_ids": [str(world.report.pk)]}),
        "delete": lambda world: world.script.post("/api/files/delete", {"file_ids": []}),
        "tags": lambda world: world.script.post("/api/files/tags", {"file_ids": [str(world.report.pk)]}),
    },
    "redeem": {
        "call": lambda world: world.script.get(world.link),
        "page": lambda world: world.browser.get(world.link, headers={"accept": "text/html"}),
    },
    "foreign_link": {
        "somebody else's": lambda world: world.stranger.get(world.link),
        "forged": lambda world: world.script.get("/secure-download/nonsense"),
    },
    "share_password": {
        "call": lambda world: world.visitor.post(f"/share/{world.share}/download", {"password": "wrong"}),
        "page": lambda world: Client().post(
            f"/share/{world.share}/download", {"password": "wrong"}, headers={"accept": "text/html"}
        ),
    },
    "stkpush": {
        "call": lambda world: world.script.post(
            "/api/mpesa/stkpush", {"phone_number": "0712345678", "plan_id": str(world.plan.pk)}
        ),
        "page": lambda world: world.browser.post(f"/payments/plans/{world.plan.pk}/", {"phone_number": "0712345678"}),
    },
}
ALL = [(name, door) for name, doors in DOORS.items() for door in doors]


def test_the_apps_have_the_contracts_rates():
    assert {name: rate_of(name) for name in CONTRACT} == CONTRACT
    assert set(DOORS) == set(CONTRACT)


def test_a_rate_of_the_environment_takes_the_place_of_the_apps(settings):
    settings.RATE_LIMITS = {"login": "20/m", "nothing": "1/m"}

    assert (rate_of("login"), rate_of("signup")) == ("20/m", "10/h")
    with pytest.raises(KeyError):
        rate_of("nothing")


def let_the_others_pass(name, settings):
    """Widen the other limits that the same request counts against, so that only `name` is narrow."""
    for limit in {"foreign_link": ["redeem"], "share_password": ["download_url"]}.get(name, []):
        settings.RATE_LIMITS[limit] = "100/m"


@pytest.mark.parametrize(("name", "door"), ALL)
def test_beyond_the_limit_each_door_says_when_to_come_back(name, door, world, settings):
    let_the_others_pass(name, settings)
    ask = DOORS[name][door]
    answers = [ask(world) for _turn in range(3)]

    assert [answer.status_code == 429 for answer in answers] == [False, False, True], [a.status_code for a in answers]
    assert 1 <= int(answers[2]["Retry-After"]) <= 86_401
    if answers[2]["Content-Type"].startswith("application/json"):
        assert answers[2].json()["code"] == "throttled"


@pytest.mark.both
@pytest.mark.parametrize("name", [name for name, doors in DOORS.items() if len(doors) > 1 and name != "foreign_link"])
def test_the_doors_of_a_limit_count_together(name, world, settings):
    let_the_others_pass(name, settings)
    doors = list(DOORS[name].values())

    statuses = [doors[turn % 2](world).status_code for turn in range(3)]

    assert statuses[2] == 429
    assert 429 not in statuses[:2]


@pytest.mark.parametrize("ask", [DOORS["login_address"]["call"], DOORS["login_address"]["page"]])
def test_an_address_that_used_its_log_ins_up_costs_no_hash_and_no_row(ask, world):
    for _turn in range(2):
        ask(world)
    rows = Event.objects.count()

    with mock.patch.object(passwords, "authenticate") as proof:
        answer = ask(world)

    assert answer.status_code == 429
    assert not proof.called
    assert Event.objects.count() == rows


@pytest.mark.parametrize("name", ["login_address", "signup"])
def test_of_ipv6_a_whole_64_counts_as_one_address(name, world):
    door = DOORS[name]["call"]

    def ask(address):
        world.visitor = APIClient(REMOTE_ADDR=address)
        return door(world).status_code

    assert 429 not in [ask("2001:db8:1:2::1"), ask("2001:db8:1:2:ffff::9")]
    assert ask("2001:db8:1:2:3:4:5:6") == 429
    assert ask("2001:db8:1:3::1") != 429
    # IPv4 addresses that a server sees as IPv6 share a /64, and yet each one counts alone.
    assert 429 not in [ask(f"::ffff:192.0.2.{turn}") for turn in range(1, 4)]
    assert 429 in [ask("::ffff:192.0.2.9"), ask("192.0.2.9"), ask("192.0.2.9")]


def test_the_log_keeps_the_whole_address_of_ipv6(world):
    APIClient(REMOTE_ADDR="2001:db8:1:2::77").post("/api/auth/login", to_another(world))

    assert Event.objects.filter(address="2001:db8:1:2::77").exists()


@pytest.mark.parametrize("email", ["client@example.org", "nobody@example.org"])
def test_one_mailbox_gets_so_many_letters_and_nobody_is_told(email, world):
    def ask(who):
        client = APIClient(REMOTE_ADDR=from_elsewhere(world))
        return client.post("/api/auth/forgot-password", {"email": who})

    answers = [ask(who) for who in (email, email.upper(), email, email)]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert OutgoingMail.objects.filter(letter="reset_password").count() == 2
    assert ask("colleague@example.org").status_code == 202
    assert OutgoingMail.objects.filter(letter="reset_password").count() == 3


@pytest.mark.parametrize("email", ["client@example.org", "fresh@example.org"])
def test_nobody_has_one_mailbox_flooded_by_signing_it_up(email, world):
    def sign_up():
        client = APIClient(REMOTE_ADDR=from_elsewhere(world))
        return client.post("/api/auth/signup", {"email": email, "password": "seven green boats", "name": "Amina"})

    answers = [sign_up() for _turn in range(4)]

    assert {answer.status_code for answer in answers} == {201}
    assert OutgoingMail.objects.filter(to=email).count() == 2


def test_a_file_requests_password_has_a_limit_of_all_together(world):
    row = ask_for_files(world.people["uploader"], password="open sesame")

    answers = [Outsider(row, REMOTE_ADDR=from_elsewhere(world)).start(password="wrong") for _turn in range(3)]

    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
