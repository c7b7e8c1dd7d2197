"""The admin pages of people, one module for each model. Every change goes through the operations of accounts."""

from . import companies, roles, tokens, users

__all__ = ["companies", "roles", "tokens", "users"]
