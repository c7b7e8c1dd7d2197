"""People in the admin, one module a noun; what a change means is decided by the operations.

Folders and files stand above people, so that their pages and rows are named here, never imported.
"""

from . import companies, roles, tokens, users

__all__ = ["companies", "roles", "tokens", "users"]
