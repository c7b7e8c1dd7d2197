"""Rows for tests, each complete and unlike the others."""

import io
import uuid

import factory
from django.utils import timezone

from accounts import sign_in
from accounts.models import Company, Role, User
from fileshare import completion, uploads
from fileshare.demo_documents import docx
from fileshare.models import Folder, FolderPermission, Subfolder
from payments.models import Plan

PASSWORD = "seven green boats"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


class CompanyFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Company

    name = factory.Sequence("Company {}".format)
    slug = factory.Sequence("company-{}".format)


class UserFactory(factory.django.DjangoModelFactory):
    """An active, verified user without a role; `roles` names some."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence("person{}@example.org".format)
    name = factory.Sequence("Person {}".format)
    password = factory.django.Password(PASSWORD)
    email_verified_at = factory.LazyFunction(timezone.now)

    @factory.post_generation
    def roles(self, create, names):
        for name in names or ():
            self.groups.add(Role.objects.get(name=name))


class FolderFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Folder

    name = factory.Sequence("Folder {}".format)
    slug = factory.Sequence("folder-{}".format)


class SubfolderFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Subfolder

    folder = factory.SubFactory(FolderFactory)
    name = factory.Sequence("Subfolder {}".format)
    slug = factory.Sequence("subfolder-{}".format)


class PlanFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Plan

    name = factory.Sequence("Plan {}".format)
    amount = 100
    extra_bytes = 5 * 2**30
    days = 30


def grant(folder, permission_type, *, user=None, role=None):
    """A FolderPermission."""
    return FolderPermission.objects.create(folder=folder, user=user, role=role, permission_type=permission_type)


def store_file(*, user, folder, subfolder=None, filename=None, content=None, content_type="", **options):
    """A File that came in through the same door as anybody's, bytes and all."""
    content = docx("Report", [str(uuid.uuid4())]) if content is None else content
    return completion.receive(
        user=user,
        place=uploads.Place(folder, subfolder),
        filename=filename or f"report-{uuid.uuid4().hex[:6]}.docx",
        content_type=content_type,
        stream=io.BytesIO(content),
        size_bytes=len(content),
        **options,
    )


def proved(client, user):
    """The client as the browser of `user`, who has just proved who they are."""
    client.force_login(user)
    session = client.session
    session[sign_in.PROVED_AT] = int(timezone.now().timestamp())
    session.save()
    return client
