"""Small writes of several requests in one transaction: each is answered after its commit, and fails alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from accounts.models import Company
from config.outside.together import Together

pytestmark = [pytest.mark.both, pytest.mark.django_db(transaction=True)]


def add_company(slug):
    Company.objects.create(name=slug, slug=slug)


class Written:
    """A Together of companies by slug. `batches` are those it wrote; the first waits until `gate` is open."""

    def __init__(self):
        self.batches, self.gate, self.began = [], threading.Event(), threading.Event()
        self.together = Together(self._write)

    def _write(self, slugs):
        self.batches.append(list(slugs))
        self.began.set()
        assert self.gate.wait(30)
        for slug in slugs:
            add_company(slug)

    def add(self, slug):
        """The error of its write, or None; afterwards another connection sees the row."""
        try:
            self.together.add(slug)
            assert not connection.in_atomic_block
            assert Company.objects.filter(slug=slug).exists()
        except Exception as error:  # noqa: BLE001 - handed to the test's own thread
            return error
        finally:
            connection.close()


@pytest.fixture
def written():
    return Written()


def at_once(written, first, others):
    """The errors of `first` and of `others`, which come while `first` is being written."""
    with ThreadPoolExecutor(1 + len(others)) as pool:
        futures = [pool.submit(written.add, first)]
        assert written.began.wait(30)
        futures += [pool.submit(written.add, slug) for slug in others]
        while len(written.together._waiting) < len(others):
            pass
        written.gate.set()
        return [future.result(30) for future in futures]


def test_those_who_come_while_one_writes_are_written_together(written):
    others = [f"other-{number}" for number in range(6)]

    assert at_once(written, "first", others) == [None] * 7

    assert [len(batch) for batch in written.batches] == [1, 6]
    assert set(written.batches[1]) == set(others)
    assert Company.objects.count() == 7
    assert written.add("later") is None


def test_one_that_cannot_be_written_fails_alone(written):
    errors = at_once(written, "first", ["a", "first", "b"])

    assert [type(error) for error in errors] == [type(None), type(None), IntegrityError, type(None)]
    assert set(Company.objects.values_list("slug", flat=True)) == {"first", "a", "b"}


def test_a_database_that_is_lost_is_told_to_all_and_asked_once(written, monkeypatch):
    def lost(slugs):
        written.batches.append(slugs)
        raise OperationalError("the connection is lost")

    def write_first(slugs):
        written.began.set()
        assert written.gate.wait(30)
        written.together._write = lost

    written.together._write = write_first
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(written.together.add, "first")
        assert written.began.wait(30)
        others = [pool.submit(written.add, f"{number}") for number in range(4)]
        while len(written.together._waiting) < 4:
            pass
        written.gate.set()
        first.result(30)
        errors = [each.result(30) for each in others]

    assert [type(error) for error in errors] == [OperationalError] * 4
    assert len(written.batches) == 1
    written.together._write = written._write
    assert written.add("again") is None


def test_a_fault_in_the_writer_reaches_those_it_wrote_for_and_the_next_one_can_write(written):
    def broken(slugs):
        raise KeyError("a bug")

    written.together._write = broken
    assert isinstance(written.add("a"), KeyError)

    written.together._write = written._write
    written.gate.set()
    assert written.add("a") is None


def test_within_a_transaction_it_is_a_part_of_that(written):
    written.gate.set()
    with transaction.atomic():
        written.together.add("gone")
        transaction.set_rollback(True)

    assert not Company.objects.exists()


def test_many_threads_lose_nothing(written):
    written.gate.set()
    slugs = [f"slug-{number}" for number in range(200)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(written.add, slugs)) == [None] * 200

    assert set(Company.objects.values_list("slug", flat=True)) == set(slugs)
    assert sorted(slug for batch in written.batches for slug in batch) == sorted(slugs)
