"""Who may import whom: payments → fileshare → accounts → audit → config, and never back."""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ["config", "audit", "accounts", "fileshare", "payments"]
FILES = sorted(
    path.relative_to(ROOT) for app in FLOORS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts
)
# "module imported" by "file": why it cannot stand at the top.
INSIDE_FUNCTIONS = {
    ("config.wsgi", "config/management/commands/portal_run.py"): "importing it builds the application",
}


def imports(path):
    """(module in full, the node, whether it stands inside a function) for each import of a file."""
    package = list(path.parent.parts)
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            modules = [".".join([*start, *([node.module] if node.module else [])])]
        else:
            continue
        for module in modules:
            yield module, node, id(node) in inside


def test_every_app_of_the_portal_has_its_floor():
    apps = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "scripts", "bench"}

    assert apps == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_an_app_imports_from_below_only(path):
    above = FLOORS[FLOORS.index(path.parts[0]) + 1 :]

    wrong = [f"line {node.lineno}: {module}" for module, node, _ in imports(path) if module.split(".")[0] in above]

    assert not wrong, "the roof names apps in strings only, and nobody looks up"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_stand_at_the_top(path):
    wrong = [
        f"line {node.lineno}: {module}"
        for module, node, inside in imports(path)
        if inside and (module, str(path)) not in INSIDE_FUNCTIONS
    ]

    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=str)
def test_the_portal_never_imports_its_tests_scripts_or_benchmark(path):
    assert not {module.split(".")[0] for module, *_ in imports(path)} & {"tests", "scripts", "bench"}


def test_models_know_no_views_and_no_operations():
    """Rows stand below what is done with them."""
    for path in FILES:
        if path.parts[1:2] == ("models",):
            for module, node, _ in imports(path):
                inner = module.split(".")
                assert inner[0] not in FLOORS or inner[1:2] in ([], ["models"], ["filenames"]), f"{path}:{node.lineno}"
