"""Script text in places where no format needs any: a browser or server that guesses a wrong type would run it."""

import re

_SCRIPT = re.compile(
    # markup that a browser, a web server or mshta.exe runs wherever it stands in a file
    rb"<\s*(script|html|head|body|iframe|object|embed|svg|!doctype\s+html)\b|<\?(php|=)|<%|(java|vb)script:"
    # what a shell runs
    rb"|^[ \t]*(#!\s*/|@?echo off\b|powershell\b|cmd(\.exe)? /)",
    re.IGNORECASE | re.MULTILINE,
)


def holds_script(text):
    """True when `text` (bytes; UTF-16 too) holds something that runs when a program takes it for a page or a script."""
    return _SCRIPT.search(text) is not None or (b"\0" in text and _SCRIPT.search(text.replace(b"\0", b"")) is not None)
