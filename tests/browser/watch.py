"""Notes the problems in a browser as they happen."""

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
        """Expect a problem whose text matches the regular expression `pattern`. The test fails if there is none."""
        self.expected.append(pattern)

    def check(self):
        """Fail for each problem that was not expected, and for each expected one that did not happen."""
        surprising = [text for text in self.problems if not any(re.search(p, text) for p in self.expected)]
        assert not surprising, "\n".join(surprising)
        missing = [p for p in self.expected if not any(re.search(p, text) for text in self.problems)]
        assert not missing, f"did not happen: {missing}"

    def _note(self, text):
        self.problems.append(text)

    def _console(self, message):
        # Skip Chromium's own line for a refused answer: _response notes it with more detail.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self._note(f"console {message.type}: {message.text}")

    def _response(self, response):
        if response.status >= 400:
            self._note(f"{response.status} {response.request.method} {response.url}")

    def _failed(self, request):
        # Skip what the browser itself cancels: a navigation that becomes a download, the rest of a page that was left.
        # A server that fails resets or refuses the connection, which is noted.
        if request.failure != "net::ERR_ABORTED":
            self._note(f"failed {request.method} {request.url}: {request.failure}")
