"""The rows of file tables say what Django's own filters would say, in both languages, and escape what users write."""

import datetime as dt

import pytest
from django.template.defaultfilters import date, filesizeformat
from django.utils import timezone, translation

from fileshare.models import File
from fileshare.templatetags import file_table
from tests.factories import FolderFactory, UserFactory, store_file

BAD = "<img src=x onerror=a>'\"&.docx"


@pytest.mark.parametrize("language", ["en", "sw"])
def test_dates_and_sizes_are_written_as_everywhere(language):
    with translation.override(language):
        for month in range(1, 13):
            moment = timezone.localtime(dt.datetime(2026, month, 9, 23, 59, tzinfo=dt.UTC))
            assert file_table.short_date(moment) == date(moment, "j M Y")
        for size in (0, 1, 1023, 1024, 1536, 10**9, 2**60):
            assert file_table._size(size, language) == filesizeformat(size)


@pytest.mark.django_db
def test_what_users_write_is_escaped():
    person, folder = UserFactory(name=BAD), FolderFactory(name=BAD)
    store_file(user=person, folder=folder, filename="a.docx", tag_names=["<b>"])
    file = File.objects.with_details(person).get()
    file.filename = BAD

    html = file_table.file_rows([file], show_folder=True, zips=True)

    assert "<img" not in html
    assert "<b>" not in html
    assert html.count("&lt;img src=x onerror=a&gt;&#39;&#34;&amp;.docx") >= 4
    assert 'href="/search?tags=%3Cb%3E">&lt;b&gt;</a>' in html
