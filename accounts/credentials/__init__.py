"""Credentials: passwords and the limit on guessing them, sessions, tokens of scripts."""
