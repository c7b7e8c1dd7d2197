"""Back up the portal."""

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from config.errors import Refused
from fileshare.backups import making


class Command(BaseCommand):
    """Calls fileshare.backups.making."""

    help = "Back up the database and the list of all objects while the portal goes on; see docs/backup.md."

    def add_arguments(self, parser):
        parser.add_argument(
            "--to",
            metavar="FOLDER",
            help="an existing folder, which gets a copy of every object too; '' for the object store "
            f"(default: BACKUP_TO, now {settings.BACKUP_TO!r})",
        )
        parser.add_argument(
            "--keep",
            metavar="N",
            type=int,
            help=f"how many backups stay (default: BACKUP_KEEP, now {settings.BACKUP_KEEP})",
        )
        parser.add_argument("--no-objects", action="store_true", help="into a folder: without copying objects")

    def handle(self, *, to, keep, no_objects, **options):
        if keep is not None and keep < 1:
            raise CommandError("--keep must be 1 or more.")
        try:
            made = making.make(to=to, keep=keep, with_objects=not no_objects, stream=self.stderr)
        except Refused as refusal:
            raise CommandError(refusal.message) from refusal
        facts = made.summary
        self.stdout.write(
            f"Backup {made.stamp} in {made.place}: {sum(facts['rows'].values())} rows, {facts['objects']} objects "
            f"({filesizeformat(facts['bytes'])}), {facts['copied']} of them copied now."
        )
        if made.pruned:
            self.stdout.write(f"Removed: {', '.join(made.pruned)}.")
        if made.faults:
            raise CommandError(
                "The backup is complete but for these objects, whose bytes are missing or altered:\n"
                + "\n".join(made.faults)
            )
