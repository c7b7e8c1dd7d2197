"""Restore the portal from a backup."""

from pathlib import Path

from django.conf import settings
from django.core.management import BaseCommand, CommandError

from config.errors import Refused
from fileshare.backups import restoring, shelf


class Command(BaseCommand):
    """Calls fileshare.backups.restoring."""

    help = "Make the portal what it was when a backup was made; stop web, workers and beat first. See docs/backup.md."

    def add_arguments(self, parser):
        parser.add_argument("backup", help="a stamp such as 20260131T013000Z, `latest`, or a folder for its latest one")
        parser.add_argument(
            "--from",
            dest="place",
            metavar="FOLDER",
            help=f"the folder it is in; '' for the object store (default: BACKUP_TO, now {settings.BACKUP_TO!r})",
        )
        parser.add_argument("--yes", action="store_true", help="do it; without, it only says what it would do")
        parser.add_argument("--replace", action="store_true", help="although the database has users, who will be gone")
        parser.add_argument("--objects-only", action="store_true", help="leave the database, put back missing objects")

    def handle(self, *, backup, place, yes, replace, objects_only, **options):
        try:
            if place is None and ("/" in backup or Path(backup).is_dir()):
                backup, place = shelf.LATEST, backup
            found = shelf.open_shelf(settings.BACKUP_TO if place is None else place)
            stamp, facts = found.find(backup)
            self.stdout.write(
                f"Backup {stamp} in {found.name}: made at {facts['made_at']}, {sum(facts['rows'].values())} rows, "
                f"{facts['objects']} objects, {'with' if facts['with_copies'] else 'without'} copies of them."
            )
            if not yes:
                raise CommandError("Nothing was changed. Add --yes to restore it.")
            done = restoring.restore(
                place=found, which=stamp, replace=replace, only_objects=objects_only, stream=self.stderr
            )
        except Refused as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(f"{done.rows} rows loaded, {done.copied} objects put back.")
        for key, fault in done.wrong:
            self.stdout.write(f"{key}: {fault}")
        if done.wrong:
            raise CommandError(f"{len(done.wrong)} objects are not there.")
