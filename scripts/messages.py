"""Bring the Swahili catalog up to the code. CONTRIBUTING.md, 'Words in two languages', describes the next steps.

    make messages                       adds new sentences to the catalog, empty, and lists them; makes the .mo
    make messages ARGS=--no-obsolete    also drops sentences that the code no longer has
    make messages ARGS=--check          writes nothing: lists sentences without Swahili, exits with 1 if there are any

Needs gettext's xgettext, msgmerge and msgfmt. It never loses or guesses a translation: a sentence that changes in
English becomes empty again, and its old translation stays in the comments at the end of the file.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.core.management.commands import makemessages

ROOT = Path(__file__).resolve().parent.parent
LANGUAGE = "sw"
CATALOG = ROOT / "locale" / LANGUAGE / "LC_MESSAGES" / "django.po"
COMPILED = CATALOG.with_suffix(".mo")
PARTS = ("accounts", "audit", "config", "fileshare", "payments", "templates")
TOOLS = ("xgettext", "msgmerge", "msguniq", "msgattrib", "msgfmt")


class Command(makemessages.Command):
    """Django's command without fuzzy matching, which would give a new sentence a similar one's translation."""

    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="write nothing")
    arguments.add_argument("--no-obsolete", action="store_true", help="drop what the code no longer says")
    arguments = arguments.parse_args()
    if absent := [tool for tool in TOOLS if shutil.which(tool) is None]:
        print(f"Not here: {', '.join(absent)}. They come with gettext: `apt-get install gettext`.")
        return 2
    with tempfile.TemporaryDirectory(prefix="portal-messages-") as folder:
        text = updated(Path(folder), no_obsolete=arguments.no_obsolete or arguments.check)
        fresh = Path(folder, "fresh.po")
        fresh.write_text(text, encoding="utf-8")
        entries = read(fresh)
        if not arguments.check:
            compiled = Path(folder, "fresh.mo")
            subprocess.run(["msgfmt", "--check-format", "-o", compiled, fresh], check=True)
            CATALOG.parent.mkdir(parents=True, exist_ok=True)
            CATALOG.write_text(text, encoding="utf-8")
            shutil.copyfile(compiled, COMPILED)
    waiting = [entry["msgid"] for entry in entries if entry["fuzzy"] or not all(entry["said"])]
    print(f"{len(entries)} messages, {len(waiting)} without Swahili{':' if waiting else '.'}")
    for message in waiting:
        print(f"  {message}")
    return 1 if arguments.check and waiting else 0


def updated(folder, *, no_obsolete):
    """The updated catalog's text. Works on a copy in `folder`: makemessages writes beside the files that it reads."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "migrations"))
    catalog = folder / CATALOG.relative_to(ROOT)
    catalog.parent.mkdir(parents=True)
    if CATALOG.exists():
        shutil.copyfile(CATALOG, catalog)
    settings.configure(LOCALE_PATHS=[folder / "locale"])
    django.setup()
    os.chdir(folder)
    call_command(Command(), locale=[LANGUAGE], no_location=True, no_wrap=True, no_obsolete=no_obsolete, verbosity=0)
    os.chdir(ROOT)
    # Remove the date, so that a run without new sentences changes nothing.
    return re.sub(r'^"POT-Creation-Date: .*\n', "", catalog.read_text(encoding="utf-8"), flags=re.MULTILINE)


def read(path):
    """The messages of a .po file, without the header and obsolete ones.

    Each has msgctxt, msgid, msgid_plural (None if it has none), said (a list with one text, or one for each plural
    form), fuzzy.
    """
    entries, entry, field, fuzzy = [], None, None, False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            fuzzy = fuzzy or (line.startswith("#,") and "fuzzy" in line)
            continue
        keyword, _, text = line.partition(" ")
        if line.startswith('"'):
            entry[field] += ast.literal_eval(line)
        elif keyword in ("msgctxt", "msgid") and field not in ("msgctxt",):
            entry = {"fuzzy": fuzzy}
            entries.append(entry)
            fuzzy = False
        if keyword.startswith("msg"):
            field = keyword
            entry[field] = ast.literal_eval(text)
    return [
        {
            "msgctxt": entry.get("msgctxt"),
            "msgid": entry["msgid"],
            "msgid_plural": entry.get("msgid_plural"),
            "said": [text for name, text in entry.items() if name.startswith("msgstr")],
            "fuzzy": entry["fuzzy"],
        }
        for entry in entries
        if entry["msgid"]
    ]


if __name__ == "__main__":
    sys.exit(main())
