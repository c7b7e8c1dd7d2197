import re

import pytest

from config.http.throttling import RATES
from tests.plugin import ROOT, settings_names

pytestmark = pytest.mark.once

# The code that reads settings with env.<reader>("NAME": settings.py, and the conf.py of each wing and app.
SOURCE = "".join(
    path.read_text(encoding="utf-8")
    for app in ("config", "audit", "accounts", "fileshare", "payments")
    for path in sorted((ROOT / app).rglob("*.py"))
    if path.name == "conf.py" or path == ROOT / "config" / "settings.py"
)
# libpq's own variables, which the example explains in a sentence.
OF_LIBPQ = {"PGPASSWORD", "PGPASSFILE", "PGSERVICE"}


def read_by(readers):
    return set(re.findall(rf"""\benv\.(?:{readers})\(\s*"([A-Z][A-Z0-9_]*)\"""", SOURCE))


def test_the_example_explains_every_setting_that_is_read():
    read = read_by(r"\w+") | {f"RATE_{name.upper()}" for name in RATES}

    assert len(read) > 100
    assert read - set(settings_names()) - OF_LIBPQ == set()


def test_the_example_names_every_secret_that_may_stand_in_a_file():
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    sentence = re.search(r"So may be given: ([^.]*)\.", example)[1]

    assert sorted(re.findall(r"\w+", sentence)) == sorted(read_by("secrets?"))


def test_no_setting_is_explained_twice():
    names = settings_names()

    assert sorted(names) == sorted(set(names))


def test_the_example_sets_nothing():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == []
