"""The portal's main jobs, done by a client that openapi-python-client generates from the OpenAPI document."""

import importlib
import io
import pkgutil
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from django.core.management import call_command
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType
from PIL import Image

from audit.models import Event
from fileshare.models import File
from tests.factories import DOCX, PASSWORD
from tests.fakes import documents as samples

# The client knows only the document, which is the same with every database.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]
PACKAGE = "portal_client"
PART = 5 * 1024 * 1024


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The client as a module, in a temporary folder. Generating it takes some seconds, so it is done once."""
    folder = tmp_path_factory.mktemp("client")
    schema = folder / "schema.json"
    call_command("spectacular", "--format", "openapi-json", "--file", str(schema), "--fail-on-warn")
    config = Config.from_sources(
        # The hooks would only tidy up the code.
        ConfigFile(post_hooks=[]),
        MetaType.NONE,
        document_source=schema,
        file_encoding="utf-8",
        overwrite=False,
        output_path=folder / PACKAGE,
    )
    left_out = [f"{error.header}: {error.detail}" for error in generate(config=config)]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield SimpleNamespace(
            left_out=left_out,
            client=importlib.import_module(f"{PACKAGE}.client"),
            models=importlib.import_module(f"{PACKAGE}.models"),
            types=importlib.import_module(f"{PACKAGE}.types"),
            calls=calls_in(importlib.import_module(f"{PACKAGE}.api")),
        )


def calls_in(package):
    """{operation id: its module}"""
    modules = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return {module.name.rpartition(".")[2]: importlib.import_module(module.name) for module in modules}


class Script:
    """A user's script with the client: `ask(operation id, …)` gives the answer as the document describes it."""

    def __init__(self, made, base_url, *, email):
        self._made, self.models = made, made.models
        options = {"base_url": base_url, "raise_on_unexpected_status": True}
        self._client = made.client.Client(**options)
        log_in = self.ask("post_auth_login", body=self.models.LoginInputRequest(email=email, password=PASSWORD))
        self.user = log_in.user
        self._client = made.client.AuthenticatedClient(**options, token=log_in.access)

    def ask(self, name, *path, **named):
        """The parsed answer. Fails if it is a refusal."""
        parsed = self.try_(name, *path, **named)
        assert not isinstance(parsed, self.models.Error), parsed
        return parsed

    def try_(self, name, *path, **named):
        """The parsed answer, also if it is a refusal."""
        call = self._made.calls[name]
        return call.sync_detailed(*path, client=self._client, **named).parsed

    def get(self, address):
        """The bytes at an address that an answer gave."""
        answer = self._client.get_httpx_client().get(address, follow_redirects=True)
        return answer.raise_for_status().content

    def file(self, name, body, kind):
        """A file for a form."""
        return self._made.types.File(payload=io.BytesIO(body), file_name=name, mime_type=kind)


@pytest.fixture
def portal(transactional_db, seeded, people, company_folder, settings, live_server):
    """A portal that listens, with users and a folder. It takes files of more than 5 MiB in parts."""
    settings.SITE_URL = live_server.url
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = PART
    return SimpleNamespace(url=live_server.url, folder=company_folder)


def test_the_generator_leaves_nothing_out(made):
    assert made.left_out == []
    assert len([name for name in made.calls if name.startswith(("get_", "post_", "put_", "patch_", "delete_"))]) > 80


def test_the_main_jobs(made, portal):
    script, boss = (Script(made, portal.url, email=f"{who}@example.org") for who in ("uploader", "super"))
    models = made.models

    picture_is_set_and_opened(script)
    folder = next(row for row in script.ask("get_fileshare_folders").results if row.slug == portal.folder.slug)
    assert (folder.can_upload, folder.kind) == (True, "company")
    report, scan = a_batch_is_sent(script, folder)
    backup = a_large_file_is_sent_in_parts(script, folder)
    notes = script.ask(
        "post_files_upload",
        body=models.TaggedFormUploadInputRequest(
            file=script.file("notes.docx", samples.docx(), DOCX), folder_id=folder.id, tags=["lease"]
        ),
    )
    files_are_found_tagged_and_renamed(script, notes, report)
    files_are_shared_and_downloaded(script, [report, scan, backup, notes])
    script.ask("delete_files_file_id", notes.id)
    assert [row.id for row in script.ask("get_files_trash").results] == [notes.id]
    assert script.try_("get_files_file_id", "nonsense").code == "not_found"
    log = boss.ask("get_fileshare_audit_logs", user_email="uploader", action="bulk_download").results
    assert {row.target_name for row in log} == {"report.docx", "scan.png", "survey.bin", "letter.docx"}


def picture_is_set_and_opened(script):
    image = script.file("me.png", samples.png(), "image/png")
    answer = script.ask("post_users_me_avatar", body=script.models.AvatarInputRequest(avatar=image))

    assert Image.open(io.BytesIO(script.get(answer.avatar_url))).size == (256, 256)
    assert script.ask("get_users_me").avatar_url == answer.avatar_url


def a_batch_is_sent(script, folder):
    """Send three files: two become files, one is refused with its reason. Returns the two."""
    bodies = {"report.docx": samples.docx(), "setup.exe": samples.windows_program(), "scan.png": samples.png()}
    facts = [
        script.models.TaggedFileFactsInputRequest(filename=name, size_bytes=len(body)) for name, body in bodies.items()
    ]
    body = script.models.InitiateInputRequest(folder_id=folder.id, files=facts)
    answers = script.ask("post_fileshare_upload_initiate", body=body).uploads

    assert [type(answer).__name__ for answer in answers] == ["Transfer", "Error", "Transfer"]
    assert answers[1].code == "extension_blocked"
    done = []
    for answer, (name, content) in zip(answers, bodies.items(), strict=True):
        if name != "setup.exe":
            httpx.put(
                answer.upload_url, content=content, headers=answer.headers.additional_properties
            ).raise_for_status()
            complete = script.models.CompleteInputRequest(file_id=answer.file_id)
            done.append(script.ask("post_fileshare_upload_complete", body=complete))
    assert [row.filename for row in done] == ["report.docx", "scan.png"]
    return done


def a_large_file_is_sent_in_parts(script, folder):
    content = bytes(PART + 1000)
    body = script.models.InitiateInputRequest(folder_id=folder.id, filename="survey.bin", size_bytes=len(content))
    transfer = script.ask("post_fileshare_upload_initiate", body=body)
    parts = []
    for part in transfer.parts:
        start = (part.part_number - 1) * transfer.part_size
        answer = httpx.put(part.upload_url, content=content[start : start + transfer.part_size]).raise_for_status()
        parts.append(script.models.PartInputRequest(part_number=part.part_number, etag=answer.headers["ETag"]))
    received = script.ask("get_fileshare_upload_file_id", str(transfer.file_id)).received
    assert [part.size_bytes for part in received] == [PART, 1000]
    complete = script.models.CompleteInputRequest(file_id=transfer.file_id, upload_id=transfer.upload_id, parts=parts)
    return script.ask("post_fileshare_upload_complete", body=complete)


def files_are_found_tagged_and_renamed(script, notes, report):
    assert [row.id for row in script.ask("get_files_search", q="notes", tags="lease").results] == [notes.id]
    tagged = script.ask("post_files_file_id_tags", report.id, body=script.models.TagsInputRequest(tags=["2026"]))
    assert [tag.name for tag in tagged.tags] == ["2026"]
    renamed = script.ask(
        "patch_files_file_id", notes.id, body=script.models.PatchedFileChangeInputRequest(filename="letter.docx")
    )
    assert renamed.filename == "letter.docx"


def files_are_shared_and_downloaded(script, files):
    share = script.models.ShareInputRequest(permission=script.models.PermissionEnum.DOWNLOAD, expires_in=3600)
    link = script.ask("post_files_file_id_share", files[0].id, body=share)
    assert link.expires_at > datetime.now(UTC) + timedelta(minutes=50)
    assert script.get(script.ask("get_client_download_file_id", files[0].id).download_link) == samples.docx()
    archive = script.ask(
        "post_fileshare_download_bulk", body=script.models.BulkInputRequest(file_ids=[row.id for row in files])
    )
    with zipfile.ZipFile(archive.payload) as opened:
        names = {Path(name).name for name in opened.namelist()}
    assert names == {"report.docx", "scan.png", "survey.bin", "letter.docx"}
    assert Event.objects.filter(action="download", detail__has_key="bulk").count() == File.objects.count() == 4
