"""A user's own profile, and what they see of other users."""

import pytest

from accounts.models import User

pytestmark = pytest.mark.django_db
NOBODY = "00000000-0000-4000-8000-000000000000"
FIELDS = {
    "id",
    "email",
    "name",
    "bio",
    "avatar_url",
    "company",
    "roles",
    "permissions",
    "created_at",
    "updated_at",
}


@pytest.fixture
def colleague(api_as):
    return api_as("colleague")


def test_me(colleague, people):
    body = colleague.get("/api/users/me").json()

    assert set(body) == FIELDS
    assert body["id"] == str(people["colleague"].pk)
    assert body["roles"] == ["client"]
    assert body["company"] == {"id": str(people["colleague"].company_id), "name": "Baobab", "slug": "baobab"}
    assert body["avatar_url"] is None
    assert body["created_at"].endswith("Z")


def test_a_super_holds_every_permission_of_the_portal(api_as):
    body = api_as("super").get("/api/users/me").json()

    assert {"add_file", "change_user", "view_event"} <= set(body["permissions"])
    assert "add_session" not in body["permissions"]


def test_name_and_bio_can_be_set(colleague, people):
    body = colleague.put("/api/users/me", {"name": "Wanjirũ", "bio": "Counts ships."}).json()

    assert (body["name"], body["bio"]) == ("Wanjirũ", "Counts ships.")
    user = User.objects.get(pk=people["colleague"].pk)
    assert (user.name, user.bio) == ("Wanjirũ", "Counts ships.")


def test_patch_leaves_what_it_does_not_name(colleague):
    colleague.patch("/api/users/me", {"bio": "Counts ships."})

    body = colleague.patch("/api/users/me", {"name": "Wanjirũ"}).json()

    assert (body["name"], body["bio"]) == ("Wanjirũ", "Counts ships.")


def test_put_needs_a_name(colleague):
    assert list(colleague.put("/api/users/me", {"bio": "x"}).json()["errors"]) == ["name"]


@pytest.mark.parametrize("who", ["colleague", "super", "client"])
def test_what_was_read_may_be_sent_back(who, api_as):
    present = api_as(who).get("/api/users/me").json()

    response = api_as(who).put("/api/users/me", {**present, "bio": "New."})

    assert response.status_code == 200
    changed = {name for name in present if response.json()[name] != present[name]}
    assert changed == {"bio", "updated_at"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("roles", ["super"]),
        ("roles", []),
        ("permissions", ["add_file"]),
        ("company", None),
        ("company", {"id": NOBODY, "name": "Other", "slug": "other"}),
        ("company_id", NOBODY),
        ("id", NOBODY),
        ("is_superuser", True),
        ("is_staff", True),
        ("is_active", True),
        ("password", "nine purple trains"),
        ("pending_email", "x@example.org"),
        ("email_verified_at", None),
        ("avatar_url", "https://elsewhere.example/x.png"),
        ("created_at", "2020-01-01T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("method", ["put", "patch"])
def test_what_is_not_ones_own_to_set_is_refused_and_nothing_changes(method, field, value, colleague, people):
    before = User.objects.values().get(pk=people["colleague"].pk)

    response = getattr(colleague, method)("/api/users/me", {"name": "Other", field: value})

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]
    assert User.objects.values().get(pk=people["colleague"].pk) == before


@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("name", "   "), ("name", "x" * 151), ("bio", "x" * 1001), ("email", "nobody")]
)
def test_values_that_do_not_fit_are_refused(field, value, colleague):
    response = colleague.patch("/api/users/me", {field: value})

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]


def test_others_show_name_bio_and_picture_only(colleague, people):
    body = colleague.get(f"/api/users/{people['stranger'].pk}").json()

    assert set(body) == {"id", "name", "bio", "avatar_url"}


def test_a_nameless_user_shows_no_whole_address(colleague, people):
    User.objects.filter(pk=people["stranger"].pk).update(name="")

    assert colleague.get(f"/api/users/{people['stranger'].pk}").json()["name"] == "stranger"


@pytest.mark.parametrize("who", ["off", "nobody"])
def test_a_switched_off_user_looks_like_one_who_never_was(who, colleague, people):
    pk = people["off"].pk if who == "off" else NOBODY

    assert colleague.get(f"/api/users/{pk}").status_code == 404


def test_the_page_saves_name_and_bio(client, people):
    client.force_login(people["client"])

    response = client.post("/profile", {"form": "profile", "name": "Wanjirũ", "bio": "Counts ships."})

    assert response.status_code == 302
    assert User.objects.get(pk=people["client"].pk).name == "Wanjirũ"


def test_a_refused_name_is_shown_beside_the_form_and_not_in_the_header(client, people):
    client.force_login(people["client"])

    response = client.post("/profile", {"form": "profile", "name": "", "bio": "x"})

    assert response.status_code == 400
    assert response.context["profile_form"].errors["name"]
    assert response.context["user"].name == people["client"].name


def test_a_form_of_another_name_does_nothing(client, people):
    client.force_login(people["client"])

    assert client.post("/profile", {"form": "roles", "roles": "super"}).status_code == 200
    assert not User.objects.get(pk=people["client"].pk).is_superuser
