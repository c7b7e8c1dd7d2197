"""Prepared querysets: the rows that the queryset itself gives, without composing it each time."""

import datetime as dt
import threading
import uuid

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import connection
from django.db.models import Exists, OuterRef
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Role, User
from audit.models import Event
from config.prepared import Among, Fixed, Fragment, Like, Prepared, PreparedInsert, Several, now
from tests.factories import CompanyFactory, UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.both]
PK, CREATED, NAME = (User._meta.get_field(name) for name in ("id", "created_at", "name"))


def test_it_gives_what_the_queryset_gives_joined_rows_and_annotations_included():
    company = CompanyFactory()
    users = [UserFactory(company=company, name="Ann"), UserFactory(company=None, name="Ben"), UserFactory(name="Ann")]
    users[0].groups.add(Role.objects.get(name="ops"))

    def build(name, since):
        ops = Exists(Role.objects.filter(name="ops", user=OuterRef("pk")))
        return User.objects.filter(name=name, created_at__gte=since).with_company().annotate(ops=ops).order_by("email")

    prepared = Prepared(build, name=NAME, since=CREATED)
    since = timezone.now() - dt.timedelta(hours=1)

    for name in ("Ann", "Ben", "nobody", "Ann"):
        found = prepared.all(name=name, since=since)
        meant = list(build(name, since))
        assert [vars(row) | {"_state": 0} for row in found] == [vars(row) | {"_state": 0} for row in meant]
        assert [(row.company, row.ops) for row in found] == [(row.company, row.ops) for row in meant]
    assert prepared.first(name="Ann", since=timezone.now() + dt.timedelta(hours=1)) is None


def test_it_is_composed_once_and_asks_one_query_each_time():
    composed = []

    def build(pk):
        composed.append(pk)
        return User.objects.filter(pk=pk)

    prepared, users = Prepared(build, pk=PK), [UserFactory(), UserFactory()]
    prepared.first(pk=users[0].pk)
    before = len(composed)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        found = [prepared.first(pk=pk) for pk in (users[0].pk, str(users[1].pk), uuid.uuid4())]

    assert found == [*users, None]
    assert (len(queries), len(composed)) == (3, before)


def test_a_value_that_its_field_cannot_have_is_refused_as_by_a_filter():
    with pytest.raises(ValidationError):
        Prepared(lambda pk: User.objects.filter(pk=pk), pk=PK).first(pk="nonsense")


@pytest.mark.postgres
@pytest.mark.parametrize("value", [timezone.now(), uuid.uuid4()], ids=["a moment", "an id"])
def test_a_value_of_one_request_cannot_become_part_of_it(value):
    name = "created_at__lt" if isinstance(value, dt.datetime) else "pk"

    with pytest.raises(ImproperlyConfigured):
        Prepared(lambda email: User.objects.filter(**{name: value}, email=email), email=NAME).first(email="x")


def test_the_time_is_that_of_each_execution():
    user = UserFactory()

    def build(since):
        return User.objects.filter(created_at__lt=now() - dt.timedelta(hours=1), created_at__gt=since).order_by()

    prepared, since = Prepared(build, since=CREATED), user.created_at - dt.timedelta(seconds=1)

    assert prepared.all(since=since) == list(build(since)) == []
    with time_machine.travel(timezone.now() + dt.timedelta(hours=2), tick=False):
        assert prepared.all(since=since) == list(build(since)) == [user]
    assert prepared.all(since=since) == []


def test_none_is_compared_as_null():
    company = CompanyFactory()
    prepared = Prepared(
        lambda company: User.objects.filter(company=company).order_by("email"), company=company._meta.pk
    )
    with_one, without = UserFactory(company=company), UserFactory(company=None)

    assert prepared.all(company=company.pk) == [with_one]
    assert prepared.all(company=None) == [without]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
def test_a_list_of_any_length_finds_each_of_its_rows(count):
    users = sorted((UserFactory() for _number in range(count)), key=lambda user: user.pk)
    UserFactory()
    prepared = Prepared(lambda ids: User.objects.filter(Among("pk", ids)).order_by("pk"), ids=Several(PK))

    assert prepared.all(ids=[user.pk for user in users]) == users


def test_rows_may_be_tuples_single_values_or_made_of_them():
    users = [UserFactory(name="Ann"), UserFactory(name="Ben")]
    rows = User.objects.order_by("name")

    def both(name, form, **options):
        return Prepared(lambda name: form(rows.filter(name__gte=name)), name=NAME, **options).all(name=name)

    assert both("Ann", lambda some: some.values_list("pk", "name")) == [(user.pk, user.name) for user in users]
    assert both("Ben", lambda some: some.values_list("pk", flat=True)) == [users[1].pk]
    assert both("A", lambda some: some.values_list("name"), rows=lambda found: [len(found)]) == [2]


def test_a_fixed_value_has_a_statement_of_its_own():
    UserFactory.create_batch(3)
    prepared = Prepared(lambda most: User.objects.order_by("pk")[:most], most=Fixed())

    assert [len(prepared.all(most=most)) for most in (1, 2, 1)] == [1, 2, 1]


def test_what_can_have_no_row_asks_no_query(django_assert_num_queries):
    prepared = Prepared(lambda pk: User.objects.none().filter(pk=pk), pk=PK)

    with django_assert_num_queries(0):
        assert prepared.all(pk=uuid.uuid4()) == []


def test_a_setting_that_a_test_changes_is_read_again(settings):
    user = UserFactory()
    prepared = Prepared(lambda pk: User.objects.filter(pk=pk, language=settings.LANGUAGE_CODE), pk=PK)
    assert prepared.first(pk=user.pk) is None

    settings.LANGUAGE_CODE = ""

    assert prepared.first(pk=user.pk) == user


def test_a_queryset_of_another_kind_of_rows_is_refused():
    with pytest.raises(ImproperlyConfigured):
        Prepared(lambda pk: User.objects.filter(pk=pk).values("pk"), pk=PK).first(pk=uuid.uuid4())


@pytest.mark.django_db(transaction=True)
def test_threads_share_a_statement_and_each_uses_its_own_connection():
    users = UserFactory.create_batch(4)
    prepared, seen = Prepared(lambda pk: User.objects.filter(pk=pk), pk=PK), []

    def ask(user):
        try:
            seen.append((prepared.first(pk=user.pk), user, id(connection.connection)))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=[user]) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [found for found, _user, _connection in seen] == [user for _found, user, _connection in seen]
    assert len(seen) == 4


def test_a_queryset_that_prefetches_is_refused():
    with pytest.raises(ImproperlyConfigured):
        Prepared(lambda pk: User.objects.filter(pk=pk).prefetch_related("groups"), pk=PK).first(pk=uuid.uuid4())


def test_an_update_changes_the_rows_of_the_queryset_and_counts_them():
    users = UserFactory.create_batch(3)
    prepared = Prepared(
        lambda ids, name: User.objects.filter(Among("pk", ids)),
        changes=lambda ids, name: {"name": name, "bio": Concat("email", name)},
        ids=Several(PK),
        name=NAME,
    )

    assert prepared.update(ids=[user.pk for user in users[:2]], name="New") == 2
    assert prepared.update(ids=[uuid.uuid4()], name="None") == 0

    assert [row.name for row in User.objects.order_by("name")][:2] == ["New", "New"]
    assert {row.bio for row in User.objects.filter(name="New")} == {f"{user.email}New" for user in users[:2]}


@pytest.mark.parametrize("text", ["50%", "a_b", "back\\slash", "plain"])
def test_a_pattern_finds_what_the_lookup_finds(text):
    for name in ["50%", "501", "a_b", "aXb", "back\\slash", "plain", text + "!"]:
        UserFactory(name=name)
    prepared = Prepared(lambda part: User.objects.filter(Like("name", part)).order_by("email"), part=NAME)

    assert prepared.all(part=f"%{connection.ops.prep_for_like_query(text)}%") == list(
        User.objects.filter(name__contains=text).order_by("email")
    )


def test_a_piece_of_sql_brings_its_own_values():
    users = UserFactory.create_batch(3)
    prepared = Prepared(
        lambda named: User.objects.filter(pk__in=RawSQL(*named)).order_by("email"),  # noqa: S611 - made by the ORM
        named=Fragment(),
    )

    for some in (users[:1], users[:2], users[1:]):
        named = User.objects.filter(email__in=[user.email for user in some]).values("pk").query.sql_with_params()
        assert prepared.all(named=named) == sorted(some, key=lambda user: user.email)


def test_an_insert_writes_what_save_writes_and_leaves_columns_to_the_database():
    def event(**facts):
        return Event(action="login", detail={"a": [1, "é"]}, address="192.0.2.1", target_name="x", **facts)

    given, saved = [event(), event(size_bytes=2**40)], event()
    PreparedInsert(Event, left_out=("seq", "prev_hash", "hash")).insert(given)
    saved.save()

    rows = {row.pk: row for row in Event.objects.all()}
    assert not any(each._state.adding for each in given)
    for each in given:
        row = rows[each.pk]
        assert (row.detail, row.address, row.created_at, row.seq) == (each.detail, "192.0.2.1", each.created_at, None)
        assert (row.prev_hash, row.hash, row.subfolder_slug) == ("", "", "")
    alike = {
        name: value for name, value in vars(rows[given[0].pk]).items() if name not in ("_state", "id", "created_at")
    }
    assert alike.items() <= vars(rows[saved.pk]).items()
    assert rows[given[1].pk].size_bytes == 2**40
