"""What is wrong with an answer: its headers, and English text where the client asked for Swahili."""

import re
from html.parser import HTMLParser

from scripts.messages import CATALOG, read

PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sd%]|\{[^{}]*\}|</?\w[^>]*>|https?://\S+")
# Written by users or by a migration, and the same in every language.
DATA = {"Client documents"}
SPOKEN_ATTRIBUTES = ("alt", "title", "aria-label", "aria-description", "placeholder", "label")
SWAHILI = {"Accept-Language": "sw"}
# Answers that shared caches may keep: they are the same for every user.
KEPT = re.compile(r"^/(static/|favicon\.ico|api/schema|api/docs)")


def faults_of(response, path):
    """The faults of the headers of this answer."""
    found = []
    policy = response.get("Content-Security-Policy", "")
    own = "sandbox" in policy
    parts = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    if "unsafe" in policy or ("*" in policy and "//*" not in policy):
        found.append(f"policy: {policy}")
    if parts.get("default-src") not in ("'self'", "'none'"):
        found.append(f"default-src: {policy}")
    if not own and not {"object-src", "base-uri", "form-action", "frame-ancestors"} <= set(parts):
        found.append(f"not all of the policy: {policy}")
    expected = {
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    found += [f"{name}: {response.get(name)}" for name, value in expected.items() if response.get(name) != value]
    # A share link's address is a secret: another site may learn the portal's origin at most.
    if response.get("Referrer-Policy") not in ("same-origin", "strict-origin", "no-referrer"):
        found.append(f"Referrer-Policy: {response.get('Referrer-Policy')}")
    # Only the portal's own pages may frame a preview.
    if response.get("X-Frame-Options") not in ("DENY", "SAMEORIGIN"):
        found.append(f"X-Frame-Options: {response.get('X-Frame-Options')}")
    if "camera=()" not in response.get("Permissions-Policy", ""):
        found.append("no Permissions-Policy")
    if len(response.get("X-Request-ID", "")) != 32:
        found.append("no X-Request-ID")
    kept = response.get("Cache-Control", "")
    if not KEPT.match(path) and response.status_code == 200 and not re.search(r"no-store|private|no-cache", kept):
        found.append(f"Cache-Control: {kept!r}")
    if "public" in kept and not KEPT.match(path):
        found.append(f"Cache-Control: {kept!r}")
    for name in ("Server", "X-Powered-By"):
        if name in response:
            found.append(name)
    for cookie in response.cookies.values():
        if cookie["samesite"] not in ("Lax", "Strict") or (cookie["path"] or "/")[0] != "/" or cookie["domain"]:
            found.append(f"cookie {cookie.key}: {cookie.OutputString()}")
        if cookie.key != "csrftoken" and cookie.value and not cookie["httponly"]:
            found.append(f"cookie {cookie.key} is for scripts too")
    return found


class Reader(HTMLParser):
    """Collects the texts of a page, with the attributes that a browser shows or reads aloud."""

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


class English:
    """Finds the English sentences of the catalog in a text."""

    def __init__(self):
        pieces = set()
        for entry in read(CATALOG):
            swahili = " ".join(entry["said"])
            for form in filter(None, (entry["msgid"], entry["msgid_plural"])):
                parts = (" ".join(part.split()) for part in PLACEHOLDER.split(form))
                pieces |= {part for part in parts if part not in swahili}
        self.pieces = sorted(piece for piece in pieces - DATA if len(re.findall(r"[^\W\d_]", piece)) > 12)

    def in_text(self, text):
        """The English pieces of sentences that `text` has as whole words; the longest, where pieces overlap."""
        text = " ".join(text.split())
        # Search for each piece first: that is a hundred times as quick as one expression of two thousand branches.
        there = sorted((piece for piece in self.pieces if piece in text), key=len, reverse=True)
        if not there:
            return []
        return re.findall("|".join(rf"(?<![\w/]){re.escape(piece)}(?!\w)" for piece in there), text)

    def on_page(self, html):
        """The English pieces of sentences on a page."""
        return [piece for text in texts_of(html) for piece in self.in_text(text)]

    def in_answer(self, response):
        """The English pieces of sentences in an HTML answer, and a note if the answer does not declare Swahili."""
        if "text/html" not in response.get("Content-Type", "") or response.streaming or not response.content:
            return []
        html = response.content.decode()
        found = self.on_page(html)
        if '<html lang="sw"' not in html or response["Content-Language"] != "sw":
            found.append("the page does not say that it is in Swahili")
        return found
