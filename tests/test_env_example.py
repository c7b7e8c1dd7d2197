import re

import pytest

from config import settings
from tests.plugin import ROOT, settings_names

pytestmark = pytest.mark.once

READERS = r"""(?:env\.\w+|_count|_one_of)\(\s*"([A-Z][A-Z0-9_]*)\""""


def test_the_example_explains_every_setting_that_is_read():
    source = (ROOT / "config" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(READERS, source)) | {f"RATE_{name.upper()}" for name in settings.RATE_LIMITS}

    assert read - set(settings_names()) == set()


def test_no_setting_is_explained_twice():
    names = settings_names()

    assert sorted(names) == sorted(set(names))


def test_the_example_sets_nothing():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == []
