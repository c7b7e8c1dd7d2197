"""File requests and those who answer them, for tests."""

from datetime import timedelta
from urllib.parse import urlsplit

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from fileshare import file_requests
from fileshare.models import FileRequest, RequestSender
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
    return urlsplit(file_requests.address(row)).path


class Outsider:
    """Somebody without an account, in a browser of their own, at the address of a request."""

    def __init__(self, row, **options):
        self.path = path_of_request(row)
        self.client = Client(**options)

    def open(self):
        """GET the page."""
        return self.client.get(self.path)

    def start(self, **facts):
        """Say who one is; returns the answer."""
        return self.client.post(f"{self.path}/start", facts)

    @property
    def row(self):
        """The sender of the last start."""
        return RequestSender.objects.filter(request=self.request).latest("created_at")

    @property
    def request(self):
        """The FileRequest of the path."""
        return file_requests.by_token(self.path.rsplit("/", 1)[1])

    def post(self, call, facts):
        """A JSON call of the uploader."""
        return self.client.post(f"{self.path}/upload/{call}", facts, content_type="application/json")

    def promise(self, body, filename="notes.txt", content_type=""):
        """The answer to an initiate for `body`."""
        return self.post("initiate", {"filename": filename, "size_bytes": len(body), "content_type": content_type})

    def status(self, file_id):
        """The answer to a GET of an upload."""
        return self.client.get(f"{self.path}/upload/{file_id}")

    def deliver(self, body=b"some words", filename="notes.txt"):
        """Send a file as the uploader does; returns the answer to the last call."""
        answer = self.promise(body, filename)
        assert answer.status_code == 201, answer.content
        assert send_whole(answer.json(), body).status_code == 200
        return self.post("complete", {"file_id": answer.json()["file_id"]})

    def send(self, *files):
        """The plain form: (name, body) each."""
        return self.client.post(f"{self.path}/send", {"file": [SimpleUploadedFile(name, body) for name, body in files]})

    def receipt(self):
        """GET the receipt."""
        return self.client.get(f"{self.path}/receipt")


def counts(row):
    """(received files, received bytes, reserved files, reserved bytes) as the row has them now."""
    fields = ("received_files", "received_bytes", "reserved_files", "reserved_bytes")
    return FileRequest.objects.values_list(*fields).get(pk=row.pk)
