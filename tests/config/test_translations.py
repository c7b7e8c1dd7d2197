"""Swahili: nothing of the interface is left in English, and nothing of a sentence is lost on the way."""

import ast
import gettext
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten, flatten_fieldsets
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.utils import translation
from django.utils.functional import Promise

from accounts import tokens
from accounts.notifications import notify
from config.library_messages import LIBRARY_MESSAGES
from config.refusals import server_error
from scripts.messages import CATALOG, COMPILED, PARTS, ROOT, read
from tests.test_matrix import API, PAGES, POSTS, ROLES, World

pytestmark = pytest.mark.once

SWAHILI = {"Accept-Language": "sw"}
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sd%]|\{[^{}]*\}|</?\w[^>]*>|https?://\S+")
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*") if path.suffix in (".html", ".txt"))
LETTERS = sorted(path.name.removesuffix(".subject.txt") for path in (ROOT / "templates/mail").glob("*.subject.txt"))
# What letters speak of, all of them together; a letter takes what it knows.
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
# Written by people or by a migration, and the same in every language.
DATA = {"Client documents"}
SPOKEN_ATTRIBUTES = ("alt", "title", "aria-label", "aria-description", "placeholder", "label")
# Names and code, which no language changes.
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
            # One of something may leave its number out.
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
    """gettext() outside a function speaks the language of the start, for ever; gettext_lazy() does not."""
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

    assert plain == [], "give them names in config/names.py"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_has_no_words_outside_its_translations(path):
    text = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"\{% (comment|blocktrans(?:late)?)\b.*?%\}.*?\{% end\1 %\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{% block bodyclass %\}.*?\{% endblock %\}", "", text)
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.DOTALL)

    texts = texts_of(text) if path.suffix == ".html" else [text]

    assert [said for said in texts if re.search(r"[^\W\d_]{3}", NO_WORDS.sub("", said))] == []


# --- What people see -------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Collects what a page says: its text, and the attributes that are read out or shown."""

    def __init__(self):
        super().__init__()
        self.texts, self.silent = [], 0

    def handle_starttag(self, tag, attrs):
        attrs = {name: value or "" for name, value in attrs}
        self.silent += tag in ("script", "style")
        spoken = [name for name in attrs if name in SPOKEN_ATTRIBUTES or name.startswith("data-text")]
        if attrs.get("name") == "description":
            spoken.append("content")
        if tag == "input" and attrs.get("type") in ("submit", "button"):
            spoken.append("value")
        self.texts += [attrs[name] for name in spoken if name in attrs]

    def handle_endtag(self, tag):
        self.silent -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.silent:
            self.texts.append(data)


def texts_of(html):
    reader = Reader()
    reader.feed(html)
    return [" ".join(text.split()) for text in reader.texts if text.strip()]


@pytest.fixture(scope="module")
def english():
    """Finds the sentences of the catalog that a text says in English: english(text)."""
    pieces = set()
    for entry in entries():
        swahili = " ".join(entry["said"])
        for form in filter(None, (entry["msgid"], entry["msgid_plural"])):
            pieces |= {piece for each in PLACEHOLDER.split(form) if (piece := " ".join(each.split())) not in swahili}
    pieces = sorted((piece for piece in pieces - DATA if len(re.findall(r"[^\W\d_]", piece)) > 12), key=len)
    any_of = re.compile("|".join(rf"(?<![\w/]){re.escape(piece)}(?!\w)" for piece in reversed(pieces)))
    return lambda text: any_of.findall(" ".join(text.split()))


@pytest.fixture
def world(people, company_folder, report):
    return World(people, company_folder, report)


def leaks(english, where, response):
    """What a page says in English, with where; it also has to say that it speaks Swahili."""
    if "text/html" not in response.get("Content-Type", "") or not response.content:
        return []
    html = response.content.decode()
    found = [(where, piece) for text in texts_of(html) for piece in english(text)]
    if '<html lang="sw"' not in html or response["Content-Language"] != "sw":
        found.append((where, "the page does not say that it is in Swahili"))
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["nobody", "client", "colleague", "uploader", "super"])
def test_no_page_says_a_sentence_in_english(role, world, people, english):
    found = []
    for path in [*PAGES, "nowhere", "search?q=report", "search?q=nothing-like-it", "files/?cursor=nonsense"]:
        client = Client(headers=SWAHILI)
        if role != "nobody":
            client.force_login(people[role])
        found += leaks(english, path, client.get(world.path(path)))

    assert not found, "\n".join(map(str, found))


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["nobody", "colleague", "uploader", "super"])
def test_no_form_is_refused_or_thanked_for_in_english(role, world, people, english):
    found = []
    for path in {**POSTS, "signup": 0, "login": 0, "forgot-password": 0, "reset-password": 0}:
        for form in ({}, *([world.forms[path]()] if path in world.forms else ())):
            client = Client(headers=SWAHILI)
            if role != "nobody":
                client.force_login(people[role])
            response = client.post(world.path(path, path), form)
            found += leaks(english, path, response)
            if response.status_code == 302 and response["Location"].startswith("/") and path != "language":
                found += leaks(english, f"{path} → {response['Location']}", client.get(response["Location"]))

    assert not found, "\n".join(map(str, found))


@pytest.mark.django_db
def test_a_password_is_refused_in_swahili(people, english):
    client = Client(headers=SWAHILI)
    for password in ("short", "password12345", "12345678901234", "newcomer@example.org"):
        form = {"name": "Newcomer", "email": "newcomer@example.org", "password": password}
        response = client.post("/signup", form)

        assert response.status_code == 400
        assert leaks(english, password, response) == []


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
    assert english(subject) + english(text) + english(" ".join(texts_of(html))) == []


# --- What scripts see ------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["nobody", "client", "uploader"])
def test_a_refusal_of_the_api_is_said_in_swahili_and_keeps_its_code(role, world, people):
    column = ROLES.index(role)
    same, other_codes = [], []
    for call in [call for call, statuses in API.items() if statuses[column] >= 400]:
        answers = [ask(call, role, world, people, language) for language in ("en", "sw")]
        if answers[0]["detail"] == answers[1]["detail"]:
            same.append((call, answers[0]))
        if (
            answers[0]["code"] != answers[1]["code"]
            or answers[0].get("errors", {}).keys() != answers[1].get("errors", {}).keys()
        ):
            other_codes.append((call, answers))

    assert (same, other_codes) == ([], [])


def ask(call, role, world, people, language):
    method, route = call.split(" ", 1)
    headers = {"Accept-Language": language}
    if role != "nobody":
        headers["Authorization"] = f"Bearer {tokens.access_for(people[role])}"
    data = {}
    if call in world.forms:
        data = {"data": world.forms[call]()}
    elif method != "GET":
        data = {"data": world.bodies.get(call, {}), "content_type": "application/json"}
    response = getattr(Client(), method.lower())(world.path(f"api/{route}", call), headers=headers, **data)
    assert response["Content-Language"] == language
    return response.json()


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
    assert [piece for text in texts_of(page) for piece in english(text)] == []
    assert answer["code"] == "server_error"
    assert english(answer["detail"]) == []
