"""Checks that the audit log is whole."""

import dataclasses
import json
from pathlib import Path

from django.core.management import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError

from audit import chain, heads, verifying
from audit.models import Event
from config.errors import Refused
from config.progress import Progress


class Command(BaseCommand):
    """The command line of audit.verifying."""

    help = "Walk the audit log's chain and name the first row that was changed, moved, taken out or cut off."

    def add_arguments(self, parser):
        parser.add_argument(
            "--heads", type=Path, metavar="FOLDER", help="signed heads kept elsewhere (default: the portal's own)"
        )
        parser.add_argument("--after", type=int, default=0, metavar="SEQ", help="begin behind this row")
        parser.add_argument("--after-hash", default="", metavar="HASH", help="and that is its hash, if it is not here")
        parser.add_argument("--json", action="store_true", help="say what was found as one JSON object")
        parser.add_argument(
            "--accept",
            action="store_true",
            help="sign the end of the log as it stands, after you looked into a fault or restored a backup",
        )
        parser.add_argument("--reason", default="", help="with --accept: what you found, for the log")

    def handle(self, *, after, after_hash, accept, **options):
        if accept:
            head = verifying.accept(reason=options["reason"])
            self.stdout.write(f"The log is accepted as it stands, up to row {head.seq}.")
            return
        try:
            chain.seal()
        except (chain.HeadForged, DatabaseError) as error:
            self.stderr.write(f"Rows could not be given their place: {error}")
        known = Event.objects.filter(seq=after).values_list("hash", flat=True).first() if after else ""
        kept, strange = self._heads(options["heads"])
        with Progress(self.stderr, "Checking", total=Event.objects.count(), unit="rows") as progress:
            report = verifying.verify(
                after=after,
                after_hash=after_hash or known or "",
                kept=[head for head in kept if head.seq > after],
                strange=strange,
                progress=progress,
            )
        if options["json"]:
            self.stdout.write(json.dumps(dataclasses.asdict(report), cls=DjangoJSONEncoder))
        self._tell(report, quiet=options["json"])

    def _heads(self, folder):
        if folder is None:
            try:
                return heads.kept()
            except (OSError, Refused) as error:
                raise CommandError(f"The kept heads cannot be read: {error}") from error
        try:
            return [heads.read(path.read_bytes(), path) for path in sorted(folder.glob("*.json"))], []
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error

    def _tell(self, report, *, quiet):
        for fault in report.accepted:
            self.stderr.write(f"Accepted before: row {fault.seq}: {fault.text}.")
        if report.older:
            self.stderr.write(
                f"{report.older} rows were placed by an older version of the portal, the first is row "
                f"{report.first_older}. No hash covers their subfolder."
            )
        for fault in report.faults:
            self.stderr.write(fault.text if fault.seq is None else f"Row {fault.seq}: {fault.text}.")
        if report.unsealed:
            self.stderr.write(f"{report.unsealed} rows have no place yet, the oldest from {report.oldest_unsealed}.")
        if report.faults:
            raise CommandError("The audit log is not whole.")
        if not quiet:
            compared = (
                f"{report.heads} kept heads, the last from {report.last_head}" if report.heads else "no kept head"
            )
            self.stdout.write(
                f"The audit log is whole: {report.checked} rows, to row {report.last_seq}; compared with {compared}."
            )
