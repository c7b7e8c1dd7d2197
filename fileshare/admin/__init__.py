"""Folders and files in the Django admin: doors to the operations, one module a noun."""

from . import companies, files, folders, holds, links, quarantine, uploads

__all__ = ["companies", "files", "folders", "holds", "links", "quarantine", "uploads"]
