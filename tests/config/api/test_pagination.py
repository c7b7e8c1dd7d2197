"""The limit and the offset in a query string."""

import pytest

from config.api import pagination
from config.errors import Invalid

pytestmark = pytest.mark.once
# int() accepts some of these, such as the Arabic five and " 1", and raises for more than 4,300 digits.
NO_NUMBERS = ["x", "-1", "+1", "1.0", "1_0", " 1", "٥", "²", "9" * 5000, "0" * 5000 + "1"]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "0", "501", "00001"])
def test_a_limit_that_is_none_is_refused(text):
    with pytest.raises(Invalid, match="invalid"):
        pagination.read_limit({"limit": text})


@pytest.mark.parametrize(("text", "limit"), [("", 100), ("1", 1), ("500", 500), ("0500", 500)])
def test_a_limit_is_from_1_to_500(text, limit):
    assert pagination.read_limit({"limit": text}) == limit


@pytest.mark.parametrize("text", [*NO_NUMBERS, "1000001", "000000001"])
def test_an_offset_that_is_none_is_refused(text):
    with pytest.raises(Invalid, match="invalid"):
        pagination.read_offset({"offset": text})


@pytest.mark.parametrize(("text", "offset"), [("", 0), ("0", 0), ("1000000", 1_000_000), ("01000000", 1_000_000)])
def test_an_offset_is_from_0_to_a_million(text, offset):
    assert pagination.read_offset({"offset": text}) == offset
