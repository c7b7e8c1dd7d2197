"""Factories of complete rows, each different from every other row."""

import io
import uuid

import factory
from django.utils import timezone

from accounts.models import Company, Role, User
from accounts.signing_in import sign_in
from fileshare.demo.office_files import docx
from fileshare.incoming import completion, uploads
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
    """An active, verified user with the roles that `roles` names, by default none."""

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


def grant(folder, permission_type, **holder):
    """A FolderPermission. `holder` is user=, role= or company=."""
    return FolderPermission.objects.create(folder=folder, permission_type=permission_type, **holder)


def store_file(*, user, folder, subfolder=None, filename=None, content=None, content_type="", **options):
    """A File that the portal itself received and stored, with its bytes."""
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
    """The client with a session of `user`, who has just proved their identity."""
    client.force_login(user)
    session = client.session
    session[sign_in.PROVED_AT] = int(timezone.now().timestamp())
    session.save()
    return client
