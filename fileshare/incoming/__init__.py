"""Uploads: how they begin, receive bytes, and become files."""
