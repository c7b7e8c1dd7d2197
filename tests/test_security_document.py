"""docs/security.md names tests that exist."""

import ast
import re

import pytest

from tests.plugin import ROOT

pytestmark = pytest.mark.once
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))


def test_the_document_names_many():
    assert len(NAMED) > 50


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_test_it_names_exists(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

    assert name in tests or not name


def test_every_module_and_setting_it_names_exists():
    modules = set(re.findall(r"`((?:config|accounts|fileshare|payments|audit)/[\w/]+\.py)`", TEXT))

    assert [module for module in modules if not (ROOT / module).exists()] == []


def test_every_promise_has_a_test():
    table = TEXT.split("## Promises, and what shows them")[1].split("\n## ")[0]
    rows = [
        line for line in table.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
    ]

    assert len(rows) > 20
    assert [row for row in rows if "`tests/" not in row] == []


def test_the_short_file_leads_here():
    assert "docs/security.md" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
