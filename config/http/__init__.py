"""Handling of every request and answer: headers, refusals, parsing, limits, static files."""
