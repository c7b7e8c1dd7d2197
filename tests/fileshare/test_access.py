"""Who may do what: contract §2 as a table, checked at the model, by API and by page."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from accounts.models import Role, User
from fileshare import folders, lists
from fileshare.api.serializers import FileSerializer, FolderSerializer
from fileshare.models import File, Folder, FolderPermission, PermissionType, Visibility
from fileshare.outgoing import downloads
from tests.factories import FolderFactory, UserFactory, grant, store_file
from tests.fileshare.helpers import content, path_of

pytestmark = pytest.mark.both

DOWNLOAD, UPLOAD = PermissionType.DOWNLOAD, PermissionType.UPLOAD

# folder: (who may download, who may upload). Others have no right; only supers manage.
RIGHTS = {
    "company": ("uploader colleague super", "uploader super"),
    "special": ("super", "super"),
    "letters": ("colleague client stranger super", "super"),
    "inbox": ("super", "client super"),
    "two-way": ("uploader colleague super", "uploader colleague super"),
    "lent": ("stranger super", "super"),
    "documents": ("uploader ops colleague client stranger super", "uploader ops super"),
    "personal": ("client super", "client super"),
}


@pytest.fixture
def cast(people):
    """The people, and a visitor who is not signed in."""
    return {**people, "nobody": AnonymousUser()}


@pytest.fixture
def places(people, company_folder, documents, inbox):
    special = FolderFactory(name="Special", slug="special")
    letters = FolderFactory(name="Letters", slug="letters")
    grant(letters, DOWNLOAD, role=Role.objects.get(name="client"))
    company, other = people["colleague"].company, people["stranger"].company
    two_way = FolderFactory(name="Two-way", slug="two-way", company=company)
    grant(two_way, UPLOAD, company=company)
    for kind in (DOWNLOAD, UPLOAD):
        grant(two_way, kind, user=people["uploader"])
    lent = FolderFactory(name="Lent", slug="lent")
    grant(lent, DOWNLOAD, company=other)
    for folder in (special, letters, company_folder):
        # A user who is switched off has no rights, whatever their grants.
        grant(folder, DOWNLOAD, user=people["off"])
        grant(folder, UPLOAD, user=people["off"])
    return {
        "company": company_folder,
        "special": special,
        "letters": letters,
        "inbox": inbox,
        "two-way": two_way,
        "lent": lent,
        "documents": documents,
        "personal": folders.personal_folder(people["client"]),
    }


def those_who(cast, queryset_of, row):
    return {who for who, user in cast.items() if queryset_of(user).filter(pk=row.pk).exists()}


@pytest.mark.parametrize("place", RIGHTS)
def test_rights_on_a_folder_at_the_model(place, places, cast):
    downloaders, uploaders = (set(names.split()) for names in RIGHTS[place])
    folder, rule = places[place], Folder.objects

    assert those_who(cast, rule.downloadable_by, folder) == downloaders
    assert those_who(cast, rule.uploadable_by, folder) == uploaders
    assert those_who(cast, rule.visible_to, folder) == downloaders | uploaders
    assert those_who(cast, rule.manageable_by, folder) == {"super"}


@pytest.mark.parametrize("who", ["uploader", "ops", "colleague", "client", "stranger", "off", "super"])
def test_the_reasons_of_rights_are_the_rights(who, places, people, role):
    user = people[who]
    as_if = user if not user.is_superuser else UserFactory(roles=["super"])
    reasons = Folder.objects.reasons(as_if)

    for kind, rule in ((DOWNLOAD, Folder.objects.downloadable_by), (UPLOAD, Folder.objects.uploadable_by)):
        assert {folder.pk for folder, right, _holder in reasons if right == kind} == set(
            rule(as_if).values_list("pk", flat=True)
        )
    holders = {holder for _folder, _kind, holder in reasons}
    assert holders <= {as_if, as_if.company, *as_if.groups.all()} | set(Role.objects.filter(user=as_if))


def test_why_somebody_may_use_a_folder(places, people):
    def told(who):
        return [(folder.name, str(kind), str(holder)) for folder, kind, holder in Folder.objects.reasons(people[who])]

    assert told("colleague") == [
        ("Baobab", "download", "Baobab"),
        ("Client documents", "download", "client"),
        ("Letters", "download", "client"),
        ("Two-way", "download", "Baobab"),
        ("Two-way", "upload", "Baobab"),
    ]
    assert ("Baobab", "upload", "uploader@example.org") in told("uploader")
    assert ("My files", "upload", "client@example.org") in told("client")


def test_who_leaves_a_company_loses_what_it_was_granted(places, people, api_as):
    address = f"/api/fileshare/folders/{places['two-way'].pk}"
    assert api_as("colleague").get(address).json()["can_upload"] is True

    User.objects.filter(pk=people["colleague"].pk).update(company=people["stranger"].company)

    assert api_as("colleague").get(address).status_code == 404


@pytest.mark.parametrize("place", RIGHTS)
@pytest.mark.parametrize("who", ["uploader", "ops", "colleague", "client", "stranger", "super"])
def test_rights_on_a_folder_over_http(place, who, places, api_as):
    downloads_it, uploads_to_it = (who in names.split() for names in RIGHTS[place])
    folder, api = places[place], api_as(who)
    seen = downloads_it or uploads_to_it
    promise = {"folder_id": str(folder.pk), "filename": "a.docx", "size_bytes": 10}

    answers = {
        "see": api.get(f"/api/fileshare/folders/{folder.pk}"),
        "list": api.get(f"/api/fileshare/folders/{folder.pk}/files"),
        "upload": api.post("/api/fileshare/upload/initiate", promise),
        "change": api.patch(f"/api/fileshare/folders/{folder.pk}", {"description": "New"}),
        "grants": api.get(f"/api/fileshare/folders/{folder.pk}/permissions"),
    }
    listed = {row["id"]: row for row in api.get("/api/fileshare/folders").json()["results"]}

    managed = 200 if who == "super" else 403 if seen else 404
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "see": 200 if seen else 404,
        "list": 200 if seen else 404,
        "upload": 201 if uploads_to_it else 403 if seen else 404,
        "change": managed,
        "grants": managed,
    }
    assert (str(folder.pk) in listed) is seen
    if seen:
        shown = listed[str(folder.pk)]
        assert (shown["can_download"], shown["can_upload"], shown["can_manage"]) == (
            downloads_it,
            uploads_to_it,
            who == "super",
        )


@pytest.mark.parametrize("place", RIGHTS)
@pytest.mark.parametrize("who", ["off", None])
def test_nobody_and_the_switched_off_are_asked_to_sign_in(place, who, places, api_as, page_as):
    folder = places[place]

    assert api_as(who).get(f"/api/fileshare/folders/{folder.pk}").status_code == 401
    assert api_as(who).get("/api/fileshare/folders").status_code == 401
    page = page_as(who).get(f"/fileshare/{folder.slug}/")
    assert page.status_code == 302
    assert page["Location"].startswith("/login")


def test_a_user_without_a_company_has_no_right_to_folders_without_one(people):
    folder = FolderFactory(company=None)

    assert people["client"].company_id is None
    assert not Folder.objects.visible_to(people["client"]).filter(pk=folder.pk).exists()


def test_rights_on_a_file_of_a_company_folder(cast, report):
    assert those_who(cast, File.objects.downloadable_by, report) == {"uploader", "colleague", "super"}
    assert those_who(cast, File.objects.visible_to, report) == {"uploader", "colleague", "super"}
    assert those_who(cast, File.objects.deletable_by, report) == {"uploader", "super"}
    assert those_who(cast, File.objects.publishable_by, report) == set()


def test_rights_on_a_personal_file_and_when_it_is_public(cast, people):
    file = store_file(user=people["client"], folder=folders.personal_folder(people["client"]))

    assert those_who(cast, File.objects.downloadable_by, file) == {"client", "super"}
    assert those_who(cast, File.objects.deletable_by, file) == {"client", "super"}
    assert those_who(cast, File.objects.publishable_by, file) == {"client", "super"}

    File.objects.filter(pk=file.pk).update(visibility=Visibility.PUBLIC)

    signed_in = {"uploader", "ops", "colleague", "client", "stranger", "super"}
    assert those_who(cast, File.objects.downloadable_by, file) == signed_in
    assert those_who(cast, File.objects.visible_to, file) == signed_in
    assert those_who(cast, File.objects.deletable_by, file) == {"client", "super"}


def test_what_others_put_into_a_personal_folder_is_its_owners_too(people, api_as):
    folder = folders.personal_folder(people["client"])
    grant(folder, UPLOAD, user=people["ops"])
    gifts = [store_file(user=people["ops"], folder=folder) for _ in range(2)]

    assert api_as("client").patch(f"/api/files/{gifts[0].pk}", {"filename": "mine.docx"}).status_code == 200
    assert api_as("client").patch(f"/api/files/{gifts[0].pk}", {"visibility": "public"}).status_code == 200
    assert api_as("client").delete(f"/api/files/{gifts[0].pk}").status_code == 204
    assert api_as("ops").delete(f"/api/files/{gifts[1].pk}").status_code == 204


def test_whoever_may_only_upload_sees_their_own_files_and_no_others(people, inbox, cast):
    own = store_file(user=people["client"], folder=inbox)
    other = store_file(user=people["super"], folder=inbox)

    assert those_who(cast, File.objects.downloadable_by, own) == {"super"}
    assert those_who(cast, File.objects.visible_to, own) == {"client", "super"}
    assert those_who(cast, File.objects.deletable_by, own) == {"client", "super"}
    assert those_who(cast, File.objects.visible_to, other) == {"super"}


def test_an_upload_only_folder_lists_own_files_alone(people, inbox, api_as):
    own = store_file(user=people["client"], folder=inbox)
    store_file(user=people["super"], folder=inbox)

    rows = api_as("client").get(f"/api/fileshare/folders/{inbox.pk}/files").json()["results"]

    assert [row["id"] for row in rows] == [str(own.pk)]


@pytest.mark.parametrize(
    ("who", "seen", "downloaded", "changed"),
    [
        ("uploader", 200, 200, 200),
        ("super", 200, 200, 200),
        ("colleague", 200, 200, 403),
        ("stranger", 404, 404, 404),
        ("client", 404, 404, 404),
        ("ops", 404, 404, 404),
        ("off", 401, 401, 401),
        (None, 401, 401, 401),
    ],
)
def test_rights_on_a_file_over_http(who, seen, downloaded, changed, report, api_as):
    api = api_as(who)

    assert api.get(f"/api/files/{report.pk}").status_code == seen
    assert api.get(f"/api/client/download/{report.pk}").status_code == downloaded
    assert api.post(f"/api/fileshare/download/{report.pk}").status_code == downloaded
    assert api.get(f"/api/files/{report.pk}/download").status_code == (302 if downloaded == 200 else downloaded)
    assert api.patch(f"/api/files/{report.pk}", {"filename": "new.docx"}).status_code == changed


@pytest.mark.parametrize("who", ["colleague", "super", "uploader"])
def test_can_delete_is_told_as_it_is(who, report, api_as):
    shown = api_as(who).get(f"/api/files/{report.pk}").json()["can_delete"]

    assert shown is (who != "colleague")


def test_whoever_sees_a_file_without_downloading_it_gets_403(people, inbox, api_as):
    own = store_file(user=people["client"], folder=inbox)

    assert api_as("client").get(f"/api/files/{own.pk}").status_code == 200
    for answer in (
        api_as("client").get(f"/api/client/download/{own.pk}"),
        api_as("client").get(f"/api/files/{own.pk}/download"),
        api_as("client").post(f"/api/fileshare/download/{own.pk}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_a_foreign_file_is_answered_like_one_that_does_not_exist(report, api_as):
    api = api_as("stranger")
    for address in ("/api/files/{}", "/api/client/download/{}", "/api/files/{}/download"):
        foreign = api.get(address.format(report.pk))
        missing = api.get(address.format("00000000-0000-4000-8000-000000000000"))
        malformed = api.get(address.format("no-id"))
        assert foreign.status_code == missing.status_code == malformed.status_code == 404
        assert foreign.json() == missing.json() == malformed.json()


def test_the_uploader_loses_the_right_to_delete_with_the_folder(people, company_folder, report, api_as):
    FolderPermission.objects.filter(user=people["uploader"]).delete()

    assert api_as("uploader").delete(f"/api/files/{report.pk}").status_code == 404
    assert File.objects.filter(pk=report.pk).exists()


# --- Taken away -----------------------------------------------------------------------------------


def grant_revoked(people, folder):
    FolderPermission.objects.filter(user=people["uploader"]).delete()
    return "uploader"


def role_lost(people, folder):
    grant(folder, DOWNLOAD, role=Role.objects.get(name="ops"))
    FolderPermission.objects.filter(user=people["uploader"]).delete()
    people["uploader"].groups.clear()
    return "uploader"


def company_changed(people, folder):
    type(people["colleague"]).objects.filter(pk=people["colleague"].pk).update(company=people["stranger"].company)
    return "colleague"


def company_left(people, folder):
    type(people["colleague"]).objects.filter(pk=people["colleague"].pk).update(company=None)
    return "colleague"


def folder_given_away(people, folder):
    Folder.objects.filter(pk=folder.pk).update(company=people["stranger"].company)
    return "colleague"


def switched_off(people, folder):
    type(people["colleague"]).objects.filter(pk=people["colleague"].pk).update(is_active=False)
    return "colleague"


@pytest.mark.local
@pytest.mark.parametrize(
    "change", [grant_revoked, role_lost, company_changed, company_left, folder_given_away, switched_off]
)
def test_a_right_taken_away_is_gone_at_the_next_request(change, people, company_folder, report, api_as, page_as):
    who = "uploader" if change in (grant_revoked, role_lost) else "colleague"
    user = people[who]
    api, browser = api_as(who), page_as(who)
    link = downloads.link_for(user=user, file_id=report.pk)
    once = downloads.link_for(user=user, file_id=report.pk, one_time=True)
    signed = downloads.presigned_url(user=user, file_id=report.pk)
    assert content(browser.get(link))
    assert content(browser.get(signed))

    change(people, company_folder)

    gone = 401 if change is switched_off else 404
    assert browser.get(link, headers={"Accept": "application/json"}).status_code == gone
    assert api.get(link).status_code == gone
    assert browser.get(once, headers={"Accept": "application/json"}).status_code == gone
    # A signed URL names its maker: the portal checks the maker's rights, whichever user opens it.
    assert browser.get(signed).status_code == 404
    assert api.get(f"/api/files/{report.pk}").status_code == gone
    assert api.get(f"/api/fileshare/folders/{company_folder.pk}/files").status_code == gone
    assert browser.get(f"/files/{report.pk}/").status_code == (302 if change is switched_off else 404)


def test_a_signed_url_still_resumes_while_its_maker_may_read(people, report, page_as):
    url = downloads.presigned_url(user=people["colleague"], file_id=report.pk)

    answer = page_as(None).get(path_of(url), headers={"Range": "bytes=5-"})

    assert answer.status_code == 206
    assert len(content(answer)) == report.size_bytes - 5


# --- Once each --------------------------------------------------------------------------------------


def test_a_right_that_comes_five_ways_shows_a_row_once(people, company_folder, api_as):
    user = UserFactory(company=company_folder.company, roles=["client", "ops"])
    for permission_type in (DOWNLOAD, UPLOAD):
        grant(company_folder, permission_type, user=user)
        for role in ("client", "ops"):
            grant(company_folder, permission_type, role=Role.objects.get(name=role))
    file = store_file(user=user, folder=company_folder)

    for rule in (Folder.objects.downloadable_by, Folder.objects.uploadable_by, Folder.objects.visible_to):
        assert list(rule(user)).count(company_folder) == 1
    for rule in (File.objects.downloadable_by, File.objects.visible_to, File.objects.deletable_by):
        assert list(rule(user)) == [file]
    listed = api_as(user).get("/api/fileshare/folders").json()["results"]
    assert [row["id"] for row in listed].count(str(company_folder.pk)) == 1
    assert len(api_as(user).get("/api/client/files").json()["results"]) == 1


@pytest.mark.parametrize("who", ["uploader", "ops", "colleague", "client", "stranger", "super", "off", "nobody"])
def test_a_prepared_query_gives_each_person_what_the_rule_gives(who, places, cast, people, rf):
    """lists.py keeps the SQL of the rules; each kind of person has statements of their own."""
    user, by = cast[who], people["super"]
    for place, folder in places.items():
        for number in range(2):
            store_file(user=by, folder=folder, filename="a.docx", tag_names=[place, f"{number}"])
    store_file(user=people["client"], folder=places["inbox"])
    store_file(user=people["client"], folder=places["personal"], visibility=Visibility.PUBLIC)
    gone = store_file(user=by, folder=places["personal"])
    files = File.objects.order_by("-uploaded_at", "-pk")
    File.objects.filter(pk=gone.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    def told(rows):
        facts = [FileSerializer(row).data | {"versions": getattr(row, "version_count", 1)} for row in rows]
        return [{**each, "tags": sorted(tag["name"] for tag in each["tags"])} for each in facts]

    request, count = rf.get("/"), 0
    for file in files:
        meant = File.objects.downloadable_by(user).filter(pk=file.pk).first()
        assert lists.DOWNLOADABLE.first(user=user, pk=file.pk) == meant
    for folder in Folder.objects.all():
        row = Folder.objects.visible_to(user).with_rights(user).filter(pk=folder.pk).first()
        found = lists.folder_seen_by(user, pk=folder.pk)
        assert found == row == lists.folder_seen_by(user, slug=folder.slug)
        if row is not None:
            assert FolderSerializer(found).data == FolderSerializer(row).data
            whole = files.in_folder(row, user)
            assert told(lists.page_of_folder(found, user=user, request=request).results) == told(
                whole.with_details(user)
            )
            newest = lists.page_of_folder(found, user=user, request=request, subfolder=lists.ROOT, newest_versions=True)
            assert told(newest.results) == told(whole.filter(subfolder=None).latest_versions().with_details(user))
            count += len(newest.results)
    seen = Folder.objects.visible_to(user).with_rights(user).in_order()
    assert lists.folders_seen_by(user, 0, 100) == list(seen)
    assert lists.folders_seen_by(user, 1, 3) == list(seen[1:3])
    if who not in ("off", "nobody"):
        own = files.visible_to(user).filter(uploaded_by=user)
        assert told(lists.OWN.page(user=user, request=request).results) == told(own.with_details(user))
        assert count > 0, "somebody sees something"


def test_a_right_that_ends_while_the_statement_is_kept_is_gone_at_once(people, company_folder):
    reader = people["stranger"]
    right = grant(company_folder, DOWNLOAD, user=reader)
    file = store_file(user=people["uploader"], folder=company_folder)
    later = timezone.now() + timedelta(days=2)

    assert lists.DOWNLOADABLE.first(user=reader, pk=file.pk) == file
    right.delete()
    assert lists.DOWNLOADABLE.first(user=reader, pk=file.pk) is None

    grant(company_folder, DOWNLOAD, role=Role.objects.get(name="client"))
    assert lists.DOWNLOADABLE.first(user=reader, pk=file.pk) == file
    File.objects.filter(pk=file.pk).update(expires_at=timezone.now() + timedelta(days=1))
    assert lists.DOWNLOADABLE.first(user=reader, pk=file.pk) == file
    with time_machine.travel(later, tick=False):
        assert lists.DOWNLOADABLE.first(user=reader, pk=file.pk) is None
