"""The nightly recalculation, now."""

from django.core.management import BaseCommand

from config.progress import Progress
from fileshare import quotas


class Command(BaseCommand):
    """Safe to run beside the portal, and again."""

    help = "Compare sizes and used space with what is in the store, and repair what differs."

    def handle(self, *args, **options):
        with Progress(self.stderr, "Comparing", unit="objects") as progress:
            done = quotas.recalculate(progress)
        for event in done.repaired:
            changes = [f"{name} {was} → {event.detail['after'][name]}" for name, was in event.detail["before"].items()]
            self.stdout.write(f"{event.target_type} {event.target_id} ({event.target_name}): {', '.join(changes)}")
        self.stdout.write(f"Objects: {done.objects}; folders: {done.folders}; repaired: {len(done.repaired)}.")
