"""Make the bucket what the portal needs, or say what is not so."""

from botocore import UNSIGNED
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.management import BaseCommand, CommandError

from config.bucket import make_client
from fileshare import lifecycle
from fileshare.storage import bucket


class Command(BaseCommand):
    """Safe to run again; with --check nothing is changed and the exit status is 1 when something differs."""

    help = "Create the bucket of S3_FILESHARE_BUCKET or check it: access, CORS, lifecycle. Prints what differs."

    def add_arguments(self, parser):
        parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 when something differs")

    def handle(self, *args, check, **options):
        if settings.STORAGE != "s3":
            raise CommandError("STORAGE is not s3: there is no bucket to set up.")
        name, client = settings.S3_FILESHARE_BUCKET, make_client()
        try:
            left = self._work(client, name, check)
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"The service refuses: {error}") from error
        if left:
            raise CommandError(f"{left} thing(s) about the bucket {name} differ from what the portal needs.")
        self.stdout.write(self.style.SUCCESS(f"The bucket {name} is as the portal needs it."))

    def _work(self, client, name, check):
        """Print each difference and mend it unless `check`; returns how many are left."""
        left = 0
        for created in (False, True):
            found = list(
                bucket.differences(
                    client,
                    name,
                    stranger=make_client(signature_version=UNSIGNED),
                    origins=settings.S3_CORS_ORIGINS,
                    expiry=lifecycle.safety_net(),
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
        difference.mend()
        self.stdout.write(f"mended    {difference.text}")
        return False
