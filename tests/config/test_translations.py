"""Swahili: the whole interface is translated, and each translation keeps all parts of its sentence."""

import ast
import gettext
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten, flatten_fieldsets
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.utils import translation
from django.utils.functional import Promise

from accounts.notices.notifications import notify
from config.http.refusals import server_error
from config.library_messages import LIBRARY_MESSAGES
from scripts.messages import CATALOG, COMPILED, PARTS, ROOT, read
from tests.judges import PLACEHOLDER, SWAHILI, English, texts_of
from tests.test_matrix import World

pytestmark = pytest.mark.once

TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*") if path.suffix in (".html", ".txt"))
LETTERS = sorted(path.name.removesuffix(".subject.txt") for path in (ROOT / "templates/mail").glob("*.subject.txt"))
# The variables of all letters together; each letter uses some of them.
CONTEXT = {
    "site_name": "Portal",
    "site_url": "https://portal.example.org",
    "link": "https://portal.example.org/x",
    "path": "/payments/1",
    "owner": "Amina",
    "company": "Baobab",
    "title": "Mei",
    "has_password": True,
    "count": 2,
    "more": 2,
    "n": 2,
}
# Names and code, which are the same in every language.
NO_WORDS = re.compile(r"\b(app|model|Authorization: Bearer|M-Pesa|KES|PDF|ZIP|SHA-256|UTC|API|JSON|QR|TOTP|URL)\b")


def entries():
    return read(CATALOG)


# --- The catalog -----------------------------------------------------------------------------------


@pytest.mark.gettext
def test_every_sentence_of_the_code_is_said_in_swahili():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/messages.py", "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, f"Run `make messages`, then translate:\n{done.stdout}{done.stderr}"


def test_the_compiled_catalog_says_what_the_written_one_says():
    with COMPILED.open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    written = {}
    for entry in entries():
        context, said = entry["msgctxt"], entry["said"]
        key = entry["msgid"] if context is None else f"{context}\x04{entry['msgid']}"
        if entry["msgid_plural"] is None:
            written[key] = said[0]
        else:
            written |= {(key, number): text for number, text in enumerate(said)}

    assert {key: text for key, text in compiled._catalog.items() if key} == {
        key: text for key, text in written.items() if text
    }
    assert compiled.info()["plural-forms"] == "nplurals=2; plural=(n != 1);"


def test_what_a_sentence_holds_is_held_by_its_translation():
    wrong = []
    for entry in entries():
        forms = [entry["msgid"], entry["msgid_plural"] or entry["msgid"]]
        for number, said in enumerate(entry["said"]):
            held = [Counter(PLACEHOLDER.findall(form)) for form in forms]
            # The form for one may leave the number out.
            fitting = held if number == 0 else held[1:]
            if said and Counter(PLACEHOLDER.findall(said)) not in fitting:
                wrong.append(said)
            if said and (edges(said) != edges(entry["msgid"])):
                wrong.append(said)

    assert wrong == []


def edges(text):
    """The white space before and behind a text."""
    return text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]


def test_a_sentence_ends_in_swahili_as_it_does_in_english():
    ends = (".", "?", "!", ":", "…", ",")

    wrong = [
        entry["msgid"]
        for entry in entries()
        for said in entry["said"]
        if said and [entry["msgid"].rstrip().endswith(end) for end in ends] != [said.endswith(end) for end in ends]
    ]

    assert wrong == []


@pytest.mark.parametrize("module", sorted(LIBRARY_MESSAGES))
def test_what_we_say_for_a_library_is_still_what_it_says(module):
    source = Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")
    texts = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}

    for message in LIBRARY_MESSAGES[module]:
        assert {message} <= texts if isinstance(message, str) else set(message) <= texts, message


# --- The code --------------------------------------------------------------------------------------


def test_no_text_is_chosen_before_anybody_reads():
    """gettext() at import translates once, to the language of the start; gettext_lazy() translates for each reader."""
    wrong = []
    for path in (path for part in PARTS for path in (ROOT / part).rglob("*.py") if "migrations" not in path.parts):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        eager = {
            name.asname or name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
            for name in node.names
            if name.name in ("gettext", "ngettext", "pgettext", "npgettext")
        }
        wrong += [f"{path.relative_to(ROOT)}:{line}" for line in at_import(tree, eager)]

    assert wrong == []


def at_import(node, names):
    """The lines on which a function of these names is called when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Name) and child.func.id in names:
            yield child.lineno
        yield from at_import(child, names)


def test_the_administration_names_its_models_and_columns_in_both_languages():
    plain = []
    for model, options in admin.site._registry.items():
        if not isinstance(model._meta.verbose_name, Promise):
            plain.append(model._meta.label)
        shown = {*options.list_display, *options.readonly_fields, *flatten_fieldsets(options.fieldsets or ())}
        shown |= set(flatten(options.fields or ()))
        fields = {field.name: field for field in model._meta.get_fields() if hasattr(field, "verbose_name")}
        plain += [
            f"{model._meta.label}.{name}"
            for name in sorted(shown & set(fields) - {"id"})
            if not isinstance(fields[name].verbose_name, Promise)
        ]

    assert plain == [], "give them names in names.py of their app"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_has_no_words_outside_its_translations(path):
    text = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"\{% (comment|blocktrans(?:late)?)\b.*?%\}.*?\{% end\1 %\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{% block bodyclass %\}.*?\{% endblock %\}", "", text)
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.DOTALL)

    texts = texts_of(text) if path.suffix == ".html" else [text]

    assert [said for said in texts if re.search(r"[^\W\d_]{3}", NO_WORDS.sub("", said))] == []


# --- What people see -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def english():
    return English()


@pytest.fixture
def world(people, company_folder, report):
    return World(people, company_folder, report)


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["nobody", "uploader"])
@pytest.mark.parametrize("path", ["nowhere", "search?q=report", "search?q=nothing-like-it", "files/?cursor=nonsense"])
def test_a_page_beside_the_usual_says_nothing_in_english(role, path, world, people, english):
    client = Client(headers=SWAHILI)
    if role != "nobody":
        client.force_login(people[role])

    assert english.in_answer(client.get(world.path(path))) == []


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["signup", "login", "forgot-password", "reset-password"])
@pytest.mark.parametrize("filled", [False, True])
def test_no_form_without_an_account_is_refused_in_english(path, filled, world, english):
    form = world.forms[path]() if filled else {}

    assert english.in_answer(Client(headers=SWAHILI).post(world.path(path, path), form)) == []


@pytest.mark.django_db
def test_a_password_is_refused_in_swahili(people, english):
    client = Client(headers=SWAHILI)
    for password in ("short", "password12345", "12345678901234", "newcomer@example.org"):
        form = {"name": "Newcomer", "email": "newcomer@example.org", "password": password}
        response = client.post("/signup", form)

        assert response.status_code == 400
        assert english.in_answer(response) == []


@pytest.mark.django_db
@pytest.mark.parametrize("letter", LETTERS)
def test_no_letter_says_a_sentence_in_english(letter, people, company_folder, report, english):
    said = {**CONTEXT, "user": people["client"], "sender": people["colleague"]}
    said |= {"file": report, "folder": company_folder}
    notice = notify(people["client"], "folder_granted", folder=company_folder.name)
    said |= {"notice_id": notice.pk, "kind": notice.type, "payload": notice.payload}
    said["lines"] = [{"id": notice.pk, "kind": notice.type, "payload": notice.payload}]

    with translation.override("sw"):
        subject, text, html = (
            render_to_string(f"mail/{letter}{ending}", said) for ending in (".subject.txt", ".txt", ".html")
        )

    assert 'lang="sw"' in html
    assert english.in_text(subject) + english.in_text(text) + english.on_page(html) == []


# --- Caches and error pages ------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["", "signup", "login", "forgot-password", "nowhere", "api/users/me"])
def test_a_cache_keeps_the_languages_apart(path, client):
    response = client.get(f"/{path}", headers=SWAHILI)

    assert response["Content-Language"] == "sw"
    assert {"accept-language", "cookie"} <= {name.strip().lower() for name in response["Vary"].split(",")}


def test_the_page_of_a_fault_speaks_swahili_too(english):
    with translation.override("sw"):
        page = server_error(RequestFactory().get("/", headers={"Accept": "text/html"})).content.decode()
        answer = json.loads(server_error(RequestFactory().get("/api/x")).content)

    assert '<html lang="sw"' in page
    assert english.on_page(page) == []
    assert answer["code"] == "server_error"
    assert english.in_text(answer["detail"]) == []
