"""A mail server that accepts messages, refuses them for now or refuses them for good, as a test wants it."""

from aiosmtpd.controller import Controller

from tests.servers import LOOPBACK, free_ports

TAKE = "250 OK"
NOT_NOW = "451 4.3.0 Try again later"
NEVER = "554 5.7.1 Not here"


class MailServer:
    """Real SMTP on loopback. `answer` is its answer to each message; `taken` holds the messages that it accepted."""

    def __init__(self):
        self.answer = TAKE
        self.taken = []
        self.refused = 0
        (port,) = free_ports(1)
        self._controller = Controller(self, hostname=LOOPBACK, port=port)
        self._controller.start()
        self.address = (LOOPBACK, port)

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name for it
        """aiosmtpd calls it with each message."""
        if self.answer == TAKE:
            self.taken.append(envelope)
        else:
            self.refused += 1
        return self.answer

    def to(self, address):
        """The accepted messages to that address."""
        return [envelope for envelope in self.taken if address in envelope.rcpt_tos]

    def stop(self):
        """Stop the server."""
        self._controller.stop()
