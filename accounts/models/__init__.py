"""Rows of the people of the portal, one module a noun."""

from .companies import Company
from .mail import OutgoingMail
from .notifications import Notification
from .roles import BUILT_IN_ROLES, Role
from .sessions import RefreshToken
from .users import User

__all__ = ["BUILT_IN_ROLES", "Company", "Notification", "OutgoingMail", "RefreshToken", "Role", "User"]
