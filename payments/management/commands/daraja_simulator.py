"""`manage.py daraja_simulator`: a simulated Daraja for a portal on this machine."""

from django.conf import settings
from django.core.management import BaseCommand, CommandError

from payments.simulator import PEOPLE, beside


class Command(BaseCommand):
    """Serves until Ctrl-C; prints its address and what each phone number does."""

    help = "Serve a simulated Daraja (OAuth, STK push, query, callbacks) on loopback, for MPESA_ENV=simulator."

    def add_arguments(self, parser):
        parser.add_argument("--port", type=int, default=0, help="default: one that is free")
        parser.add_argument("--beside", action="store_true", help="in a child process that ends with this one")
        parser.add_argument("--delay", type=float, default=2.0, help="seconds a payer takes (default 2)")
        parser.add_argument("--late", type=float, default=90.0, help="seconds a late callback takes (default 90)")
        parser.add_argument("--slow", type=float, default=60.0, help="seconds a slow answer takes (default 60)")

    def handle(self, *args, **options):
        if settings.MPESA_ENV != "simulator":
            raise CommandError("The simulator is for MPESA_ENV=simulator, which only a portal on loopback may have.")
        if options["beside"]:
            beside.start()
            return
        try:
            simulator = beside.make(**{name: options[name] for name in ("port", "delay", "late", "slow")})
        except (OSError, OverflowError) as error:
            raise CommandError(f"The port is not to be had: {error}") from None
        self.stdout.write(f"Daraja simulator: start the portal with  MPESA_BASE_URL={simulator.url}\n")
        self.stdout.write("What happens is chosen by the last two digits of the phone number:\n")
        for digits, person in PEOPLE.items():
            self.stdout.write(f"  07.. ... .{digits}  {person.story}\n")
        self.stdout.write("  any other      pays after a moment. Stop it with Ctrl-C.\n")
        self.stdout.flush()
        try:
            simulator.serve_forever()
        except KeyboardInterrupt:
            self.stdout.write("Stopped.\n")
