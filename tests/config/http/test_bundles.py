"""The common style sheet and script: all of the portal's own, in order, and errors of the build for what is unknown."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from config.http import bundles

STATIC = Path(settings.BASE_DIR, "static")
pytestmark = pytest.mark.once


def read(name):
    return (STATIC / name).read_text(encoding="utf-8")


def read_from(files):
    return lambda name: files[name]


def rules(text):
    """The selectors of a style sheet with the conditions around them."""
    text, found, around = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL), [], []
    for before, sign in re.findall(r"([^{}]*)([{}])", text):
        words = " ".join(before.rpartition(";")[2].split())
        if sign == "}":
            around.pop()
            continue
        around.append(words)
        if not words.startswith("@"):
            found += [(*around[:-1], selector.strip()) for selector in words.split(",")]
    return found


def names():
    return [f"css/{path.name}" for path in STATIC.glob("css/*.css")]


def test_the_script_holds_each_module_that_a_page_may_start():
    text = bundles.script(read)

    modules = {path.relative_to(STATIC).as_posix() for path in (STATIC / "js").rglob("*.js")} - {"js/early.js"}
    assert text.count("= (() => {\n") == len(modules)
    assert not re.search(r"^(import|export)\b|import\(", text, re.MULTILINE)
    node = shutil.which("node")
    checked = subprocess.run([node, "--input-type=module", "--check"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_modules_see_what_they_import_and_are_made_once(tmp_path):
    files = {
        "js/app.js": (
            '/** Starts. */\nimport { twice } from "./lib/a.js";\nimport * as b from "./lib/b.js";\n'
            'const later = { c: () => import("./c.js") };\n'
            "later.c().then((c) => console.log(twice(b.two), b.count(), c.count(), c.Thing.name));\n"
        ),
        "js/lib/a.js": 'import { two } from "./b.js";\nexport function twice(value) {\n  return value * two;\n}\n',
        "js/lib/b.js": "export const two = 2;\nlet calls = 0;\nexport const count = () => (calls += 1);\n",
        "js/c.js": 'import { count } from "./lib/b.js";\n// a line\nexport class Thing {}\nexport { count };\n',
    }
    with pytest.raises(ValueError, match="knows no such form: export { count };"):
        bundles.script(read_from(files))
    files["js/c.js"] = files["js/c.js"].replace("export { count };", "").replace("{ count }", "{ count as again }")
    with pytest.raises(ValueError, match="knows no such form: import"):
        bundles.script(read_from(files))
    files["js/c.js"] = (
        'import * as b from "./lib/b.js";\nexport async function nothing() {}\nexport class Thing {}\n'
        "export const count = b.count;\n"
    )

    script = tmp_path / "all.mjs"
    script.write_text(bundles.script(read_from(files)), encoding="utf-8")
    done = subprocess.run([shutil.which("node"), script], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("4 1 2 Thing\n", "")


def test_modules_in_a_circle_are_an_error():
    files = {"js/app.js": 'import { a } from "./a.js";\n', "js/a.js": 'import { b } from "./app.js";\n'}

    with pytest.raises(ValueError, match="circle"):
        bundles.script(read_from(files))


def test_code_behind_a_comment_is_an_error():
    with pytest.raises(ValueError, match="code behind a comment"):
        bundles.script(read_from({"js/app.js": "/* a */ start();\n"}))


def test_the_style_sheet_holds_every_rule_of_its_parts_in_their_order():
    text = bundles.style_sheet(read, names())

    parts = [*bundles.EVERY_PAGE, *sorted(set(names()) - set(bundles.EVERY_PAGE) - set(bundles.APART))]
    assert rules(text) == [rule for name in parts for rule in rules(read(name))]
    assert len(parts) > 20
    assert text.index("@layer tokens, base") < 5


def test_the_style_sheets_of_single_pages_change_no_other_page():
    """All stand in one sheet, so a class belongs to one of them, or to the common ones and is never changed."""
    owners = {}
    for name in set(names()) - set(bundles.APART):
        for *around, selector in rules(read(name)):
            if not any("print" in each for each in around):
                owners.setdefault(selector, set()).add(name)

    shared = {selector: found for selector, found in owners.items() if len(found) > 1 and selector.startswith(".")}
    assert {selector for selector, found in shared.items() if not found <= set(bundles.EVERY_PAGE)} == set()
