"""`manage.py doctor`: how each part of the portal is, and what to do about those that are not well."""

import json
import sys

from django.core.management import BaseCommand

from config.watch import parts

PATIENCE_SECONDS = 20


class Command(BaseCommand):
    """Prints a line for each part, and its cure below. Ends with 1 when a part is not well."""

    help = "Ask every part of the portal how it is, and say what to do: run it with the portal's own environment."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--json", action="store_true", help="say it as one JSON object: {part: {state, …}}")

    def handle(self, *args, **options):
        found = parts.Readiness().ask(thorough=True, seconds=PATIENCE_SECONDS)
        if options["json"]:
            said = {name: {"state": v.state, "sentence": v.said, "cure": v.advice} for name, v in found.items()}
            self.stdout.write(json.dumps(said, ensure_ascii=False))
        else:
            self._tell(found)
        if not all(verdict.is_ok for verdict in found.values()):
            sys.exit(1)

    def _tell(self, found):
        width = max(map(len, found))
        rows = list(found.items())
        for place, (name, verdict) in enumerate(rows):
            self.stdout.write(f"{verdict.state:<12} {name:<{width}}  {verdict.said}")
            # One cure for several parts in a row is said once, below the last of them.
            following = rows[place + 1][1].advice if place + 1 < len(rows) else ""
            if verdict.advice and verdict.advice != following:
                self.stdout.write(f"{'':<12} {'':<{width}}  → {verdict.advice}")
        wrong = sum(not verdict.is_ok for verdict in found.values())
        self.stdout.write("All is well." if not wrong else f"{wrong} of {len(found)} parts need you.")
