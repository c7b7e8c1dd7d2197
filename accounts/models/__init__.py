"""The models of people and their accounts."""

from .api_tokens import ApiToken
from .companies import Company
from .mail import OutgoingMail
from .notifications import Notification, NotificationPreference
from .roles import BUILT_IN_ROLES, Role
from .second_factor import Passkey, RecoveryCode, RolePolicy, SpentProof, TotpDevice
from .sessions import RefreshToken, Session
from .users import User

__all__ = [
    "ApiToken",
    "BUILT_IN_ROLES",
    "Company",
    "Notification",
    "NotificationPreference",
    "OutgoingMail",
    "Passkey",
    "RecoveryCode",
    "RefreshToken",
    "Role",
    "RolePolicy",
    "Session",
    "SpentProof",
    "TotpDevice",
    "User",
]
