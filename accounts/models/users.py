"""The user."""

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from .companies import Company
from .roles import SUPER, Role


class UserQuerySet(models.QuerySet):
    """People, and who may see them."""

    def with_company(self):
        """With the company joined, as the rules of access ask for it."""
        return self.select_related("company")

    def matching(self, text):
        """Those whose address or name contains `text`, letter case aside."""
        return self.filter(models.Q(email__icontains=text) | models.Q(name__icontains=text))


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):
    """Makes users; addresses are kept in lower case, so that one mailbox is one account."""

    def get_by_natural_key(self, username):
        """The user of an address, however its letters were typed."""
        return self.get(email=username.strip().lower())

    def create_user(self, email, password=None, **fields):
        """Save a user with a hashed password (None: one that never matches)."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email, password=None, **fields):
        """Save a verified, active super: the flags and the role go together."""
        user = self.create_user(
            email,
            password,
            **{"is_staff": True, "is_superuser": True, "email_verified_at": timezone.now(), **fields},
        )
        user.groups.add(Role.objects.get(name=SUPER))
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an e-mail address.

    Sign-up makes an inactive user without `email_verified_at`; a super who switches a user off
    leaves it set, which is how "not verified yet" and "switched off" are told apart.
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
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="user_newest")]

    def __str__(self):
        return self.email

    @property
    def is_verified(self):
        """True once a mailed link proved that the address is theirs."""
        return self.email_verified_at is not None

    def get_full_name(self):
        """What other people see."""
        return self.name or self.email.split("@")[0]

    def get_short_name(self):
        """The first word of the name."""
        return self.get_full_name().split(" ")[0]
