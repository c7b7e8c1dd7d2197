"""Signing in by browser or script, and finding the user of a request."""
