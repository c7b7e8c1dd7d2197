"""Make the store and the database agree now."""

from django.core.management import BaseCommand

from config.progress import Progress
from fileshare.upkeep import reconcile


class Command(BaseCommand):
    """Safe to run beside the portal, to repeat and to kill.

    Ends with 1 when a file has lost its object, or when most objects have no row and it deleted none for that reason.
    """

    help = "Complete uploads that were sent and never completed, remove objects without a row, report rows without one."

    def add_arguments(self, parser):
        parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
        parser.add_argument(
            "--force", action="store_true", help="remove objects without a row even where most objects have none"
        )

    def handle(self, *args, dry_run, force, **options):
        completed = reconcile.complete_received(dry_run=dry_run)
        with Progress(self.stderr, "Comparing", unit="objects") as progress:
            found = reconcile.reconcile(dry_run=dry_run, force=force, progress=progress)
        self.stdout.write(f"Sent uploads {'to complete' if dry_run else 'completed'}: {completed}.")
        self.stdout.write(f"Objects: {found.objects}; without a row: {found.orphans}.")
        if found.held_back:
            self.stdout.write("They stay, for they are most: is this the store's database? --force removes them.")
        elif not dry_run:
            self.stdout.write(f"Removed: {found.removed} ({found.removed_bytes} bytes); leftovers: {found.leftovers}.")
        if found.adopted:
            self.stdout.write(f"Files whose object was under another key, which they name now: {found.adopted}.")
        self.stdout.write(f"Files without an object: {found.missing_count}.")
        for file in found.missing:
            self.stdout.write(f"  {file.pk}  {file.folder.slug}  {file.filename}  {file.object_key}")
        if found.missing_count > len(found.missing):
            self.stdout.write(f"  and {found.missing_count - len(found.missing)} more, in the log")
        if found.missing_count or found.held_back:
            raise SystemExit(1)
