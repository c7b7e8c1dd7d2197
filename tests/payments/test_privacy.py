"""A user's payments are in the copy of their own data, and in no other user's copy."""

import json

import pytest

from accounts.privacy import subject_rights
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


def copy_of(user):
    return json.loads(b"".join(subject_rights.export(user=user, password=PASSWORD)))


def test_the_copy_of_a_payers_data_holds_their_payments(submitted, payer, people):
    payment = submitted()

    (told,) = copy_of(payer)["payments"]

    assert told["id"] == str(payment.pk)
    assert (told["plan"], told["amount"], told["currency"], told["status"]) == ("Small", 100, "KES", "pending")
    assert told["phone_number"] == payment.phone_number
    assert copy_of(people["ops"])["payments"] == []
