"""Which app may import which: payments → fileshare → accounts → audit → config, never back; the order in each app."""

import ast
import functools
import re
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ["config", "audit", "accounts", "fileshare", "payments"]
FILES = sorted(
    path.relative_to(ROOT) for app in FLOORS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts
)
# The order within an app, lowest first: a wing (a folder) or a module imports only what stands before it. Those joined
# by "+" may import each other. The modules of contributions/ have a place each: all of the app reads some of them,
# and hand_in reads all of the app.
ORDER = {
    "config": """
        registry lazy prepared errors context access progress drawing sizes plain_names library_messages names
        context_processors schedule models celery embedded environment outside forms http api admin watch templatetags
        gunicorn
        checks settings wsgi management urls
    """,
    "audit": """
        actions names schedule addresses models triggers heads chain log filters reading verifying metrics parts hand_in
    """,
    "accounts": """
        actions names rates schedule scopes models stand_in addresses keepers notices notice_kinds letter_samples
        credentials people second_factors privacy signing_in forms checks metrics parts context_processors templatetags
        hand_in
    """,
    "fileshare": """
        actions names notice_kinds rates schedule scopes conf content models storage lists new_file_letters
        folder_notices holds tags folders audiences checksums space scanning files company_folders
        incoming many requests outgoing sharing search desk upkeep backups demo privacy forms metrics parts
        templatetags letter_samples hand_in
    """,
    "payments": """
        actions names notice_kinds rates schedule scopes conf models plans
        mpesa+notices+settling+transactions bookkeeping privacy simulator
        forms checks metrics parts letter_samples hand_in
    """,
}
# Doors stand above all of their app, side by side. A kind of door imports no other kind, and a table of addresses
# names views of one kind. What two doors need belongs in an operation or a wing. (In config, such modules have a place
# in ORDER.)
DOORS = {"api", "views", "admin", "management", "tasks"}
TABLES = {"api_urls": "api", "sender_urls": "api", "store_urls": "views", "urls": "views"}
# (imported module, file): why the import stands inside a function.
INSIDE_FUNCTIONS = {
    ("config.wsgi", "config/management/commands/portal_run.py"): "importing it builds the application",
}
# Files that put the portal together, and so may name each app.
ROOF = {"config/settings.py", "config/urls.py", "config/celery.py", "config/apps.py"}


@functools.cache
def imports(path):
    """(module in full, the node, whether it stands inside a function) for each module that a file imports."""
    found, package = [], list(path.parent.parts)
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
            module = ".".join([*start, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
            modules = {name if is_module(name) else module for name in names}
        else:
            continue
        found += [(module, node, id(node) in inside) for module in modules]
    return found


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def room(path):
    """The wing or module of its app that a file belongs to; None for the app itself."""
    return place_of(path.with_suffix("").parts[1:])


def place_of(parts):
    """The wing or module for the parts of a path, or of a module's name, below the app."""
    own = parts[1:] if [*parts][:1] == ["contributions"] and len(parts) > 1 else parts
    return None if not own or own[0] == "__init__" else own[0]


def imports_within(path):
    """(wing or module, line) for each import of another wing or module of the file's app."""
    app = path.parts[0]
    for module, node, _ in imports(path):
        floor, *parts = module.split(".")
        there = place_of(parts)
        if floor == app and there not in (None, room(path)):
            yield there, node.lineno


def is_door(app, name):
    return app != "config" and (name in DOORS or name in TABLES)


def test_every_app_of_the_portal_has_its_floor():
    apps = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "scripts", "bench"}

    assert apps == set(FLOORS)


def test_an_app_imports_from_below_only():
    wrong = [
        f"{path}:{node.lineno}: {module}"
        for path in FILES
        for module, node, _ in imports(path)
        if module.split(".")[0] in FLOORS[FLOORS.index(path.parts[0]) + 1 :]
    ]

    assert not wrong, "the roof names apps in strings only, and nobody looks up"


def strings(path):
    """(text, line) of each string of a file, without the docstrings."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value, node.lineno


def names_in(text, apps):
    """The apps that `text` names as a module, a label, an address or a path; "of his accounts" names no app."""
    return [app for app in apps if text == app or re.search(rf"\b{app}[._/][a-z]", text)]


def test_an_app_names_none_above_by_string_either():
    wrong = [
        f"{path}:{line}: {text!r}"
        for path in FILES
        if path.as_posix() not in ROOF
        for text, line in strings(path)
        if names_in(text, FLOORS[FLOORS.index(path.parts[0]) + 1 :])
    ]

    assert not wrong, "the app above hands it in (config/contributions/registry.py)"


@pytest.mark.parametrize(
    ("text", "apps"),
    [
        ("fileshare", ["fileshare"]),
        ("fileshare.tasks.back_up", ["fileshare"]),
        ("admin:fileshare_folder_change", ["fileshare"]),
        ("api/payments/cb", ["payments"]),
        ("DEMO=1 makes accounts. Known ones", []),
        ("Every action about accounts", []),
    ],
)
def test_which_strings_name_an_app(text, apps):
    assert names_in(text, FLOORS[1:]) == apps


def test_imports_stand_at_the_top():
    wrong = [
        f"{path}:{node.lineno}: {module}"
        for path in FILES
        for module, node, inside in imports(path)
        if inside and (module, str(path)) not in INSIDE_FUNCTIONS
    ]

    assert not wrong


def test_the_portal_never_imports_its_tests_scripts_or_benchmark():
    for path in FILES:
        assert not {module.split(".")[0] for module, *_ in imports(path)} & {"tests", "scripts", "bench"}, path


def test_models_know_no_views_and_no_operations():
    """Models stand below the views and operations that use them."""
    for path in FILES:
        if path.parts[1:2] == ("models",):
            for module, node, _ in imports(path):
                inner = module.split(".")
                assert inner[0] not in FLOORS or inner[1:2] in ([], ["models"], ["content"], ["prepared"]), (
                    f"{path}:{node.lineno}"
                )


@pytest.mark.parametrize("app", FLOORS)
def test_every_wing_and_module_has_its_place(app):
    rooms = {room(path) for path in FILES if path.parts[0] == app} - {None, "apps"}

    assert rooms == {name for name in rooms if is_door(app, name)} | set(ORDER[app].replace("+", " ").split())


def test_a_wing_imports_only_what_stands_before_it():
    wrong = []
    for path in FILES:
        app, own = path.parts[0], room(path)
        if own in (None, "apps") or is_door(app, own):
            continue
        rows = [row.split("+") for row in ORDER[app].split()]
        place = {name: number for number, row in enumerate(rows) for name in row}
        wrong += [
            f"{path}:{line} imports {name}"
            for name, line in imports_within(path)
            if place.get(name, len(rows)) > place[own]
        ]

    assert not wrong, "move what both need below, or what uses both above"


def test_a_door_never_imports_another_kind_of_door():
    wrong = []
    for path in FILES:
        if not is_door(path.parts[0], room(path)):
            continue
        own = TABLES.get(room(path), room(path))
        for module, node, _ in imports(path):
            app, name = [*module.split("."), ""][:2]
            if app in FLOORS and is_door(app, name) and name != own:
                wrong.append(f"{path}:{node.lineno} imports {module}")

    assert not wrong, "both call the same operation"


def test_a_table_of_addresses_names_views_of_one_kind():
    tables = {path: room(path) for path in FILES if room(path) in TABLES and path.parts[0] != "config"}

    named = {path: {name for name, _line in imports_within(path)} for path in tables}

    assert named == {path: {TABLES[name]} for path, name in tables.items()}


def test_no_folder_keeps_more_than_twenty_modules():
    modules = Counter(path.parent for path in FILES if path.name != "__init__.py")

    assert {str(folder): count for folder, count in modules.items() if count > 20} == {}
