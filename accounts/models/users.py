"""The user."""

import uuid

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone

from .companies import Company
from .roles import OPS, SUPER, Role
from .second_factor import Passkey, RolePolicy, TotpDevice

# Accounts whose mailed link has not been opened. Of these, the invited users have no password yet.
NOT_PROVED = models.Q(is_active=False, email_verified_at=None, closed_at=None)
NO_PASSWORD = models.Q(password__startswith=UNUSABLE_PASSWORD_PREFIX)
INVITED, UNCONFIRMED = NOT_PROVED & NO_PASSWORD, NOT_PROVED & ~NO_PASSWORD


def full_name(person):
    """The name that other users see of anybody with `name` and `email`; see User.get_full_name."""
    return person.name or person.email.split("@")[0]


class UserQuerySet(models.QuerySet):
    """Queries for users."""

    def with_company(self):
        """Join the company, which the access rules read."""
        return self.select_related("company")

    def with_second_factor(self):
        """Add `lacks_second_factor`: true when one of the user's roles requires a second factor and they have none."""
        mine = models.OuterRef("pk")
        asked = RolePolicy.objects.filter(requires_second_factor=True, role__user=mine)
        return self.annotate(
            lacks_second_factor=models.ExpressionWrapper(
                models.Exists(asked)
                & ~models.Exists(TotpDevice.objects.filter(user=mine))
                & ~models.Exists(Passkey.objects.filter(user=mine)),
                output_field=models.BooleanField(),
            )
        )

    def with_ops(self):
        """Add `is_ops`: true for the users to whom the pages show the link to the ops page."""
        mine = Role.objects.filter(name=OPS, user=models.OuterRef("pk"))
        return self.annotate(is_ops=models.Q(is_superuser=True) | models.Exists(mine))

    def unconfirmed(self):
        """Sign-ups whose address is not confirmed. They do not reserve it: another user may take it."""
        return self.filter(UNCONFIRMED)

    def holding(self, email):
        """The user who holds this address: no other user can take it. Unconfirmed sign-ups do not hold theirs."""
        return self.filter(email=email).exclude(UNCONFIRMED)

    def matching(self, text):
        """Users whose address or name contains `text`, ignoring case."""
        return self.filter(models.Q(email__icontains=text) | models.Q(name__icontains=text))


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):
    """Makes users. It stores addresses in lower case, so that one mailbox has one account."""

    def get_by_natural_key(self, username):
        """The user of an address, ignoring case."""
        return self.get(email=username.strip().lower())

    def create_user(self, email, password=None, **fields):
        """Save a user with a hashed password; with None no password works."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email, password=None, **fields):
        """Save a verified, active super, with both the flags and the role."""
        user = self.create_user(
            email,
            password,
            **{"is_staff": True, "is_superuser": True, "email_verified_at": timezone.now(), **fields},
        )
        user.groups.add(Role.objects.get(name=SUPER))
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an e-mail address.

    Sign-up makes an inactive user without `email_verified_at`. A user whom a super switched off is inactive too, but
    keeps `email_verified_at`: this tells "switched off" from "not verified yet".

    `closed_at` is when the account was closed. A super can open it again for ACCOUNT_CLOSURE_DAYS; `erased_at` is when
    its personal data were erased (accounts.privacy.subject_rights).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=150)
    bio = models.TextField(max_length=1000, blank=True)
    avatar = models.FileField(upload_to="avatars/", blank=True, max_length=200)
    company = models.ForeignKey(Company, on_delete=models.SET_NULL, null=True, blank=True, related_name="people")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    pending_email = models.EmailField(max_length=254, blank=True)
    # "": the language of the browser.
    language = models.CharField(max_length=10, blank=True, choices=settings.LANGUAGES)
    closed_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_is_lower_case"),
            models.CheckConstraint(
                condition=models.Q(closed_at=None) | models.Q(is_active=False), name="closed_is_off"
            ),
            models.CheckConstraint(
                condition=models.Q(erased_at=None) | models.Q(closed_at__isnull=False), name="erased_was_closed"
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="user_newest")]

    def __str__(self):
        return self.email

    @property
    def is_verified(self):
        """True once the user has proved, by a mailed link, that the address is theirs."""
        return self.email_verified_at is not None

    @property
    def is_invited(self):
        """True until the user accepts a super's invitation: the address is not proved, and there is no password."""
        return not self.is_verified and self.closed_at is None and not self.has_usable_password()

    @property
    def state(self):
        """One word: active, invited, unverified (a sign-up), off (by a super or ops), or closed (by its owner)."""
        if self.is_active:
            return "active"
        if self.closed_at is not None:
            return "closed"
        if self.is_verified:
            return "off"
        return "invited" if self.is_invited else "unverified"

    @property
    def is_unconfirmed(self):
        """True for a sign-up whose address is not proved."""
        return not (self.is_active or self.is_verified or self.is_invited) and self.closed_at is None

    def get_full_name(self):
        """The name that other users see; without one, the first part of the address."""
        return full_name(self)

    def get_short_name(self):
        """The first word of the name."""
        return self.get_full_name().split(" ")[0]

    @property
    def avatar_url(self):
        """The path of the picture, which changes with it; None without a picture."""
        return f"{reverse('avatar', args=[self.pk])}?v={self.avatar.name[-12:-4]}" if self.avatar else None
