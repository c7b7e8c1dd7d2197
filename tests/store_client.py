"""Test clients that follow a download to the store: the portal's own /store/, or a bucket over HTTP."""

from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.test import Client
from rest_framework.test import APIClient


class StoreAnswer:
    """A bucket's answer with the attributes of a Django test response."""

    streaming = False

    def __init__(self, response):
        self.status_code = response.status_code
        self.content = response.content
        self.headers = response.headers

    def __getitem__(self, name):
        return self.headers[name]

    def get(self, name, default=None):
        """A header."""
        return self.headers.get(name, default)

    def has_header(self, name):
        """Whether there is such a header."""
        return name in self.headers

    __contains__ = has_header

    def getvalue(self):
        """The body."""
        return self.content


def is_in_a_bucket(url):
    """Whether the URL is one of the S3 server of this run."""
    return bool(settings.S3_ENDPOINT_URL) and url.startswith(settings.S3_ENDPOINT_URL)


def ask_store(method, url, *, body=None, headers=None):
    """The answer of the store at a signed URL, to a client without a session."""
    headers = dict(headers or {})
    if is_in_a_bucket(url):
        return StoreAnswer(httpx.request(method, url, content=body, headers=headers, timeout=60))
    content_type = headers.pop("Content-Type", "application/octet-stream")
    client = Client(headers={"Accept": "application/json", **headers})
    return client.generic(method, urlsplit(url).path, body or b"", content_type=content_type)


class _FollowingStore:
    """Follows a download to the bucket, with the headers that say which bytes are wanted."""

    def get(self, path, *args, **options):
        if is_in_a_bucket(path):
            return ask_store("GET", path, headers=_asked(options))
        response = super().get(path, *args, **options)
        location = response.get("Location", "")
        if path.startswith("/secure-download/") and response.status_code == 302 and is_in_a_bucket(location):
            return ask_store("GET", location, headers=_asked(options))
        return response


def _asked(options):
    wanted = {"range": "Range", "if-range": "If-Range", "if-none-match": "If-None-Match"}
    given = {name.lower(): value for name, value in (options.get("headers") or {}).items()}
    given |= {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in options.items()
        if name.startswith("HTTP_")
    }
    return {wanted[name]: value for name, value in given.items() if name in wanted}


class PageClient(_FollowingStore, Client):
    """A browser."""


class ScriptClient(_FollowingStore, APIClient):
    """A script."""
