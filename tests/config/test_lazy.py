"""What a start imports: large libraries wait until they are used, and some are never needed."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from config.lazy import LazyModule

pytestmark = pytest.mark.once
LATER = ["sentry_sdk", "webauthn", "segno", "fpdf", "httpx", "django.contrib.postgres.fields"]


def test_a_start_imports_no_large_library_that_only_some_requests_use(tmp_path):
    code = f"import config.wsgi, sys; print([name for name in {[*LATER, 'psycopg']} if name in sys.modules])"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    facts = kept | {"ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"}

    done = subprocess.run(
        [sys.executable, "-c", code], env=facts, cwd=settings.BASE_DIR, capture_output=True, text=True
    )

    assert done.stdout == "[]\n", done.stderr


def test_a_lazy_module_is_imported_when_one_of_its_names_is_used():
    lazy = LazyModule("colorsys")
    sys.modules.pop("colorsys", None)

    assert "colorsys" not in sys.modules
    assert lazy.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
    assert "colorsys" in sys.modules
