"""Copy or erase a person's data on the server's command line."""

import os
from contextlib import suppress

from django.core.exceptions import PermissionDenied
from django.core.management import BaseCommand, CommandError

from accounts.models import User
from accounts.privacy import subject_rights
from config.errors import Refused


class Command(BaseCommand):
    """Calls accounts.privacy.subject_rights. The audit log names the super who answers for it."""

    help = "Copy (export) or erase what the portal keeps of a person who asked for it."

    def add_arguments(self, parser):
        parser.add_argument("what", choices=["export", "erase"])
        parser.add_argument("email", help="the address of the person's account")
        parser.add_argument("--by", required=True, metavar="EMAIL", help="the super who answers for it")
        parser.add_argument("--reason", required=True, help="how the person asked, and how you knew them")
        parser.add_argument("--output", metavar="FILE", help="a new file for the copy; default: standard output")

    def handle(self, *args, what, email, by, reason, output, **options):
        super_, user = self._user(by), self._user(email)
        try:
            if what == "export":
                self._export(subject_rights.export_for(by=super_, user_id=user.pk, reason=reason), output)
            else:
                self._erase(subject_rights.erase_now(by=super_, user_id=user.pk, reason=reason))
        except PermissionDenied:
            raise CommandError(f"{by} is no active super.") from None
        except Refused as refusal:
            sentences = [text for texts in (refusal.errors or {}).values() for text in texts]
            raise CommandError(" ".join(str(text) for text in sentences or [refusal.message])) from refusal

    def _user(self, email):
        user = User.objects.filter(email=email.strip().lower()).first()
        if user is None:
            raise CommandError(f"There is no account of {email}.")
        return user

    def _export(self, blocks, output):
        if output is None:
            for block in blocks:
                self.stdout.write(block.decode(), ending="")
            return
        try:
            # Mode 600: other users of the machine must not read the copy.
            with open(output, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.writelines(blocks)
        except FileExistsError as error:
            raise CommandError(f"{output}: {error.strerror}") from error
        except OSError as error:
            with suppress(FileNotFoundError):
                os.unlink(output)
            raise CommandError(f"{output}: {error.strerror}") from error
        self.stdout.write(f"Written to {output}.")

    def _erase(self, user):
        if subject_rights.erase(user):
            self.stdout.write("Erased.")
        else:
            self.stdout.write("The account is closed; what is left of it goes with the next night's run.")
