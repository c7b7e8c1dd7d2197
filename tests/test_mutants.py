"""`make mutants` finds each kind of clause, deletes exactly one, and runs the tests that are about it."""

import ast
from collections import Counter

import pytest

from config.outside import queue
from scripts import clauses, covering, mutants

pytestmark = pytest.mark.once

MODELS = """
class NoteQuerySet(models.QuerySet):
    def readable_by(self, user):
        if not user.is_active:
            return self.none()
        rows = self.filter(Q(owner=user) | Q(shared=True), deleted_at=None)
        return rows.exclude(expires_at__lte=timezone.now())

    def size(self):
        return self.aggregate(total=Sum("bytes"))["total"] or 0


class Note(models.Model):
    owner: "User | None"

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pages__gt=0) | Q(draft=True), name="note_has_pages"),
            *[models.UniqueConstraint(fields=[name], name=f"note_once_{name}") for name in ("slug", "title")],
        ]
"""
OPERATIONS = """
class Closed(Refused):
    pass


def change(*, user, pk):
    note = Note.objects.filter(pk=pk).select_for_update(of=("self",)).first()
    if note is None or (note.ends_at < now and not user.is_superuser):
        raise Closed
    if not user.may_write:
        record(user)
        raise PermissionDenied
    if note.is_new:
        welcome(user)
    if not Note.objects.filter(pk=pk, version=note.version).update(version=F("version") + 1):
        raise Closed
    transaction.on_commit(lambda: store.delete(note.key), robust=True)
    send_after_commit("notes.tasks.tell", note_id=note.pk)
    digest.update(note.filter(text))


def spend(code):
    unused = mine().filter(used_at=None)
    return unused.update(used_at=timezone.now()) and mine().update(seen=True)


def mine():
    return Code.objects.filter(pk=1)
"""
MIGRATION = """
class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel(
            name="Note",
            options={"constraints": [models.CheckConstraint(condition=models.Q(a=1), name="one")]},
        ),
        migrations.AddConstraint("note", constraint=models.UniqueConstraint(fields=["b"], name="two")),
        migrations.AddConstraint(model_name="note", constraint=models.UniqueConstraint(fields=["c"], name="three")),
        migrations.RemoveConstraint(model_name="note", name="two"),
    ]
"""


@pytest.fixture(scope="module")
def portal():
    """(the sources of the portal by path, their clauses)."""
    texts = {str(path.relative_to(mutants.ROOT)): path.read_text(encoding="utf-8") for path in mutants.sources()}
    return texts, mutants.find_all(texts)


def found(path, text):
    return clauses.find(path, text, clauses.refusals_of([text]))


def test_each_condition_of_a_right_is_found_once_in_models():
    assert [(clause.kind, clause.line, clause.text) for clause in found("notes/models.py", MODELS)] == [
        ("right", 4, "if not user.is_active"),
        ("right", 6, "Q(owner=user)"),
        ("right", 6, "Q(shared=True)"),
        ("right", 6, "deleted_at=None"),
        ("time", 7, "expires_at__lte=timezone.now()"),
        ("constraint", 18, "note_has_pages"),
        ("constraint", 19, "note_once_slug"),
        ("constraint", 19, "note_once_title"),
    ]


def test_each_other_kind_is_found_once_in_operations():
    assert [(clause.kind, clause.function, clause.text) for clause in found("notes/notes.py", OPERATIONS)] == [
        ("lock", "change", '.select_for_update(of=("self",))'),
        ("right", "change", "note is None"),
        ("time", "change", "note.ends_at < now"),
        ("right", "change", "not user.is_superuser"),
        ("right", "change", "if not user.may_write"),
        (
            "right",
            "change",
            'if not Note.objects.filter(pk=pk, version=note.version).update(version=F("version") + 1)',
        ),
        ("update", "change", "pk=pk"),
        ("update", "change", "version=note.version"),
        ("commit", "change", "transaction.on_commit(lambda: store.delete(note.key), robust=True)"),
        ("commit", "change", 'send_after_commit("notes.tasks.tell", note_id=note.pk)'),
        ("update", "spend", "used_at=None"),
        ("update", "mine", "pk=1"),
    ]


@pytest.mark.parametrize(
    ("clause", "line", "without"),
    [
        ("if not user.is_active", 4, "if False:"),
        ("Q(owner=user)", 6, "rows = self.filter(Q(shared=True), deleted_at=None)"),
        ("Q(shared=True)", 6, "rows = self.filter(Q(owner=user), deleted_at=None)"),
        ("deleted_at=None", 6, "rows = self.filter(Q(owner=user) | Q(shared=True))"),
        ("expires_at__lte=timezone.now()", 7, "return rows.exclude()"),
        ('.select_for_update(of=("self",))', 7, "note = Note.objects.filter(pk=pk).first()"),
        ("note is None", 8, "if (note.ends_at < now and not user.is_superuser):"),
        ("note.ends_at < now", 8, "if note is None or ((not user.is_superuser)):"),
        ("version=note.version", 15, 'if not Note.objects.filter(pk=pk).update(version=F("version") + 1):'),
        (
            "transaction.on_commit(lambda: store.delete(note.key), robust=True)",
            17,
            "(lambda: store.delete(note.key))()",
        ),
        (
            'send_after_commit("notes.tasks.tell", note_id=note.pk)',
            18,
            f'{clauses.SEND_NOW}("notes.tasks.tell", dict(note_id=note.pk))',
        ),
    ],
)
def test_a_deletion_changes_its_line_and_no_other(clause, line, without):
    path, text = ("notes/models.py", MODELS) if clause in MODELS else ("notes/notes.py", OPERATIONS)
    (one,) = [each for each in found(path, text) if each.text == clause]

    before, after = text.splitlines(), one.deleted_from(text).splitlines()

    assert after.pop(line - 1).strip() == without
    del before[line - 1]
    assert after == before


def test_a_constraint_goes_from_the_model_and_its_migrations():
    (slug, _title) = [each for each in found("notes/models.py", MODELS) if each.text.startswith("note_once")]
    assert 'for name in ["title"]' in slug.deleted_from(MODELS)

    without = clauses.without_constraint(clauses.without_constraint(MIGRATION, "one"), "two")

    assert '"constraints": []' in without
    assert '"one"' not in without
    assert '"two"' not in without
    assert '"three"' in without
    ast.parse(without)


def test_every_deletion_of_a_draw_leaves_a_program_that_differs(portal):
    texts, candidates = portal
    drawn = mutants.draw(candidates, seed=1, number=60)

    for clause in drawn:
        before, after = texts[clause.path], clause.deleted_from(texts[clause.path])
        assert ast.dump(ast.parse(after)) != ast.dump(ast.parse(before)), clause.name
    assert Counter(clause.kind for clause in drawn) == dict.fromkeys(clauses.KINDS, 10)
    assert drawn == mutants.draw(candidates, seed=1, number=60), "a seed draws the same again"


def test_every_clause_that_may_go_is_still_there_and_has_its_guard(portal):
    _texts, candidates = portal
    allowed = mutants.read_allowed()

    assert set(allowed) <= {clause.name for clause in candidates}
    assert all(allowed.values())


def test_a_constraint_that_is_deleted_is_one_of_a_migration(portal):
    _texts, candidates = portal
    migrations = {
        app: "".join(path.read_text(encoding="utf-8") for path in (mutants.ROOT / app / "migrations").glob("0*.py"))
        for app in mutants.APPS
    }

    for clause in candidates:
        if clause.kind == "constraint":
            assert f'name="{clause.text}"' in migrations[clause.path.split("/")[0]], clause.name


def test_what_waits_for_the_commit_is_sent_by_a_function_that_is_there():
    assert callable(queue._send), "scripts/clauses.py calls it by its name"


def test_the_tests_of_a_clause_begin_with_those_that_import_and_name_it(tmp_path):
    files = {
        "tests/notes/test_notes.py": "from notes import models",
        "tests/notes/test_api.py": 'import pytest\n\nclient.post("/readable_by/")\n\npytestmark = pytest.mark.once',
        "tests/notes/test_rights.py": "from notes.models import Note\n\nNote.objects.readable_by(user)",
        "tests/notes/test_shelves.py": "from notes import shelves",
        "tests/other/test_rights.py": "from notes.models import Note",
        "tests/other/test_words.py": "note = 1",
        "tests/guards/test_bad_rows.py": 'CHECKS = {"note_has_pages": {"pages": 0}}',
        "tests/browser/test_notes.py": "from notes.models import Note\n\nNote.objects.readable_by(user)",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    shelves = "from .models import Note\n\ndef of(user):\n    return Note.objects.readable_by(user)"
    tests = covering.Tests(tmp_path, {"notes/models.py": MODELS, "notes/shelves.py": shelves})
    right, *_others = found("notes/models.py", MODELS)
    (constraint,) = [clause for clause in found("notes/models.py", MODELS) if clause.text == "note_has_pages"]

    assert tests.runs_for(constraint)[0] == (["tests/guards/test_bad_rows.py"], "", True)
    near, far = ["tests/notes/test_rights.py", "tests/notes/test_api.py"], ["tests/notes/test_shelves.py"]
    far += ["tests/notes/test_notes.py", "tests/other/test_rights.py"]
    assert tests.runs_for(right) == [
        (near, "", True),
        (["tests/notes/test_api.py"], "once or sqlite", False),
        (far, "", True),
    ]


OUTPUTS = {
    "tests/a.py::test_b FAILED   [ 50%]\n": (True, "tests/a.py::test_b", ""),
    "tests/a.py::test_b[x y] ERROR   [ 50%]\n": (True, "tests/a.py::test_b[x y]", ""),
    "tests/a.py::test_a PASSED [ 9%]\ntests/a.py::test_b Timeout (0:02:00)!\nThread\n": (
        True,
        "tests/a.py::test_b",
        "it hung for 120 s",
    ),
    "E   NameError: no such name\n": (True, "", "no test began: E NameError: no such name"),
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_a_run_of_pytest_says_is_understood(output):
    (clause, *_others) = found("notes/notes.py", OPERATIONS)

    verdict = mutants.judge(clause, 1, output)

    assert (verdict.noticed, verdict.noticed_by, verdict.how) == OUTPUTS[output]


@pytest.mark.parametrize(("status", "noticed"), [(0, None), (5, None)])
def test_a_run_that_passes_has_noticed_nothing(status, noticed):
    (clause, *_others) = found("notes/notes.py", OPERATIONS)

    assert mutants.judge(clause, status, "tests/a.py::test_b PASSED\n") is noticed


@pytest.mark.parametrize(("status", "how"), [(None, "time ran out"), (-9, "pytest was ended by signal 9")])
def test_tests_that_did_not_come_to_their_end_have_noticed_nothing(status, how):
    (clause, *_others) = found("notes/notes.py", OPERATIONS)

    verdict = mutants.judge(clause, status, "tests/a.py::test_a PASSED\ntests/a.py::test_b ")

    assert (verdict.noticed, verdict.how) == (False, how)


@pytest.mark.parametrize(("noticed", "status"), [(11, 0), (10, 1)])
def test_eleven_of_twelve_have_to_be_noticed(noticed, status, capsys):
    clause, *_others = found("notes/notes.py", OPERATIONS)
    verdicts = [mutants.Verdict(clause, number < noticed) for number in range(12)]

    assert mutants.report(verdicts, {"notes/notes.py": OPERATIONS}) == status
    out = capsys.readouterr().out
    assert f"caught {noticed} of 12" in out
    assert "notes/notes.py:7 change" in out
