"""What goes wrong in a browser, noted as it happens."""

import re


class Watch:
    """Notes console errors, exceptions, refused answers and requests that failed."""

    def __init__(self):
        self.problems = []
        self.expected = []

    def over(self, context):
        """Watch every page of a browser context."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self._note(f"exception: {error.error}"))
        context.on("response", self._response)
        context.on("requestfailed", self._failed)

    def expect(self, pattern):
        """A problem whose text matches the regular expression `pattern` belongs to the test; it must happen."""
        self.expected.append(pattern)

    def check(self):
        """Fail for what was not expected, and for what was and did not happen."""
        surprising = [text for text in self.problems if not any(re.search(p, text) for p in self.expected)]
        assert not surprising, "\n".join(surprising)
        missing = [p for p in self.expected if not any(re.search(p, text) for text in self.problems)]
        assert not missing, f"did not happen: {missing}"

    def _note(self, text):
        self.problems.append(text)

    def _console(self, message):
        # Chromium also writes a line for every refused answer, which _response has noted with more to it.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self._note(f"console {message.type}: {message.text}")

    def _response(self, response):
        if response.status >= 400:
            self._note(f"{response.status} {response.request.method} {response.url}")

    def _failed(self, request):
        # What the browser itself gives up: a navigation that turns into a download, the rest of a page that was left.
        # A server that fails resets or refuses, and is noted.
        if request.failure != "net::ERR_ABORTED":
            self._note(f"failed {request.method} {request.url}: {request.failure}")
