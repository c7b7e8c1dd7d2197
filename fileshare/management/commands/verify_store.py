"""Compare the store with the database."""

from django.core.management import BaseCommand, CommandError

from config.errors import Refused
from fileshare.backups import verifying


class Command(BaseCommand):
    """Calls fileshare.backups.verifying."""

    help = "Look at the bytes of every file and list what is missing or altered; exit status 1 when anything is."

    def add_arguments(self, parser):
        parser.add_argument("--quick", action="store_true", help="existence and size only, without reading the bytes")

    def handle(self, *, quick, **options):
        wrong = 0
        try:
            for key, fault in verifying.verify(quick=quick, stream=self.stderr):
                wrong += 1
                self.stdout.write(f"{key}: {fault}")
        except Refused as refusal:
            raise CommandError(refusal.message) from refusal
        if wrong:
            raise CommandError(f"{wrong} objects are not as the database says.")
        self.stdout.write("Every object is as the database says.")
