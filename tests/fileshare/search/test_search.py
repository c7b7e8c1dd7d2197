"""Search by words, tags, types and bounds, among the files a user may download, with an index on both databases."""

import datetime as dt
import re
import uuid
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fileshare import files
from fileshare.models import File, FolderPermission, PermissionType, Tag
from fileshare.search import find, index
from tests.factories import FolderFactory, UserFactory, grant

pytestmark = pytest.mark.both

SEARCH = "/api/files/search"
MOMENT = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def row(folder, filename, *, minutes=0, tags=(), **facts):
    """A File without bytes: search reads rows only."""
    return rows(folder, [filename], minutes=minutes, tags=tags, **facts)[0]


def rows(folder, names, *, minutes=0, tags=(), **facts):
    made = []
    for number, name in enumerate(names):
        pk = uuid.uuid4()
        made.append(
            File(
                pk=pk,
                folder=folder,
                filename=name,
                object_key=f"files/{pk}",
                uploaded_at=MOMENT + dt.timedelta(minutes=minutes, milliseconds=number),
                **{"size_bytes": 1, "content_type": "text/plain", **facts},
            )
        )
    File.objects.bulk_create(made)
    for file in made if tags else ():
        file.tags.set([Tag.objects.get_or_create(name=name)[0] for name in tags])
    return made


@pytest.fixture
def found(api_as):
    """found(who, q="…", …) is the list of names that the user finds, newest first."""

    def ask(who, **query):
        answer = api_as(who).get(SEARCH, query)
        assert answer.status_code == 200, answer.content
        return [file["filename"] for file in answer.json()["results"]]

    return ask


@pytest.fixture(params=["few", "newest", "many", "index"])
def way(request, monkeypatch):
    """Each way to search: all of a few files, the newest files, more of the newest, and the index."""
    sizes = {
        "few": {},
        "newest": {"NEWEST": 5},
        "many": {"NEWEST": 1, "MANY": 4, "FEW": 0},
        "index": {"NEWEST": 1, "MANY": 1},
    }
    for name, size in sizes[request.param].items():
        monkeypatch.setattr(find, name, size)


NAMES = [
    "Annual report 2026.pdf",
    "100% sure.txt",
    "1000 sure.txt",
    "snake_case.txt",
    "snakeXcase.txt",
    'The "final" one\'s copy.docx',
    "Back\\slash.txt",
    "Party 🎉🎊🎈 plan.xlsx",
    "Überweisung Zürich.pdf",
    "Uberweisung.pdf",
    "ΑΘΗΝΑ.txt",
    "q1.txt",
    "<b>bold</b>.txt",
    "a OR b AND NOT c*.txt",
]


WORDS = [
    ("report", ["Annual report 2026.pdf"]),
    ("REPORT annual", ["Annual report 2026.pdf"]),
    ("ort 20", ["Annual report 2026.pdf"]),
    ("report absent", []),
    ("100%", ["100% sure.txt"]),
    ("snake_case", ["snake_case.txt"]),
    ('"final"', ['The "final" one\'s copy.docx']),
    ("one's", ['The "final" one\'s copy.docx']),
    ("back\\slash", ["Back\\slash.txt"]),
    ("🎉🎊🎈", ["Party 🎉🎊🎈 plan.xlsx"]),
    ("überweisung", ["Uberweisung.pdf", "Überweisung Zürich.pdf"]),
    ("u\u0308BERWEISUNG z", ["Überweisung Zürich.pdf"]),
    ("αθηνα", ["ΑΘΗΝΑ.txt"]),
    ("<b>bold", ["<b>bold</b>.txt"]),
    ("not c*", ["a OR b AND NOT c*.txt"]),
    (".pdf", ["Uberweisung.pdf", "Überweisung Zürich.pdf", "Annual report 2026.pdf"]),
    ("%%%", []),
    ("___", []),
    ('"""', []),
    ("pdf'; DROP TABLE", []),
]
SHORT_WORDS = [
    ("q1", ["q1.txt"]),
    ("Q", ["q1.txt"]),
    ("%", ["100% sure.txt"]),
    ("_", ["snake_case.txt"]),
    ("🎉", ["Party 🎉🎊🎈 plan.xlsx"]),
    ("Zü", ["Überweisung Zürich.pdf"]),
    ("zÜ", ["Überweisung Zürich.pdf"]),
    ("ΗΝ", ["ΑΘΗΝΑ.txt"]),
    ("ην", ["ΑΘΗΝΑ.txt"]),
    ("re 20", ["Annual report 2026.pdf"]),
]


def test_a_word_is_found_as_it_is_written(company_folder, found, way):
    rows(company_folder, NAMES)

    assert [(text, found("colleague", q=text)) for text, _names in WORDS] == WORDS


def test_one_and_two_letters_are_found(company_folder, found):
    rows(company_folder, NAMES)

    assert [(text, found("colleague", q=text)) for text, _names in SHORT_WORDS] == SHORT_WORDS


def test_short_words_look_at_the_newest_only(company_folder, found, monkeypatch):
    rows(company_folder, ["q1.txt", *(f"{number}.txt" for number in range(7)), "q2.txt"])
    monkeypatch.setattr(find, "MANY", 8)

    assert found("colleague", q="q") == ["q2.txt"]
    assert found("colleague", q="q2.") == ["q2.txt"]
    assert found("colleague", q="q1. q") == ["q1.txt"]


def test_tags_are_found_whole_and_by_their_beginning(company_folder, found, way):
    row(company_folder, "a.txt", tags=["budget", "2026"])
    row(company_folder, "b.txt", minutes=1, tags=["budgets"])
    row(company_folder, "budget.txt", minutes=2)

    assert found("colleague", q="BUDG") == ["budget.txt", "b.txt", "a.txt"]
    assert found("colleague", q="udget") == ["budget.txt"]
    assert found("colleague", tags="Budget") == ["a.txt"]
    assert found("colleague", tags=" 2026, budget,") == ["a.txt"]
    assert found("colleague", tags="budget,budgets") == []
    assert found("colleague", tags="unheard of") == []
    assert found("colleague", tags="budgets", q="txt") == ["b.txt"]


def test_types_are_endings_kinds_or_content_types(company_folder, found, way):
    rows(company_folder, ["a.PDF", "pdf.txt", "b.jpeg", "c.png", "d.7z", "e.pdfx", "f.%"])

    assert found("colleague", type="pdf") == ["a.PDF"]
    assert found("colleague", type=".Pdf") == ["a.PDF"]
    assert found("colleague", type="image") == ["c.png", "b.jpeg"]
    assert found("colleague", type="archive") == ["d.7z"]
    assert found("colleague", type="application/pdf") == ["a.PDF"]
    assert found("colleague", type="Image/PNG") == ["c.png"]
    assert found("colleague", type="nothing") == found("colleague", type="text/nothing") == []
    assert found("colleague", type="_df") == found("colleague", type="p d f") == found("colleague", type="é") == []
    assert found("colleague", type="%") == ["f.%"]
    assert found("colleague", type="image", q="peg") == ["b.jpeg"]


def test_an_ending_of_other_letters_than_ascii_is_looked_for_at_the_end(company_folder, found, way):
    rows(company_folder, ["menu.é", "a.écrit.txt", "b.été", "MENU.É", "c.été.txt"])

    assert found("colleague", type="é") == ["MENU.É", "menu.é"]
    assert found("colleague", type="été") == ["b.été"]


def test_folder_dates_and_sizes_narrow(people, company_folder, found, way):
    other = FolderFactory(company=people["colleague"].company)
    row(company_folder, "old.txt", size_bytes=10)
    row(company_folder, "new.txt", minutes=1440, size_bytes=20)
    row(other, "other.txt", minutes=2880, size_bytes=30)

    assert found("colleague", q="txt") == ["other.txt", "new.txt", "old.txt"]
    assert found("colleague", q="txt", folder_id=company_folder.pk) == ["new.txt", "old.txt"]
    assert found("colleague", q="txt", uploaded_after="2026-03-02") == ["other.txt", "new.txt"]
    assert found("colleague", q="txt", uploaded_before="2026-03-02") == ["new.txt", "old.txt"]
    assert found("colleague", q="txt", uploaded_before="2026-03-02T12:00:00Z") == ["old.txt"]
    assert found("colleague", q="txt", min_size=20) == ["other.txt", "new.txt"]
    assert found("colleague", max_size=20, min_size=20) == ["new.txt"]
    assert found("colleague") == ["other.txt", "new.txt", "old.txt"]


def test_only_what_somebody_may_download_is_found(people, company_folder, inbox, found, way):
    row(company_folder, "secret.txt", tags=["secret"], uploaded_by=people["uploader"])
    row(inbox, "secret inbox.txt", minutes=1, uploaded_by=people["client"])
    for who in ("client", "stranger", "ops"):
        assert found(who, q="secret") == found(who, tags="secret") == found(who, type="txt") == []
    assert found("colleague", q="secret") == found("uploader", tags="secret") == ["secret.txt"]
    assert found("super", q="secret") == ["secret inbox.txt", "secret.txt"]

    FolderPermission.objects.filter(permission_type=PermissionType.DOWNLOAD, user=people["uploader"]).delete()
    assert found("uploader", q="secret") == []


def test_a_public_file_of_a_personal_folder_is_found_by_everybody(people, found, way):
    personal = FolderFactory(owner=people["client"])
    row(personal, "mine.txt")
    row(personal, "ours.txt", minutes=1, visibility="public")

    assert found("stranger", q="txt") == found("stranger", q="our") == ["ours.txt"]
    assert found("client", q="txt") == ["ours.txt", "mine.txt"]


def test_what_is_deleted_or_over_is_not_found_and_what_is_restored_is(people, report, company_folder, found, way):
    assert found("super", q="report") == ["report.docx"]
    files.delete(user=people["super"], file_id=report.pk)
    assert found("super", q="report") == found("super", type="docx") == []
    files.restore(user=people["super"], file_id=report.pk)
    assert found("super", q="report") == ["report.docx"]
    File.objects.update(expires_at=timezone.now())
    assert found("super", q="report") == []


def test_a_new_name_is_found_and_the_old_one_is_not(people, report, found, way):
    files.change(user=people["super"], file_id=report.pk, filename="Letter.docx")

    assert found("super", q="letter") == ["Letter.docx"]
    assert found("super", q="report") == []
    files.delete(user=people["super"], file_id=report.pk)
    files.purge(user=people["super"], file_id=report.pk)
    assert found("super", q="letter") == []


@pytest.mark.parametrize("newest", [1, 7, 20_000])
def test_walking_gives_every_match_once(newest, company_folder, api_as, monkeypatch):
    monkeypatch.setattr(find, "NEWEST", newest)
    monkeypatch.setattr(find, "MANY", newest)
    wanted = [file.filename for file in rows(company_folder, [f"match {n}.txt" for n in range(23)])]
    rows(company_folder, [f"other {n}.txt" for n in range(9)], minutes=-1)
    api, address, pages = api_as("colleague"), f"{SEARCH}?q=match&limit=5", []
    while address:
        pages.append(api.get(address).json())
        address = pages[-1]["next"]

    assert [file["filename"] for page in pages for file in page["results"]] == wanted[::-1]
    back, address = [], pages[-1]["previous"]
    while address:
        assert "q=match" in address
        page = api.get(address).json()
        back = [file["filename"] for file in page["results"]] + back
        address = page["previous"]
    assert back == wanted[:2:-1]


@pytest.fixture
def dense_and_sparse(people, company_folder):
    """The names, newest first, of 60 files of 2.5 days in one folder and 8 files of two years in another."""
    own = FolderFactory(owner=people["colleague"])
    made = [row(company_folder, f"match {number}.txt", minutes=-60 * number) for number in range(60)]
    made += [row(own, f"match own {number}.txt", minutes=-60 * 24 * 90 * number - 30) for number in range(8)]
    return [file.filename for file in sorted(made, key=lambda file: file.uploaded_at, reverse=True)]


@pytest.mark.parametrize("limit", [5, 50])
@pytest.mark.parametrize(
    "query", [{"q": "match"}, {"q": "match", "type": "txt"}, {"type": "txt"}, {"q": "at"}], ids=lambda query: str(query)
)
def test_a_walk_misses_nothing_where_one_folder_is_dense_and_another_sparse(
    query, limit, dense_and_sparse, api_as, monkeypatch
):
    monkeypatch.setattr(find, "NEWEST", 30)
    # Words too short for the index are searched in MANY files from the start of each page.
    monkeypatch.setattr(find, "MANY", 60 if query.get("q") == "at" else 40)
    api, address, pages = api_as("colleague"), f"{SEARCH}?{urlencode({**query, 'limit': limit})}", []
    while address:
        pages.append(api.get(address).json())
        address = pages[-1]["next"]

    there = [file["filename"] for page in pages for file in page["results"]]
    assert there == dense_and_sparse
    back, address = [file["filename"] for file in pages[-1]["results"]], pages[-1]["previous"]
    while address:
        page = api.get(address).json()
        back = [file["filename"] for file in page["results"]] + back
        address = page["previous"]
    assert back == dense_and_sparse


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"q": "x" * 201}, "q"),
        ({"q": " ".join("abcdefghijk")}, "q"),
        ({"q": "a\x00b"}, "q"),
        ({"tags": "x" * 51}, "tags"),
        ({"tags": ",".join(map(str, range(51)))}, "tags"),
        ({"tags": "x" * 3001}, "tags"),
        ({"type": "x" * 121}, "type"),
        ({"type": "p\x00f"}, "type"),
        ({"folder_id": "x"}, "folder_id"),
        ({"uploaded_after": "soon"}, "uploaded_after"),
        ({"uploaded_before": "2026-02-30"}, "uploaded_before"),
        ({"min_size": "-1"}, "min_size"),
        ({"max_size": "1e3"}, "max_size"),
        ({"max_size": str(2**63)}, "max_size"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "x"}, "cursor"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(query, field, people, api_as):
    answer = api_as("client").get(SEARCH, query)

    assert (answer.status_code, answer.json()["code"], list(answer.json()["errors"])) == (400, "invalid", [field])


@pytest.mark.parametrize("text", ["\u202e", "\ufffd", "a\x1fb", "\u200d", " \t\n "])
def test_any_text_is_an_answerable_search(text, people, api_as):
    assert api_as("client").get(SEARCH, {"q": text}).status_code == 200


def test_a_folder_that_is_not_seen_is_not_there(people, company_folder, api_as):
    assert api_as("stranger").get(SEARCH, {"folder_id": company_folder.pk}).status_code == 404
    assert api_as("stranger").get(SEARCH, {"folder_id": uuid.uuid4()}).status_code == 404


@pytest.mark.parametrize("query", ["q=match", "q=match&tags=many", "tags=many", "type=txt"])
@pytest.mark.parametrize("newest", [1, 20_000])
def test_the_queries_are_as_many_for_thirty_files_as_for_three(query, newest, people, api_as, monkeypatch):
    monkeypatch.setattr(find, "NEWEST", newest)
    monkeypatch.setattr(find, "MANY", newest)
    api, counted = api_as("client"), []
    for count in (3, 30):
        for _number in range(count):
            folder = FolderFactory()
            grant(folder, PermissionType.DOWNLOAD, user=people["client"])
            row(folder, "match.txt", tags=["many", "others"], uploaded_by=UserFactory())
        with CaptureQueriesContext(connection) as queries:
            assert len(api.get(f"{SEARCH}?{query}").json()["results"]) >= count
        counted.append(len(queries))

    assert counted[0] == counted[1] <= 1 + 9


def plan_of(sql):
    """The database's plan for a captured query, as text."""
    with connection.cursor() as cursor:
        cursor.execute(("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + sql)
        return "\n".join(" ".join(map(str, line)) for line in cursor.fetchall())


def test_many_names_are_searched_by_an_index(people, company_folder, monkeypatch, found):
    rows(company_folder, [f"{uuid.uuid4()}.txt" for _number in range(20_000)])
    row(company_folder, "needle.txt", minutes=-9, tags=["pin"])
    monkeypatch.setattr(find, "NEWEST", 200)
    monkeypatch.setattr(find, "MANY", 2_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")

    for query in ({"q": "needle"}, {"q": "needl pin"}, {"q": "needle", "type": "txt"}, {"tags": "pin"}):
        with CaptureQueriesContext(connection) as queries:
            assert found("colleague", **query) == ["needle.txt"]
        last = [entry["sql"] for entry in queries if "ORDER BY" in entry["sql"] and "can_delete" in entry["sql"]][-1]
        plan = plan_of(last)
        assert "SCAN fileshare_file " not in f"{plan} ".replace("\n", " "), plan
        assert "Seq Scan on fileshare_file " not in plan, plan
        [window] = [entry["sql"] for entry in queries if 'AS "edge"' in entry["sql"]]
        bounds = plan_of(window)
        assert not re.search(r"SCAN fileshare_file\b(?! USING)", bounds), bounds
        # The query reads one row of the table without an index, to run its subquery.
        assert bounds.count("Seq Scan on fileshare_file ") <= 1, bounds
        if "q" in query:
            assert "file_folded_trigrams" in plan or "VIRTUAL TABLE INDEX" in plan, plan


@pytest.mark.postgres
def test_no_plan_makes_the_ids_of_a_page_anew_for_each_row(people, company_folder, found):
    """Without statistics PostgreSQL chose such a plan, which took minutes. index.ensure makes missing statistics."""
    row(company_folder, "needle.txt")
    with CaptureQueriesContext(connection) as queries:
        assert found("colleague", q="needle") == ["needle.txt"]
    [page] = [entry["sql"] for entry in queries if "ORDER BY" in entry["sql"] and "can_delete" in entry["sql"]]
    plan = plan_of(page)
    assert re.search(r"id = ANY \(.*(InitPlan|\$\d)", plan), plan
    assert "Join Filter: (fileshare_file.id" not in plan, plan

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM pg_statistic WHERE starelid = 'fileshare_file'::regclass")
        index.ensure()
        cursor.execute("SELECT count(*) FROM pg_stats WHERE tablename = 'fileshare_file'")
        assert cursor.fetchone()[0] >= 20


def test_a_word_names_a_type(company_folder, found, way):
    rows(company_folder, ["b.jpeg", "scan.png", "image of us.txt", "letter.doc", "plain.pdf", "a.xlsx", "notes.txt"])

    assert found("colleague", q="image") == ["image of us.txt", "scan.png", "b.jpeg"]
    assert found("colleague", q="IMAGE/png") == ["scan.png"]
    assert found("colleague", q="plain") == ["notes.txt", "plain.pdf", "image of us.txt"]
    assert found("colleague", q="msword") == ["letter.doc"]
    assert found("colleague", q="sheet a") == ["a.xlsx"]
    assert found("colleague", q="image scan", type="png") == ["scan.png"]
    assert found("colleague", q="appl") == found("colleague", q="image/%") == []


def test_the_index_is_put_back_where_it_is_missing(company_folder, found, monkeypatch):
    row(company_folder, "before.txt")
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER fileshare_name_added")
        else:
            cursor.execute("DROP INDEX file_folded_trigrams")
    row(company_folder, "between.txt", minutes=1)
    index.ensure()
    row(company_folder, "after.txt", minutes=2)
    monkeypatch.setattr(find, "NEWEST", 1)

    assert found("colleague", q=".txt") == ["after.txt", "between.txt", "before.txt"]


@pytest.mark.postgres
def test_an_index_that_was_broken_off_is_made_anew(db):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'file_folded_trigrams'::regclass")
        index.ensure()
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'file_folded_trigrams'::regclass")
        assert cursor.fetchone() == (True,)


@pytest.mark.postgres
def test_without_the_extension_search_is_slow_and_right(company_folder, found, monkeypatch, caplog):
    row(company_folder, "needle.txt")
    row(company_folder, "other.txt", minutes=1)
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_trgm CASCADE")
        cursor.execute("CREATE ROLE nobody_special")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO nobody_special")
        cursor.execute("SET LOCAL ROLE nobody_special")
        index.ensure()
        cursor.execute("RESET ROLE")
    monkeypatch.setattr(find, "NEWEST", 1)

    assert "CREATE EXTENSION pg_trgm" in caplog.text
    assert found("colleague", q="needle") == ["needle.txt"]


# --- The page -----------------------------------------------------------------------------------------


def test_the_page_marks_what_was_found_and_runs_nothing(company_folder, page_as):
    row(company_folder, '<script>alert("1")</script> & Report report.txt', tags=["<b>"])

    page = page_as("colleague").get("/search", {"q": "report <SCRIPT> &"}).content.decode()

    assert "<mark>&lt;script&gt;</mark>alert(&quot;1&quot;)" in page
    assert "<mark>&amp;</mark> <mark>Report</mark> <mark>report</mark>.txt</a>" in page
    assert 'value="report &lt;SCRIPT&gt; &amp;"' in page
    assert "/search?tags=%3Cb%3E" in page


def test_the_page_marks_the_tags_that_were_found(company_folder, page_as):
    row(company_folder, "plan.txt", tags=["audit <2026>", "urgent"])
    page = page_as("colleague")

    assert "<mark>aud</mark>it &lt;2026&gt;" in page.get("/search", {"q": "AUD"}).content.decode()
    assert "<mark>urgent</mark>" in page.get("/search", {"tags": "urgent"}).content.decode()
    assert "<mark>urgent" not in page.get("/search", {"q": "plan"}).content.decode()


def test_the_page_asks_first_and_says_when_nothing_is_found(company_folder, page_as):
    row(company_folder, "report.txt")
    page = page_as("colleague")

    for query, said in [("", "What are you looking for?"), ("?q=absent", "Nothing found"), ("?q=", "What are you")]:
        answer = page.get(f"/search{query}").content.decode()
        assert said in answer
        assert "report.txt" not in answer
    assert "report.txt" in page.get("/search?type=text").content.decode()


def test_the_page_walks_to_older_matches(company_folder, page_as):
    rows(company_folder, [f"match {number}.txt" for number in range(60)])

    first = page_as("colleague").get("/search?q=match")
    second = page_as("colleague").get(first.context["page"].next)

    assert [len(answer.context["page"].results) for answer in (first, second)] == [50, 10]
    assert "q=match" in first.context["page"].next


def test_the_page_offers_the_folders_one_may_download_from(people, company_folder, inbox, page_as):
    page = page_as("client").get("/search").content.decode()

    assert f'value="{company_folder.pk}"' not in page
    assert f'value="{inbox.pk}"' not in page
    assert f'value="{company_folder.pk}"' in page_as("colleague").get("/search").content.decode()


def test_what_a_link_asks_for_stays_chosen(company_folder, page_as):
    page = page_as("colleague").get("/search?type=docx&min_size=5").content.decode()

    assert '<option value="docx" selected>' in page
    assert '<option value="5" selected>' in page


LONG = "x" * 201


@pytest.mark.parametrize("query", [f"q={LONG}", f"type={LONG}", "folder_id=x", "min_size=x", "uploaded_after=soon"])
def test_the_page_says_what_makes_no_sense(query, people, page_as):
    answer = page_as("client").get(f"/search?{query}")

    assert answer.status_code == 400
    assert "errorlist" in answer.content.decode()
