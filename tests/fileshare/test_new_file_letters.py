"""The e-mail about new files: to clients unless they want none, the files of some minutes in one, each file once."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import OutgoingMail
from accounts.notices import mail, preferences
from fileshare import files, folder_notices, new_file_letters
from fileshare.models import File, ScanState
from tests.factories import FolderFactory, UserFactory, grant, store_file

# A bucket refuses whose clock is a quarter of an hour off, and these tests move the clock.
pytestmark = [pytest.mark.django_db, pytest.mark.both, pytest.mark.local]
START = timezone.now().replace(microsecond=0)


@pytest.fixture
def clock():
    """clock(minutes) is a frozen time after START."""
    travels = []

    def at(minutes):
        while travels:
            travels.pop().stop()
        travels.append(time_machine.travel(START + timedelta(minutes=minutes), tick=False))
        travels[-1].start()

    yield at
    while travels:
        travels.pop().stop()


@pytest.fixture
def put(people, company_folder, clock):
    """put(minute, name) has the uploader put a file into the company's folder, and the portal look for news soon."""

    def put(minute, name, who="uploader"):
        clock(minute)
        file = store_file(user=people[who], folder=company_folder, filename=name)
        clock(minute + 0.5)
        folder_notices.tell_of_new_files()
        return file

    return put


@pytest.fixture
def sent(clock, outbox):
    """sent(minute) sends what is due at that minute, and returns the letters about new files sent until then."""

    def letters(minute):
        clock(minute)
        return [letter for letter in outbox() if "new file" in letter.subject]

    return letters


def test_one_letter_names_the_files_of_some_minutes_and_who_put_them(people, put, sent):
    put(0, "Contract.docx")
    put(2, "Tax return.docx")
    assert sent(4) == [], "files keep coming"

    (letter,) = sent(20)

    assert letter.to == ["colleague@example.org"]
    assert letter.subject == "2 new files in “Baobab”"
    assert f"{people['uploader'].name} put 2 files into “Baobab” for you:" in letter.body
    assert "* Contract.docx" in letter.body
    assert "* Tax return.docx" in letter.body
    assert "/fileshare/baobab-files/" in letter.body
    assert "List-Unsubscribe" in letter.extra_headers
    assert sent(60) == [letter]


def test_files_that_come_later_are_in_a_letter_of_their_own_and_none_is_named_twice(put, sent):
    put(0, "First.docx")
    (first,) = sent(10)
    put(15, "Second.docx")
    assert sent(60) == [first], "letters about one folder are an hour apart"

    letters = sent(80)

    assert [letter.subject for letter in letters] == ["1 new file in “Baobab”"] * 2
    assert "First.docx" in first.body
    assert "Second.docx" in letters[1].body
    assert "First.docx" not in letters[1].body


def test_a_folder_that_never_comes_to_rest_is_told_of_all_the_same(put, sent):
    for minute in range(0, 40, 2):
        put(minute, f"{minute}.docx")
        if letters := sent(minute + 1):
            break

    assert minute >= 28
    assert len(letters) == 1


def test_what_they_have_downloaded_deleted_or_put_there_themselves_is_no_news(
    people, put, sent, page_as, company_folder
):
    grant(company_folder, "upload", company=company_folder.company)
    fetched, deleted = put(0, "Fetched.docx"), put(0, "Deleted.docx")
    put(1, "Own.docx", who="colleague")
    page_as("colleague").get(f"/files/{fetched.pk}/download", follow=True)
    files.delete(user=people["uploader"], file_id=deleted.pk)

    assert [letter.to for letter in sent(20)] == [["uploader@example.org"]] * 0

    put(85, "New.docx")
    (letter,) = sent(100)
    assert "New.docx" in letter.body
    assert OutgoingMail.objects.filter(letter="new_files", sent_at=None).count() == 0


@pytest.mark.parametrize("wish", ["off", "digest"])
def test_who_wants_no_such_mail_gets_none(wish, people, put, sent):
    preferences.choose(user=people["colleague"], wishes={"folder_upload": wish})
    put(0, "Contract.docx")

    assert sent(20) == []
    assert people["colleague"].notifications.get().for_digest is (wish == "digest")


def test_a_file_every_few_minutes_makes_no_letter_every_few_minutes(put, sent):
    for minute in range(0, 60, 5):
        put(minute, f"{minute}.docx")
        sent(minute + 4)

    assert len(sent(62)) <= 2


def test_who_wants_no_more_or_moved_to_another_address_gets_no_letter_that_waited(people, put, sent):
    put(0, "Contract.docx")
    preferences.choose(user=people["colleague"], wishes={"folder_upload": "off"})
    assert sent(20) == []

    preferences.choose(user=people["colleague"], wishes={"folder_upload": "now"})
    put(30, "Next.docx")
    people["colleague"].email = "moved@example.org"
    people["colleague"].save()
    assert sent(60) == []


def test_who_lost_the_folder_meanwhile_is_told_nothing(people, put, sent):
    put(0, "Contract.docx")
    people["colleague"].company = None
    people["colleague"].save()

    assert sent(20) == []


def test_a_file_that_waits_for_the_scanner_is_told_of_when_it_has_passed(people, put, sent, clock):
    file = put(0, "Contract.docx")
    File.objects.filter(pk=file.pk).update(scan_state=ScanState.WAITING, scan_due_at=START)
    assert sent(20) == []

    clock(30)
    File.objects.filter(pk=file.pk).update(scan_state=ScanState.CLEAN, scanned_at=timezone.now())
    clock(31)
    folder_notices.tell_of_new_files()

    assert len(sent(95)) == 1


def test_each_reader_gets_a_letter_by_a_fixed_number_of_queries(company_folder, put, django_assert_max_num_queries):
    for _ in range(30):
        UserFactory(company=company_folder.company, roles=["client"])
    with django_assert_max_num_queries(60):
        put(0, "Contract.docx")

    assert OutgoingMail.objects.filter(letter=new_file_letters.LETTER).count() == 31
    assert mail.send_waiting() == 0, "they wait for more files"


def test_letters_about_two_folders_are_two(people, put, sent, clock):
    put(0, "Contract.docx")
    other = FolderFactory(name="Reports", company=people["colleague"].company)
    store_file(user=people["super"], folder=other)
    clock(1)
    folder_notices.tell_of_new_files()

    assert sorted(letter.subject for letter in sent(20)) == ["1 new file in “Baobab”", "1 new file in “Reports”"]
