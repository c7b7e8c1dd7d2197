"""The simulated payers: the last two digits of a phone number choose what happens."""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Person:
    """A simulated payer: the result code, and how the network behaves.

    `push` is how Daraja answers the push, `callback` how (and whether) it calls back, `query` how it answers a query.
    """

    code: str = "0"
    push: str = "well"  # well, slow, cut, html, refused, busy, spike, unknown_number, no_ids
    # once, three, late, lost, early, after_failure, odd, garbage_first, amount, phone, merchant, masked, hashed, local,
    # no_phone
    callback: str = "once"
    query: str = "well"  # well, pending_4999, html
    story: str = ""


PAYS = Person(story=_("pays after a moment"))
PEOPLE = {
    "01": Person("1", story=_("has not enough money")),
    "02": Person("1032", story=_("cancels")),
    "03": Person("2001", story=_("enters a wrong PIN")),
    "04": Person("1037", story=_("does not answer")),
    "05": Person("1019", story=_("answers too late")),
    "06": Person("1001", story=_("is busy with another payment")),
    "07": Person("1025", story=_("cannot be reached by the push")),
    "08": Person("9999", story=_("cannot be reached by the push, in other words")),
    "09": Person("17", story=_("paid the same amount a moment ago")),
    "10": Person("SFC_IC0003", story=_("meets an error nobody has heard of")),
    "11": Person("1036", story=_("cannot be reached by the push, in other words")),
    "12": Person("SFC_IC0003", callback="lost", story=_("meets an error nobody has heard of")),
    "20": Person(callback="three", story=_("pays; M-Pesa says so three times")),
    "21": Person(callback="late", story=_("pays; M-Pesa says so very late")),
    "22": Person(callback="lost", story=_("pays; M-Pesa's call gets lost")),
    "23": Person(callback="early", story=_("pays; M-Pesa calls before it answers the push")),
    "24": Person(callback="after_failure", story=_("pays; M-Pesa first says that nobody answered")),
    "25": Person(callback="amount", story=_("pays another amount")),
    "26": Person(callback="phone", story=_("pays from another phone")),
    "27": Person(callback="merchant", story=_("pays; M-Pesa names another request")),
    "28": Person("1032", callback="lost", story=_("cancels; M-Pesa's call gets lost")),
    "29": Person(callback="odd", story=_("pays; the call's facts are in another order and form")),
    "30": Person(push="html", callback="lost", story=_("is never asked: an error page answers")),
    "31": Person(push="slow", story=_("pays; the push is answered too slowly")),
    "32": Person(push="busy", story=_("is never asked: the phone is busy")),
    "33": Person(push="spike", story=_("is never asked: M-Pesa has too much to do")),
    "34": Person(push="cut", story=_("pays; the push's answer is cut off")),
    "35": Person(push="unknown_number", story=_("is never asked: M-Pesa does not know the number")),
    "36": Person(callback="lost", query="pending_4999", story=_("never decides")),
    "37": Person(callback="garbage_first", story=_("pays; nonsense comes first")),
    "38": Person(callback="lost", query="html", story=_("pays; nobody ever says so")),
    "39": Person(push="no_ids", story=_("pays; the push's answer holds no ids")),
    "40": Person(callback="masked", story=_("pays; M-Pesa masks the number")),
    "41": Person(callback="hashed", story=_("pays; M-Pesa tells a hash of the number")),
    "42": Person(callback="local", story=_("pays; M-Pesa tells the local form of the number")),
    "43": Person(callback="no_phone", story=_("pays; M-Pesa leaves out the number")),
}


def person_of(phone_number):
    """The Person of a number; a number that is not in the table pays."""
    return PEOPLE.get(phone_number[-2:], PAYS)
