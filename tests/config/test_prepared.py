"""Prepared querysets: the rows that the queryset itself gives, without composing it each time."""

import datetime as dt
import uuid

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import connection
from django.db.models import Exists, OuterRef
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Role, User
from config.prepared import Prepared
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


def test_a_queryset_that_prefetches_is_refused():
    with pytest.raises(ImproperlyConfigured):
        Prepared(lambda pk: User.objects.filter(pk=pk).prefetch_related("groups"), pk=PK).first(pk=uuid.uuid4())
