"""The scanners for the tests of this folder."""

# These are fixtures: pytest finds them by their names in this module.
from tests.fileshare.scanning.scanner import clamd, clamd_server, fake_scanner  # noqa: F401
