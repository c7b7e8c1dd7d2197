"""File requests and their senders, for tests."""

from datetime import timedelta
from urllib.parse import urlsplit

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from fileshare.models import FileRequest, RequestSender
from fileshare.requests import addresses, file_requests
from tests.fileshare.helpers import send_whole


def ask_for_files(user, **facts):
    """A FileRequest of `user`, open for a day."""
    defaults = {
        "title": "Statements of March",
        "deadline": timezone.now() + timedelta(days=1),
        "max_files": 5,
        "max_bytes": 1_000_000,
    }
    return file_requests.create(user=user, **{**defaults, **facts})


def path_of_request(row):
    """The path that senders open."""
    return urlsplit(addresses.address(row)).path


class Outsider:
    """A sender without an account, in a separate browser, at the address of a request."""

    def __init__(self, row, **options):
        self.path = path_of_request(row)
        self.client = Client(**options)

    def open(self):
        """GET the page."""
        return self.client.get(self.path)

    def start(self, **facts):
        """POST the first form of the page; returns the answer."""
        return self.client.post(f"{self.path}/start", facts)

    @property
    def row(self):
        """The newest sender of the request."""
        return RequestSender.objects.filter(request=self.request).latest("created_at")

    @property
    def request(self):
        """The FileRequest of the path."""
        return addresses.by_token(self.path.rsplit("/", 1)[1])

    def post(self, call, facts):
        """POST JSON as the page's uploader does; returns the answer."""
        return self.client.post(f"{self.path}/upload/{call}", facts, content_type="application/json")

    def promise(self, body, filename="notes.txt", content_type=""):
        """Initiate an upload of `body`; returns the answer."""
        return self.post("initiate", {"filename": filename, "size_bytes": len(body), "content_type": content_type})

    def status(self, file_id):
        """GET the upload; returns the answer."""
        return self.client.get(f"{self.path}/upload/{file_id}")

    def deliver(self, body=b"some words", filename="notes.txt"):
        """Send a file as the page's uploader does; returns the answer to the last call."""
        answer = self.promise(body, filename)
        assert answer.status_code == 201, answer.content
        assert send_whole(answer.json(), body).status_code == 200
        return self.post("complete", {"file_id": answer.json()["file_id"]})

    def send(self, *files):
        """Send files, each (name, body), by the form without JavaScript; returns the answer."""
        return self.client.post(f"{self.path}/send", {"file": [SimpleUploadedFile(name, body) for name, body in files]})

    def receipt(self):
        """GET the receipt."""
        return self.client.get(f"{self.path}/receipt")


def counts(row):
    """(received files, received bytes, reserved files, reserved bytes), read from the database now."""
    fields = ("received_files", "received_bytes", "reserved_files", "reserved_bytes")
    return FileRequest.objects.values_list(*fields).get(pk=row.pk)
