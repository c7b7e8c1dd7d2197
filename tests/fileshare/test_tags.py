"""Tags: users who may change a file add and remove them; suggestions come from files a user may download."""

import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import Event
from fileshare import folders, tags
from fileshare.contributions.actions import Action
from fileshare.models import File, Folder, Tag
from tests.factories import grant, store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once


def names(file):
    return sorted(file.tags.values_list("name", flat=True))


def add(api, file, tags):
    return api.post(f"/api/files/{file.pk}/tags", {"tags": tags})


def test_new_tags_are_made_in_one_order(db):
    with CaptureQueriesContext(connection) as queries:
        assert {tag.name for tag in tags.rows(["zebra", "ant", "moose"])} == {"ant", "moose", "zebra"}

    [made] = [entry["sql"] for entry in queries if entry["sql"].startswith("INSERT")]
    assert made.index("ant") < made.index("moose") < made.index("zebra"), "or two transactions may wait for each other"


def test_tags_are_trimmed_lowered_and_each_there_once(report, api_as):
    answer = add(api_as("uploader"), report, [" Draft ", "draft", "2026, Year  end", "", "Überweisung", "<b>🎉</b>"])

    assert answer.status_code == 200
    assert {tag["name"] for tag in answer.json()["tags"]} == {"2026", "<b>🎉</b>", "draft", "year end", "überweisung"}
    assert answer.json()["id"] == str(report.pk)
    assert set(answer.json()["tags"][0]) == {"id", "name"}
    add(api_as("super"), report, ["DRAFT", "u\u0308berweisung", "more"])
    assert names(report) == ["2026", "<b>🎉</b>", "draft", "more", "year end", "überweisung"]


def test_a_tag_is_taken_off_one_file(report, company_folder, people, api_as):
    other = store_file(user=people["uploader"], folder=company_folder, tag_names=["draft"])
    add(api_as("uploader"), report, ["draft", "2026"])
    tag = Tag.objects.get(name="draft")

    answer = api_as("uploader").delete(f"/api/files/{report.pk}/tags/{tag.pk}")

    assert (answer.status_code, [tag["name"] for tag in answer.json()["tags"]]) == (200, ["2026"])
    assert names(other) == ["draft"]
    assert api_as("uploader").delete(f"/api/files/{report.pk}/tags/{tag.pk}").status_code == 404


def test_both_are_in_the_log_and_what_changes_nothing_is_not(report, api_as):
    def logged():
        return list(Event.objects.filter(action=Action.FILE_CHANGED, target_id=str(report.pk)).order_by("created_at"))

    add(api_as("uploader"), report, ["draft"])
    add(api_as("uploader"), report, ["Draft"])
    api_as("uploader").delete(f"/api/files/{report.pk}/tags/{report.tags.get().pk}")

    assert [event.detail["after"] for event in logged()] == [{"tags": ["draft"]}, {"tags": []}]
    assert {event.actor_email for event in logged()} == {"uploader@example.org"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tags": None},
        {"tags": "draft"},
        {"tags": {}},
        {"tags": []},
        {"tags": [""]},
        {"tags": [" , ,"]},
        {"tags": ["x" * 51]},
        {"tags": ["x" * 1_000_000]},
        {"tags": [str(number) for number in range(51)]},
        {"tags": [str(number) for number in range(1000)]},
        {"tags": ["fine", "a\x00b"]},
        {"tags": ["fine", "a\u202eb"]},
        {"tags": ["fine", "\ud800"]},
        {"tags": [["fine"]]},
        {"tags": [{"name": "fine"}]},
        {"tags": ["fine", None]},
        {"tags": ["fine"], "colour": "red"},
    ],
)
def test_bad_tags_are_refused_and_change_nothing(body, report, api_as):
    path, text = f"/api/files/{report.pk}/tags", json.dumps(body)
    answer = api_as("uploader").post(path, text, content_type="application/json")

    assert answer.status_code == 400
    assert {"detail", "code"} <= set(answer.json())
    assert names(report) == []
    assert not Tag.objects.exists()


def test_a_file_has_fifty_tags_at_most(report, api_as):
    assert add(api_as("uploader"), report, [f"tag {number}" for number in range(49)]).status_code == 200

    assert add(api_as("uploader"), report, ["one", "two"]).status_code == 400
    assert len(names(report)) == 49
    assert add(api_as("uploader"), report, ["one"]).status_code == 200
    assert add(api_as("uploader"), report, ["one", "tag 1"]).status_code == 200


@pytest.mark.parametrize("tag_id", ["x", "%00", "1", "00000000-0000-4000-8000-000000000000"])
def test_unknown_and_foreign_ids_are_not_there(tag_id, report, api_as, people):
    foreign = Tag.objects.create(name="elsewhere")
    for wrong in (tag_id, str(foreign.pk)):
        assert api_as("uploader").delete(f"/api/files/{report.pk}/tags/{wrong}").status_code == 404
    assert api_as("uploader").post(f"/api/files/{tag_id}/tags", {"tags": ["a"]}).status_code == 404
    assert Tag.objects.count() == 1


def test_who_may_not_change_a_file_tags_nothing(report, api_as):
    report.tags.add(Tag.objects.create(name="kept"))
    tag = report.tags.get()
    for who, status in [(None, 401), ("stranger", 404), ("client", 404), ("colleague", 403)]:
        assert add(api_as(who), report, ["mine"]).status_code == status
        assert api_as(who).delete(f"/api/files/{report.pk}/tags/{tag.pk}").status_code == status
    assert names(report) == ["kept"]


@pytest.mark.parametrize("few", [0, 20_000])
def test_suggestions_come_from_what_one_may_download(few, report, people, inbox, api_as, monkeypatch):
    monkeypatch.setattr(tags, "FEW", few)

    def suggested(who, start=""):
        return [tag["name"] for tag in api_as(who).get("/api/files/tags", {"q": start}).json()["results"]]

    report.tags.set([Tag.objects.create(name=name) for name in ("draft", "dr_ft", "überweisung")])
    Tag.objects.create(name="drowned")
    store_file(user=people["client"], folder=inbox, tag_names=["drive"])
    own = folders.personal_folder(people["super"])
    store_file(user=people["super"], folder=own, visibility="public", tag_names=["published", "draft"])
    store_file(user=people["super"], folder=own, tag_names=["secret"])

    assert suggested("colleague") == ["dr_ft", "draft", "published", "überweisung"]
    assert suggested("colleague", " DR") == ["dr_ft", "draft"]
    assert suggested("colleague", "dr_") == ["dr_ft"]
    assert suggested("colleague", "Ü") == ["überweisung"]
    assert suggested("colleague", "%") == suggested("colleague", "x" * 5000) == []
    assert suggested("stranger") == suggested("client") == ["draft", "published"]
    File.objects.filter(visibility="public").delete()
    assert suggested("stranger") == suggested("client") == []
    Folder.objects.filter(pk=report.folder_id).update(company=None)
    assert suggested("colleague") == []
    grant(report.folder, "download", user=people["stranger"])
    assert suggested("stranger", "dra") == ["draft"]


def test_the_search_page_offers_the_first_tags_of_what_one_may_download(report, people, page_as):
    report.tags.set([Tag.objects.create(name=name) for name in ("draft", "<b>bold</b>")])

    shown = page_as("colleague").get("/search").content.decode()
    assert '<option value="draft">' in shown
    assert '<option value="&lt;b&gt;bold&lt;/b&gt;">' in shown
    assert '<option value="draft">' not in page_as("stranger").get("/search").content.decode()


def test_the_page_adds_and_removes_without_scripts(report, page_as):
    page, address = page_as("uploader"), f"/files/{report.pk}/"

    assert page.post(f"{address}tags", {"tags": "Draft, <i>it</i>"}).status_code == 302
    shown = page.get(address).content.decode()
    assert "&lt;i&gt;it&lt;/i&gt;" in shown
    assert "<i>it" not in shown
    assert '<option value="draft">' in shown
    assert "/search?tags=%3Ci%3Eit%3C%2Fi%3E" in shown
    tag = report.tags.get(name="draft")
    assert page.post(f"{address}tags/{tag.pk}/remove").status_code == 302
    assert names(report) == ["<i>it</i>"]


@pytest.mark.parametrize("text", ["", ",", "x" * 51, "x" * 5000, ",".join(map(str, range(51)))])
def test_the_page_says_what_is_wrong_with_a_tag(text, report, page_as):
    answer = page_as("uploader").post(f"/files/{report.pk}/tags", {"tags": text})

    assert answer.status_code == 400
    assert answer.context["tag_form"].errors
    assert names(report) == []


def test_a_form_of_another_site_tags_nothing(report, people):
    report.tags.add(Tag.objects.create(name="kept"))
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people["uploader"])

    for path in (f"/files/{report.pk}/tags", f"/files/{report.pk}/tags/{report.tags.get().pk}/remove"):
        assert browser.post(path, {"tags": "evil"}).status_code == 403
    assert browser.post(f"/api/files/{report.pk}/tags", {"tags": ["evil"]}, "application/json").status_code == 403
    assert browser.delete(f"/api/files/{report.pk}/tags/{report.tags.get().pk}").status_code == 403
    assert names(report) == ["kept"]


@REAL_TRANSACTIONS
def test_tags_added_at_once_are_all_there_and_fifty_at_most(report, api_as):
    api = api_as("uploader")
    headers = api._credentials

    def tag(number):
        return (
            Client()
            .post(
                f"/api/files/{report.pk}/tags",
                {"tags": [f"{number}-{n}" for n in range(10)] + ["shared"]},
                "application/json",
                **headers,
            )
            .status_code
        )

    statuses = at_once(6, tag)

    assert sorted(statuses) == [200, 200, 200, 200, 400, 400]
    assert len(names(report)) == 41
