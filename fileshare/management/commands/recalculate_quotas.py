"""Run the nightly recalculation of used space now."""

from django.core.management import BaseCommand, CommandError

from config.progress import Progress
from fileshare.space import quotas


class Command(BaseCommand):
    """Safe to run beside the portal and to repeat."""

    help = "Repair every folder's used and reserved space; tell objects that have another length than their file."

    def handle(self, *args, **options):
        with Progress(self.stderr, "Comparing", unit="objects") as progress:
            done = quotas.recalculate(progress)
        for event in done.repaired:
            changes = [f"{name} {was} → {event.detail['after'][name]}" for name, was in event.detail["before"].items()]
            self.stdout.write(f"{event.target_type} {event.target_id} ({event.target_name}): {', '.join(changes)}")
        for file in done.damaged:
            self.stdout.write(f"file {file.pk} ({file.filename}): its object {file.object_key} has another length")
        self.stdout.write(f"Objects: {done.objects}; folders: {done.folders}; repaired: {len(done.repaired)}.")
        if done.damaged:
            raise CommandError(f"{len(done.damaged)} objects are damaged; `manage.py restore` brings them back.")
