"""Scan files that were uploaded before the portal had a virus scanner."""

from django.conf import settings
from django.core.management import BaseCommand, CommandError

from config.progress import Progress
from fileshare.scanning import virus_gate


class Command(BaseCommand):
    """Safe to run beside the portal, to repeat and to kill."""

    help = "Let files wait for the virus scanner, which the worker asks; nobody downloads them until it answers."

    def add_arguments(self, parser):
        parser.add_argument("--again", action="store_true", help="also those that were scanned before")

    def handle(self, *args, again, **options):
        if not settings.CLAMD_URL:
            raise CommandError("There is no virus scanner: set CLAMD_URL first.")
        with Progress(self.stderr, "Marking") as progress:
            count = virus_gate.mark_waiting(again=again, progress=progress)
        virus_gate.queue_scan()
        self.stdout.write(f"Files that wait for the scanner now: {count}.")
