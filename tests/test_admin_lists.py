"""Lists and delete pages of the admin: no address makes one fail, and none sends more queries for more rows."""

import re

import pytest
from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.db import connection
from django.db.models import DateField, JSONField
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Company, Role, User
from audit.models import Event
from config.admin.site import BoundedLists, BoundedPaginator
from fileshare.incoming import uploads
from fileshare.models import File, Folder, Upload
from tests.factories import FolderFactory, UserFactory, proved, store_file
from tests.fileshare.test_lists import add_files

pytestmark = pytest.mark.django_db
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.model_name)
NUMBER = "9" * 30
NONSENSE = [
    *[("", "x"), ("", "%00"), ("", NUMBER), ("", "-1"), ("__range", "x"), ("__in", f"1,{NUMBER}"), ("__gt", "x")],
    *[("__contains", "%00"), ("__nonsense", "x"), ("__isnull", "x"), ("__exact", "9999-99-99")],
]
NONSENSE_OF = {
    DateField: [("__year", "99999"), ("__year", "x"), ("__date", "x"), ("__hour", NUMBER), ("__gte", "0001-01-01")],
    JSONField: [("__has_key", "x"), ("__contains", "x"), ('__x"y', "1"), ("__contained_by", "{")],
}


@pytest.fixture
def desk(client, people):
    return proved(client, people["super"])


@pytest.fixture
def asked(rf, people):
    """asked(model, query) is the list of a model at an address with that query."""

    def ask(model, query):
        request = rf.get(f"/?{query}")
        request.user = people["super"]
        return admin.site._registry[model].get_changelist_instance(request)

    return ask


def address(model, page="changelist", *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def queries_of(act):
    with CaptureQueriesContext(connection) as captured:
        answer = act()
        assert answer.status_code == 200
    return answer.content.decode(), [query["sql"] for query in captured]


# --- Addresses ----------------------------------------------------------------------------------------


def test_every_list_is_bounded():
    for page in admin.site._registry.values():
        assert isinstance(page, BoundedLists)
        assert issubclass(page.paginator, BoundedPaginator)
        assert page.show_facets is admin.ShowFacets.NEVER
        assert not page.show_full_result_count


@pytest.mark.filterwarnings("ignore:.*received a naive datetime")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.model_name)
def test_a_lookup_that_makes_no_sense_is_the_askers_mistake(model, asked, report):
    one_of_each = {type(field): field for field in model._meta.fields}
    for field in one_of_each.values():
        special = [each for kind, more in NONSENSE_OF.items() if isinstance(field, kind) for each in more]
        for lookup, value in [*NONSENSE, *special]:
            try:
                rows = asked(model, f"{field.name}{lookup}={value}").result_list
            except IncorrectLookupParameters:
                continue
            list(rows)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.model_name)
@pytest.mark.parametrize("lookup", ["regex", "iregex"])
def test_no_pattern_is_asked_of_the_database(model, lookup, asked):
    with pytest.raises(DisallowedModelAdminLookup):
        asked(model, f"{model._meta.pk.name}__{lookup}=(")


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (Event, "created_at__year=99999"),
        pytest.param(Event, "address=x", marks=pytest.mark.postgres),
        (Event, "address__range=x"),
        pytest.param(File, "size_bytes__in=1," + NUMBER, marks=pytest.mark.sqlite),
        (File, "folder__id__exact=x"),
        (User, "created_at__date=x"),
    ],
)
def test_such_an_address_leads_to_the_whole_list(model, query, desk, report):
    response = desk.get(f"{address(model)}?{query}")

    assert response["Location"] == f"{address(model)}?e=1"
    assert desk.get(f"{address(model)}?e=1").status_code == 200
    assert desk.get(f"{address(model)}?e=1&{query}").status_code == 200


@pytest.mark.parametrize("query", ["visibility=%00", "status=%00", "filename__contains=%00", "q=%00"])
@pytest.mark.parametrize("model", [File, Upload])
def test_a_letter_no_database_has_breaks_no_list(model, query, desk, report):
    assert desk.get(f"{address(model)}?{query}").status_code in (200, 302)


def test_a_pattern_is_refused(desk):
    assert desk.get(f"{address(Event)}?hash__regex=(").status_code == 400


def test_a_fault_of_ours_is_not_taken_for_a_lookup(asked, monkeypatch):
    def broken(self, request):
        raise ZeroDivisionError

    monkeypatch.setattr(admin.site._registry[File].__class__, "get_queryset", broken)

    with pytest.raises(ZeroDivisionError):
        asked(File, "e=1")


# --- Cost ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [File, Upload])
def test_a_list_offers_no_folder_by_folder_and_counts_no_further_than_it_must(model, desk, people):
    for _number in range(5):
        folder = FolderFactory()
        store_file(user=people["super"], folder=folder)
        uploads.initiate(
            user=people["super"], place=uploads.Place(folder), filename="a.txt", size_bytes=9, content_type=""
        )

    text, queries = queries_of(lambda: desk.get(f"{address(model)}?_facets=True"))

    assert "folder__id__exact" not in text
    assert not [sql for sql in queries if "DISTINCT" in sql]
    table = model._meta.db_table
    counts = [sql for sql in queries if "COUNT(" in sql and f'FROM "{table}"' in sql]
    assert counts
    assert all(f"LIMIT {BoundedPaginator.MOST}" in sql for sql in counts)


def test_the_files_of_one_folder_or_of_one_kind_are_listed_and_the_page_says_so(desk, report, people):
    special = store_file(user=people["super"], folder=FolderFactory(name="Special"))

    one = desk.get(f"{address(File)}?folder__id__exact={special.folder_id}")
    kind = desk.get(f"{address(File)}?kind=company")

    assert list(one.context["cl"].result_list) == [special]
    assert re.search(r'class="selected">\s*<a [^>]*>Special</a>', one.content.decode())
    assert list(kind.context["cl"].result_list) == [report]
    assert len(desk.get(f"{address(File)}?kind=nonsense").context["cl"].result_list) == 2


# --- Deleting -----------------------------------------------------------------------------------------


def ways_to_ask(desk, row):
    """The page that asks before one row is deleted, and the page that asks before several are."""
    several = {"action": "delete_selected", "_selected_action": [row.pk]}
    return [
        lambda: desk.get(address(type(row), "delete", row.pk)),
        lambda: desk.post(address(type(row)), several),
    ]


def test_to_delete_a_folder_no_file_of_it_is_read(desk, company_folder):
    for ask in ways_to_ask(desk, company_folder):
        add_files(company_folder, 2)
        _few_text, few = queries_of(ask)
        add_files(company_folder, 20)
        text, many = queries_of(ask)

        assert len(many) == len(few)
        assert not [sql for sql in many if '"fileshare_file"."filename"' in sql]
        assert "Baobab: its files, those in the trash too" in text
        assert "its uploads on their way" not in text
        assert 'type="submit"' not in text.partition('id="content"')[2].partition("</main>")[0]
    assert Folder.objects.filter(pk=company_folder.pk).exists()


def test_to_delete_a_company_or_a_role_nobody_of_it_is_read(desk, people, role):
    auditor = Role.objects.create(name="auditor")
    company = people["colleague"].company
    for row, words in ((company, "Baobab: its people"), (auditor, None)):
        for ask in ways_to_ask(desk, row):
            queries_of(ask)
            _text, few = queries_of(ask)
            for _number in range(5):
                user = UserFactory(company=company)
                user.groups.add(auditor)
            text, many = queries_of(ask)

            assert len(many) == len(few)
            assert (words or "auditor") in text
            assert not [sql for sql in many if f"'{user.email}'" in sql]


def test_what_is_full_stays_whoever_sends_the_answer(desk, company_folder, report):
    company = company_folder.company

    for row in (company_folder, company):
        desk.post(address(type(row), "delete", row.pk), {"post": "yes"})
        desk.post(address(type(row)), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})

    assert Folder.objects.filter(pk=company_folder.pk).exists()
    assert Company.objects.filter(pk=company.pk).exists()


def test_what_nobody_may_delete_is_said_before_it_is_asked(desk, role):
    several = {"action": "delete_selected", "_selected_action": [role("ops").pk]}

    text = desk.post(address(Role), several).content.decode()

    assert "Cannot delete role" in text
    assert desk.post(address(Role), {**several, "post": "yes"}).status_code == 403
    assert Role.objects.filter(name="ops").exists()
