"""People to invite, read from a text that somebody typed or from a CSV file."""

import csv
import re
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.addresses import clean_email, clean_name
from config.errors import Invalid, Refused

FIELD = "people"
"""The field under which refusals stand."""
MOST_PEOPLE = 1000
MOST_ERRORS = 20
MOST_BYTES = 1024 * 1024
_WITH_NAME = re.compile(r"^(?P<name>[^<>@]*)<(?P<email>[^<>]+)>$")
_HEADINGS = {"e-mail", "email", "mail", "e-mail address", "email address", "address", "name", "barua pepe", "jina"}
_FORMULA = tuple("=+-@")
_SPACES = str.maketrans("\t\r\n\xa0", "    ")


@dataclass(frozen=True)
class Person:
    """Somebody to invite; `line` is the number of their line in the text."""

    line: int
    email: str
    name: str


def read(text):
    """The people of `text`, a list of Person: a line for each, or a CSV table.

    A line has an address and a name in either order, parted by comma, semicolon or tab, or "Name <address>", or an
    address alone; further cells are passed over, and so is a first line of headings.
    Raises Refused (400) with a sentence for each wrong line, at most MOST_ERRORS of them.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip(" \t,;")]
    if lines and _HEADINGS.intersection(cell.lower() for cell in _cells(lines[0][1])):
        del lines[0]
    if len(lines) > MOST_PEOPLE:
        raise Invalid(FIELD, _("At most %(most)d people at a time.") % {"most": MOST_PEOPLE})
    people, errors, seen = [], [], {}
    for number, line in lines:
        try:
            email, name = _person(line)
        except Refused as problem:
            errors.append((number, problem.message))
            continue
        if email in seen:
            errors.append((number, _("The same address is in line %(line)d.") % {"line": seen[email]}))
        seen.setdefault(email, number)
        people.append(Person(number, email, name))
    if errors:
        raise refusal(errors)
    return people


def decoded(content):
    """The text of a CSV file (bytes), as spreadsheets write them: UTF-8, UTF-16 with its mark, or Windows-1252.

    Raises Invalid (400) for what is no text or larger than MOST_BYTES.
    """
    if len(content) > MOST_BYTES:
        raise Invalid(FIELD, _("A list of people is at most 1 MB."))
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except ValueError:
            continue
        if text.translate(_SPACES).isprintable():
            return text
    raise Invalid(FIELD, _("This is no list of people: save it as CSV, with an address and a name in each line."))


def refusal(errors):
    """The Refused (400) for `errors`, a list of (number of the line, sentence)."""
    told = [_("Line %(line)d: %(problem)s") % {"line": line, "problem": problem} for line, problem in errors]
    more = len(told) - MOST_ERRORS
    if more > 0:
        told[MOST_ERRORS:] = [ngettext("… and %(n)d more line.", "… and %(n)d more lines.", more) % {"n": more}]
    return Refused(400, "invalid", _("Nobody was invited: mend the list first."), errors={FIELD: told})


def _person(line):
    """(address, name). Raises Invalid (400)."""
    cells = _cells(line)
    (email, *_others) = [cell for cell in cells if "@" in cell] or [""]
    names = [cell for cell in cells if "@" not in cell]
    if found := _WITH_NAME.match(email):
        email, names = found["email"], [found["name"], *names]
    email = clean_email(email)
    name = next((name for name in names if name.strip()), "") or email.split("@")[0]
    if name.startswith(_FORMULA):
        raise Invalid(FIELD, _("A name does not begin with %(sign)s.") % {"sign": name[0]})
    name = clean_name(name)
    if len(name) > 150:
        raise Invalid(FIELD, _("A name has at most 150 characters."))
    return email, name


def _cells(line):
    delimiter = max(",;\t", key=line.count)
    try:
        return [" ".join(cell.split()) for cell in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error:
        raise Invalid(FIELD, _("This line is no line of a CSV file.")) from None
