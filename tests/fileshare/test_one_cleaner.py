"""Names of folders, subfolders, companies and roles are cleaned like file names, and a token has one spelling."""

import pytest

from accounts.models import Company, Role
from fileshare.models import Folder, Subfolder
from fileshare.outgoing import downloads
from tests.factories import store_file
from tests.fileshare.helpers import content, refusal

pytestmark = pytest.mark.django_db
NAMES = [
    ("../../etc", "..-..-etc"),
    ("Tax 2025/26", "Tax 2025-26"),
    ("Plans\\of\\mine/", "Plans-of-mine"),
    ("Pl\u202eans\u200b", "Plans"),
    ("Two\r\nlines", "Twolines"),
    ("cafe\u0301", "café"),
    ("CON", "_CON"),
    ("Baobab Ltd.", "Baobab Ltd."),
    ("\u0958" * 90, "\u0915\u093c" * 42 + "\u0915"),
]
DOORS = {
    "a folder": ("/api/fileshare/folders", Folder),
    "a company": ("/api/admin/companies", Company),
    "a role": ("/api/admin/roles", Role),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_name_is_cleaned_when_it_is_given_and_when_it_is_changed(door, api_as):
    api, (address, model) = api_as("super"), DOORS[door]
    facts = {"permissions": []} if model is Role else {"slug": "named"}
    for name, cleaned in NAMES:
        made = api.post(address, {"name": name, **facts})
        assert made.status_code == 201, made.json()
        assert model.objects.get(pk=made.json()["id"]).name == cleaned
        change = api.put if model is Role else api.patch
        changed = change(f"{address}/{made.json()['id']}", {"name": f" {name}", **facts})
        assert changed.status_code == 200, changed.json()
        assert model.objects.get(pk=made.json()["id"]).name == cleaned
        model.objects.filter(pk=made.json()["id"]).delete()
    for nothing in ("\u202e\u200b", "///", ". ."):
        assert refusal(api.post(address, {"name": nothing, **facts})) == (400, "invalid")


def test_a_subfolders_name_is_cleaned(api_as, company_folder):
    for name, cleaned in NAMES:
        made = api_as("super").post(
            f"/api/fileshare/folders/{company_folder.pk}/subfolders", {"name": name, "slug": "s"}
        )
        assert made.status_code == 201, made.json()
        assert Subfolder.objects.get().name == cleaned
        Subfolder.objects.all().delete()


def test_exactly_one_spelling_of_a_link_is_good(people, company_folder, page_as):
    file = store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"words")
    link = downloads.link_for(user=people["colleague"], file_id=file.pk)
    start, _slash, token = link.rpartition("/")
    last = token.rstrip("=")[-1]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = {
        "written twice": token * 2,
        "bytes added": token + "QUJD",
        "bytes added after the padding": token.rstrip("=") + "==" + "AA",
        "a line of its own": token + "%0A",
        "a space within": f"{token[:9]}%20{token[9:]}",
        "a foreign character": f"{token[:9]}!{token[9:]}",
        "padding left out": token.rstrip("="),
        "padding added": token + "=",
        "other bits behind the end": token.rstrip("=")[:-1]
        + letters[letters.index(last) ^ 1]
        + "=" * (len(token) - len(token.rstrip("="))),
    }
    for name, spelling in spellings.items():
        if spelling != token and not (name == "other bits behind the end" and "=" not in token):
            answer = page_as("colleague").get(f"{start}/{spelling}", headers={"Accept": "application/json"})
            assert refusal(answer) == (400, "link_invalid"), name
    assert content(page_as("colleague").get(link)) == b"words"
