"""Folders and files in the Django admin, one module for each noun. Changes go through the app's operations."""

from . import companies, files, folders, holds, links, people, quarantine, uploads

__all__ = ["companies", "files", "folders", "holds", "links", "people", "quarantine", "uploads"]
