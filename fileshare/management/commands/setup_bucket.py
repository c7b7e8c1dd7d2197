"""Set up the bucket as the portal needs it, or print what differs."""

from botocore import UNSIGNED
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.db import DatabaseError

from config.outside.bucket import make_client
from fileshare.storage import bucket
from fileshare.upkeep import lifecycle


class Command(BaseCommand):
    """Safe to repeat. With --check it changes nothing. The exit status is 1 when something still differs.

    What the service does not know is named, and is no reason to stop. What it refuses is named, and still differs.
    """

    help = "Create the bucket of S3_FILESHARE_BUCKET or check it: access, CORS, lifecycle. Prints what differs."

    def add_arguments(self, parser):
        parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 when something differs")

    def handle(self, *args, check, **options):
        if settings.STORAGE != "s3":
            raise CommandError("STORAGE is not s3: there is no bucket to set up.")
        name, client = settings.S3_FILESHARE_BUCKET, make_client()
        try:
            expiry = lifecycle.safety_net()
        except DatabaseError as error:
            # The folders' rows decide on the lifecycle rules.
            raise CommandError(
                "The folders cannot be read from the database. Run `manage.py migrate` first, and then this again. "
                f"({str(error).splitlines()[0]})"
            ) from None
        try:
            left = self._work(client, name, expiry, check)
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"The service refuses: {error}") from error
        if left:
            raise CommandError(f"{left} thing(s) about the bucket {name} differ from what the portal needs.")
        self.stdout.write(self.style.SUCCESS(f"The bucket {name} is as the portal needs it."))

    def _work(self, client, name, expiry, check):
        """Print each difference, and correct it unless `check`. Returns how many are left."""
        left = 0
        for created in (False, True):
            found = list(
                bucket.differences(
                    client,
                    name,
                    stranger=make_client(signature_version=UNSIGNED),
                    origins=settings.S3_CORS_ORIGINS,
                    expiry=expiry,
                )
            )
            left = sum(self._mend(difference, check) for difference in found)
            if created or check or all(difference.kind != "bucket" for difference in found):
                break
        return left

    def _mend(self, difference, check):
        if difference.kind == "unknown":
            self.stdout.write(f"note      {difference.text}")
            return False
        if check or difference.mend is None:
            self.stdout.write(self.style.WARNING(f"differs   {difference.text}"))
            return True
        try:
            difference.mend()
        except ClientError as error:
            if difference.kind == "bucket":
                raise
            if bucket.is_unknown(error):
                self.stdout.write(f"note      {difference.text} The service does not know {error.operation_name}.")
                return False
            self.stdout.write(self.style.WARNING(f"refused   {difference.text} {error}"))
            return True
        self.stdout.write(f"mended    {difference.text}")
        return False
