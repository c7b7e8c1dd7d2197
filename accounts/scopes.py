"""The scopes of API tokens. Each app registers its own; the ones here are about people and their accounts.

A scope only narrows: a token never allows more than its owner may do.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from config.contributions.registry import Registry

SCOPES = Registry("scope of API tokens")


def register(scopes):
    """Register an app's scopes, a TextChoices of stored text and label."""
    SCOPES.add_all({scope.value: scope.label for scope in scopes})


def choices_for(user):
    """[(stored text, label)] of the scopes `user` may give a token."""
    return [(name, label) for name, label in SCOPES.items() if name != Scope.ADMIN or user.is_superuser]


class Scope(models.TextChoices):
    """Stored text and label."""

    ACCOUNT_READ = "account:read", _("Read your account, your notices and other people's names")
    ACCOUNT_WRITE = (
        "account:write",
        _("Change your name, what you say about yourself and your picture; mark notices read"),
    )
    ADMIN = "admin", _("Everything only a super may do: folders, permissions, people, roles, companies, the log")


ACCOUNT = (Scope.ACCOUNT_READ, Scope.ACCOUNT_WRITE)
SUPERS = (Scope.ADMIN, Scope.ADMIN)
