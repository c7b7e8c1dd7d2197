"""Deleting and tagging many files: what one call for each does, for all of them or for none."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Notification
from audit.models import Event
from fileshare import files, holds
from fileshare.many import deleting, tagging
from fileshare.models import File, Tag
from tests.factories import store_file
from tests.fileshare.helpers import refusal, space

pytestmark = pytest.mark.django_db


def tags_of(file):
    return sorted(file.tags.values_list("name", flat=True))


# --- Delete -------------------------------------------------------------------------------------------


def test_deleted_files_are_in_the_trash(ask, people, company_folder, three, api_as):
    used = space(company_folder)

    answer = ask("delete", three)

    assert answer.status_code == 200, answer.json()
    assert [row["id"] for row in answer.json()["done"]] == [str(file.pk) for file in three]
    assert answer.json()["refused"] == []
    api = api_as("uploader")
    assert {row["id"] for row in api.get("/api/files/trash").json()["results"]} == {str(file.pk) for file in three}
    assert space(company_folder) == used
    assert [row.target_id for row in Event.objects.filter(action="delete").order_by("target_name")] == [
        str(file.pk) for file in three
    ]
    assert api.post(f"/api/files/{three[0].pk}/restore").status_code == 200


def test_one_that_may_not_be_deleted_stops_all(ask, people, company_folder, three):
    theirs = store_file(user=people["super"], folder=company_folder, filename="d.txt", content=b"d")
    unknown = uuid.uuid4()

    answer = ask("delete", [theirs, *three, unknown])

    assert refusal(answer) == (404, "not_found"), "what is not there comes first"
    assert answer.json()["errors"] == {"file_ids": [str(unknown)]}
    assert File.objects.filter(deleted_at=None).count() == 4
    partial = ask("delete", [theirs, *three, unknown], partial=True).json()
    assert len(partial["done"]) == 3
    assert [row["code"] for row in partial["refused"]] == ["permission_denied", "not_found"]


def test_a_held_file_stays(ask, people, three):
    holds.place(by=people["super"], file_id=three[1].pk, reason="A lawsuit")

    assert refusal(ask("delete", three)) == (409, "legal_hold")
    assert len(ask("delete", three, partial=True).json()["done"]) == 2
    assert File.objects.get(pk=three[1].pk).deleted_at is None


def test_the_uploader_gets_one_notice_of_all(ask, people, three):
    ask("delete", three[:2], who="super")
    ask("delete", three[2:], who="super")

    notice = Notification.objects.get(type="file_deleted")
    assert (notice.user, notice.payload["count"]) == (people["uploader"], 3)


def test_a_deletion_by_oneself_is_no_news(ask, three):
    ask("delete", three)

    assert not Notification.objects.filter(type="file_deleted").exists()


# --- Tags ---------------------------------------------------------------------------------------------


def test_tags_are_added_to_all_and_each_keeps_its_own(ask, people, three):
    files.add_tags(user=people["uploader"], file_id=three[0].pk, names=["own", "tax"])

    answer = ask("tags", three, tags=["Tax", "2026, draft"])

    assert answer.status_code == 200, answer.json()
    assert [[tag["name"] for tag in row["tags"]] for row in answer.json()["done"]] == [
        ["2026", "draft", "own", "tax"],
        ["2026", "draft", "tax"],
        ["2026", "draft", "tax"],
    ]
    told = [event.detail for event in Event.objects.filter(action="file_changed", target_id=str(three[0].pk))]
    assert {"before": {"tags": ["own", "tax"]}, "after": {"tags": ["2026", "draft", "own", "tax"]}} in told


def test_tags_are_removed_and_added_by_one_call(ask, people, three):
    for file in three[:2]:
        files.add_tags(user=people["uploader"], file_id=file.pk, names=["old", "own"])

    ask("tags", three, tags=["new"], remove_tags=["OLD"])

    assert [tags_of(file) for file in three] == [["new", "own"], ["new", "own"], ["new"]]


def test_what_changes_nothing_is_not_in_the_log(ask, people, three):
    ask("tags", three, tags=["tax"])
    before = Event.objects.count()

    assert ask("tags", three, tags=["tax"], remove_tags=["unknown"]).status_code == 200
    assert Event.objects.count() == before


@pytest.mark.parametrize(
    "facts", [{}, {"tags": []}, {"tags": [" , "]}, {"tags": ["x" * 51]}, {"tags": ["a"], "remove_tags": ["A"]}]
)
def test_bad_tags_are_refused(ask, three, facts):
    assert refusal(ask("tags", three, **facts)) == (400, "invalid")
    assert not Tag.objects.exists()


def test_a_file_with_too_many_tags_is_refused(ask, people, three):
    files.add_tags(user=people["uploader"], file_id=three[0].pk, names=[f"t{n}" for n in range(50)])

    answer = ask("tags", three, tags=["more"])

    assert refusal(answer) == (400, "invalid")
    assert answer.json()["errors"] == {"file_ids": [str(three[0].pk)]}
    assert tags_of(three[1]) == []
    assert len(ask("tags", three, tags=["more"], partial=True).json()["done"]) == 2


def test_only_who_may_change_a_file_may_tag_it(ask, three):
    assert refusal(ask("tags", three, who="colleague", tags=["x"])) == (403, "permission_denied")
    assert refusal(ask("tags", three, who="stranger", tags=["x"])) == (404, "not_found")


def test_the_suggestions_are_still_a_get(api_as, ask, three):
    ask("tags", three, tags=["tax"])

    assert [row["name"] for row in api_as("uploader").get("/api/files/tags?q=ta").json()["results"]] == ["tax"]


def test_many_cost_as_many_queries_as_few(people, company_folder):
    uploader = people["uploader"]
    found = [store_file(user=uploader, folder=company_folder, filename=f"{n}.txt", content=b"x") for n in range(12)]

    def queries(act, rows, **facts):
        with CaptureQueriesContext(connection) as captured:
            act(file_ids=[row.pk for row in rows], **facts)
        return len(captured)

    def tag(**facts):
        tagging.change_tags(user=uploader, add=["a", "b"], remove=["c"], **facts)

    def delete(**facts):
        deleting.delete(user=people["super"], **facts)

    assert queries(tag, found[:2]) == queries(tag, found[2:])
    assert queries(delete, found[:2]) >= queries(delete, found[2:])
