"""Notices about folders: little room, new files, files that expire, grants to a role."""

import json
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Notification, OutgoingMail, User
from accounts.notices.notifications import mark_read
from fileshare import folder_notices, folders, tasks
from fileshare.models import File, Folder
from fileshare.space import quotas
from tests.accounts.test_races import at_once
from tests.factories import FolderFactory, UserFactory, grant, store_file

pytestmark = pytest.mark.django_db


def told(kind, user=None):
    notices = Notification.objects.filter(type=kind)
    return notices if user is None else notices.filter(user=user)


def who_was_told(kind):
    return sorted(told(kind).values_list("user__email", flat=True))


def soon(**later):
    """The time when the portal may tell of files that are new now, plus `later`."""
    return timezone.now() + timedelta(seconds=30) + timedelta(**later)


# --- Little room ------------------------------------------------------------------------------------


@pytest.fixture
def small(people):
    """A personal folder of 1,000 bytes."""
    folder = folders.personal_folder(people["client"])
    Folder.objects.filter(pk=folder.pk).update(quota_bytes=1000)
    return folder


def test_its_owner_hears_once_when_a_folder_becomes_nearly_full(small, people):
    for size in (800, 99):
        quotas.reserve(folder_id=small.pk, size_bytes=size)
    assert not told("quota_near_full").exists()

    for size in (1, 50, 10):
        quotas.reserve(folder_id=small.pk, size_bytes=size)

    notice = told("quota_near_full").get()
    assert notice.user == people["client"]
    assert notice.payload == {"folder": small.name, "folder_slug": small.slug, "percent": 90}
    assert OutgoingMail.objects.filter(letter="notice").count() == 1


def test_it_is_told_again_when_there_was_room_in_between(small, people):
    quotas.reserve(folder_id=small.pk, size_bytes=950)
    mark_read(user=people["client"], everything=True)
    quotas.release(folder_id=small.pk, reserved_bytes=900)

    quotas.reserve(folder_id=small.pk, size_bytes=900)

    assert told("quota_near_full").count() == 2


def test_supers_hear_of_a_shared_folder(company_folder, people):
    Folder.objects.filter(pk=company_folder.pk).update(quota_bytes=1000)
    off = UserFactory(is_superuser=True, is_active=False)

    quotas.reserve(folder_id=company_folder.pk, size_bytes=1000)

    assert off.email not in who_was_told("quota_near_full")
    assert who_was_told("quota_near_full") == ["super@example.org"]


def test_what_is_refused_tells_nobody(small):
    with pytest.raises(quotas.QuotaExceeded):
        quotas.reserve(folder_id=small.pk, size_bytes=1001)

    assert not told("quota_near_full").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(2))
def test_of_racing_reservations_one_crosses_the_line(turn, small):
    def reserve():
        with transaction.atomic():
            quotas.reserve(folder_id=small.pk, size_bytes=100)

    at_once(*[reserve] * 10)

    assert Folder.objects.get(pk=small.pk).reserved_bytes == 1000
    assert told("quota_near_full").get().payload["percent"] == 90
    assert OutgoingMail.objects.filter(letter="notice").count() == 1


# --- New files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["uploader", "ops", "colleague", "client", "stranger", "off"])
@pytest.mark.parametrize("where", ["company", "special", "documents", "by role", "by company", "upload only"])
def test_who_hears_of_a_folder_is_who_may_download_from_it(who, where, people, company_folder, documents, role):
    folder = {"company": company_folder, "documents": documents}.get(where) or FolderFactory()
    if where == "special":
        grant(folder, "download", user=people["client"])
        grant(folder, "download", user=people["off"])
    elif where == "by role":
        grant(folder, "download", role=role("ops"))
    elif where == "by company":
        grant(folder, "download", company=people["colleague"].company)
        grant(folder, "upload", company=people["stranger"].company)
    elif where == "upload only":
        grant(folder, "upload", user=people["client"])
        grant(folder, "upload", role=role("ops"))
    user = people[who]

    may = Folder.objects.downloadable_by(user).filter(pk=folder.pk).exists()

    assert folder_notices.readers_of(folder).filter(pk=user.pk).exists() is may


def test_new_files_are_told_to_those_who_may_download_them_and_not_to_their_uploader(report, company_folder, people):
    assert folder_notices.tell_of_new_files(now=soon()) == 1

    notice = told("folder_upload").get()
    assert notice.user == people["colleague"]
    assert notice.payload["filename"] == "report.docx"
    assert notice.payload["count"] == 1


def test_more_of_them_are_told_in_the_same_notice(report, company_folder, people):
    folder_notices.tell_of_new_files(now=soon())
    for name in ("b.docx", "c.docx"):
        store_file(user=people["uploader"], folder=company_folder, filename=name)
    store_file(user=people["super"], folder=company_folder, filename="d.docx")
    File.objects.exclude(pk=report.pk).update(uploaded_at=soon(seconds=5))

    folder_notices.tell_of_new_files(now=soon(seconds=60))

    assert told("folder_upload", people["colleague"]).get().payload["count"] == 4
    uploaders = told("folder_upload", people["uploader"]).get().payload
    assert (uploaders["count"], uploaders["filename"]) == (1, "d.docx")


def test_nobody_is_told_twice_whatever_the_cache_forgets(report, people):
    folder_notices.tell_of_new_files(now=soon())
    for read in (False, True):
        if read:
            mark_read(user=people["colleague"], everything=True)
        cache.clear()
        assert folder_notices.tell_of_new_files(now=soon()) == 0

    assert told("folder_upload").get().payload["count"] == 1


def test_deleted_files_and_personal_ones_are_no_news(report, people):
    File.objects.filter(pk=report.pk).update(deleted_at=timezone.now())
    store_file(user=people["client"], folder=folders.personal_folder(people["client"]))

    assert folder_notices.tell_of_new_files(now=soon()) == 0


def test_a_file_just_written_waits_for_the_next_time(report):
    assert folder_notices.tell_of_new_files(now=report.uploaded_at + timedelta(seconds=5)) == 0
    assert folder_notices.tell_of_new_files(now=report.uploaded_at + timedelta(seconds=15)) == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_tell_each_reader_once(people, company_folder, report):
    at_once(*[lambda: folder_notices.tell_of_new_files(now=soon())] * 3)

    assert told("folder_upload").get().payload["count"] == 1


def test_a_batch_costs_the_same_queries_whatever_its_size(people, company_folder, report, monkeypatch):
    monkeypatch.setattr(folder_notices, "BATCH", 40)

    def queries():
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            folder_notices.tell_of_new_files(now=soon())
        return len(captured)

    queries()
    costs = []
    for count in (10, 20):
        for _n in range(count):
            UserFactory(company=company_folder.company)
        costs.append(queries())
    assert costs[0] == costs[1]

    File.objects.update(uploaded_at=soon(seconds=-10))
    again = queries()
    assert told("folder_upload").filter(payload__count=2).count() == 31
    assert again <= costs[1] + 1


# --- Files that expire ------------------------------------------------------------------------------


@pytest.fixture
def expiring(people, company_folder):
    """expiring(3, days=2) stores three files of the uploader that expire in two days."""

    def make(count, user="uploader", folder=company_folder, **later):
        for _n in range(count):
            file = store_file(user=people[user], folder=folder)
            File.objects.filter(pk=file.pk).update(expires_at=timezone.now() + timedelta(**later))

    return make


def test_uploaders_and_readers_hear_once_of_what_goes_within_a_week(expiring, people):
    expiring(2, days=6)
    expiring(1, days=1)
    expiring(1, days=9)
    expiring(1, user="super", days=2)

    assert folder_notices.tell_of_expiring_files() == 3
    assert folder_notices.tell_of_expiring_files() == 0

    assert who_was_told("file_expiring") == ["colleague@example.org", "super@example.org", "uploader@example.org"]
    for who, count in (("uploader", 4), ("colleague", 4), ("super", 1)):
        assert told("file_expiring", people[who]).get().payload["count"] == count
    payload = told("file_expiring", people["colleague"]).get().payload
    assert payload["date"] == (timezone.now() + timedelta(days=6)).date().isoformat()
    assert (payload["folders"], payload["folder"], payload["folder_slug"]) == (1, "Baobab", "baobab-files")


def test_all_folders_are_told_in_one_notice(expiring, people, company_folder):
    other = FolderFactory(name="Annexe")
    grant(other, "download", user=people["colleague"])
    expiring(2, days=2)
    expiring(3, user="super", folder=other, days=3)
    folder_notices.tell_of_expiring_files()

    payload = told("file_expiring", people["colleague"]).get().payload
    assert (payload["count"], payload["folders"], payload["folder"]) == (5, 2, "Annexe")
    assert told("file_expiring", people["uploader"]).get().payload["count"] == 2


def test_who_only_uploads_hears_of_their_own_files(expiring, people, company_folder):
    grant(company_folder, "upload", user=people["ops"])
    expiring(1, user="ops", days=2)
    expiring(2, days=2)
    folder_notices.tell_of_expiring_files()

    assert told("file_expiring", people["ops"]).get().payload["count"] == 1


def test_a_file_that_nobody_may_download_is_told_to_its_uploader_alone(expiring, people):
    expiring(2, days=2)
    File.objects.filter(pk=File.objects.first().pk).update(scan_state="infected")
    folder_notices.tell_of_expiring_files()

    assert told("file_expiring", people["uploader"]).get().payload["count"] == 2
    assert told("file_expiring", people["colleague"]).get().payload["count"] == 1


def test_what_was_told_and_read_is_not_told_again_the_same_day(expiring, people):
    expiring(2, days=2)
    folder_notices.tell_of_expiring_files()
    mark_read(user=people["uploader"], everything=True)
    expiring(3, days=2)

    assert folder_notices.tell_of_expiring_files() == 1
    assert told("file_expiring", people["uploader"]).get().payload["count"] == 2, "one notice a day, not more"
    assert told("file_expiring", people["colleague"]).get().payload["count"] == 5, "unread: with the present number"

    folder_notices.tell_of_expiring_files(now=timezone.now() + timedelta(days=1))
    assert sorted(row.payload["count"] for row in told("file_expiring", people["uploader"])) == [2, 3]


def test_the_next_day_tells_what_came_nearer(expiring, people):
    now = timezone.now()
    expiring(2, days=6)
    expiring(3, days=8)
    folder_notices.tell_of_expiring_files(now=now)
    folder_notices.tell_of_expiring_files(now=now + timedelta(days=1))
    for who in ("uploader", "colleague"):
        assert told("file_expiring", people[who]).get().payload["count"] == 5, "unread: with the present number"

    for who in ("uploader", "colleague"):
        mark_read(user=people[who], everything=True)
    expiring(1, days=9)
    folder_notices.tell_of_expiring_files(now=now + timedelta(days=2))
    for who in ("uploader", "colleague"):
        counts = sorted(row.payload["count"] for row in told("file_expiring", people[who]))
        assert counts == [1, 5], "read: the new ones alone"


def test_what_is_deleted_or_has_expired_is_not_told(expiring):
    expiring(1, days=-1)
    expiring(1, days=1)
    File.objects.update(deleted_at=timezone.now())

    assert folder_notices.tell_of_expiring_files() == 0


def test_a_shorter_time_lets_nothing_go_untold(people, company_folder, expiring):
    """A file for which the new time is over long ago stays long enough for everybody to be told a week before."""
    expiring(1, days=300)
    File.objects.update(uploaded_at=timezone.now() - timedelta(days=60))
    asked = timezone.now()

    folders.change_folder(user=people["super"], folder_id=company_folder.pk, retention_days=29)
    assert timedelta(days=8) <= File.objects.get().expires_at - asked < timedelta(days=8, minutes=1)
    folders.change_folder(user=people["super"], folder_id=company_folder.pk, retention_days=32)
    assert File.objects.get().expires_at - asked >= timedelta(days=8), "nor does the next change take that back"

    later = asked + timedelta(days=1)
    assert folder_notices.tell_of_expiring_files(now=later) == 2
    assert File.objects.get().expires_at - later > timedelta(days=7) - timedelta(minutes=1)


def test_telling_of_expiry_costs_the_same_queries_whatever_the_number(people, company_folder, expiring):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            folder_notices.tell_of_expiring_files()
        return len(captured)

    expiring(1, days=2)
    queries()
    costs = []
    for number in (2, 20):
        Notification.objects.all().delete()
        for _each in range(number):
            folder = FolderFactory(company=company_folder.company)
            UserFactory(company=company_folder.company)
            expiring(1, folder=folder, days=2)
        costs.append(queries())

    assert costs[0] == costs[1]


@pytest.mark.django_db(transaction=True)
def test_two_workers_tell_of_expiry_once(people, company_folder, expiring):
    expiring(2, days=2)

    at_once(*[folder_notices.tell_of_expiring_files] * 3)

    assert told("file_expiring", people["uploader"]).get().payload["count"] == 2
    assert told("file_expiring", people["colleague"]).get().payload["count"] == 2


# --- Grants to a role or a company ------------------------------------------------------------------


def test_the_people_of_a_role_hear_of_its_grants(people, company_folder, monkeypatch, commits):
    sent = []
    monkeypatch.setattr(folders, "send_after_commit", lambda task, **facts: sent.append((task, facts)))
    permission = folders.grant(
        user=people["super"], folder_id=company_folder.pk, permission_type="download", role="client"
    )
    assert not Notification.objects.exists()

    ((task, facts),) = sent
    assert task == "fileshare.tasks.tell_role"
    assert tasks.tell_role(**facts) == 3
    assert tasks.tell_role(**facts) == 0, "run again"

    assert who_was_told("folder_granted") == ["client@example.org", "colleague@example.org", "stranger@example.org"]
    assert OutgoingMail.objects.filter(letter="notice").count() == 3
    folders.revoke(user=people["super"], permission_id=permission.pk)
    assert tasks.tell_role(**sent[-1][1]) == 3
    assert who_was_told("folder_revoked") == who_was_told("folder_granted")


def test_the_people_of_a_company_hear_of_its_grants(people, company_folder, monkeypatch, commits):
    sent = []
    monkeypatch.setattr(folders, "send_after_commit", lambda task, **facts: sent.append((task, facts)))
    company = people["stranger"].company
    permission = folders.grant(
        user=people["super"], folder_id=company_folder.pk, permission_type="download", company_id=company.pk
    )

    ((task, facts),) = sent
    assert task == "fileshare.tasks.tell_company"
    json.dumps(facts)  # as it goes to the queue
    assert tasks.tell_company(**facts) == 1
    assert tasks.tell_company(**facts) == 0, "run again"
    assert who_was_told("folder_granted") == ["stranger@example.org"]
    folders.revoke(user=people["super"], permission_id=permission.pk)
    assert tasks.tell_company(**sent[-1][1]) == 1
    assert who_was_told("folder_revoked") == ["stranger@example.org"]


def test_a_role_that_is_gone_has_no_people():
    facts = {"folder": "x", "folder_slug": "x", "permission_type": "download"}

    assert tasks.tell_role(kind="folder_granted", grant_id="x", role_id=987654, facts=facts) == 0
    assert User.objects.count() == 0
