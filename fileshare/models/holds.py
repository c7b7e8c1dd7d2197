"""Legal holds: folders, files and users that must not be deleted while a court or the firm's lawyers may need them."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

ALIVE = Q(released_at=None)


class HoldQuerySet(models.QuerySet):
    """Holds."""

    def live(self):
        """Holds that have not been released."""
        return self.filter(ALIVE)


def gone_with_its_target(collector, field, rows, using):
    """For on_delete: a live hold stops its target's deletion. A released one is deleted too; the log keeps it."""
    on_delete = models.PROTECT if rows.filter(ALIVE).exists() else models.CASCADE
    on_delete(collector, field, rows, using)


class Hold(models.Model):
    """A legal hold on one folder, file or user, with its reason. It ends at `released_at`; the row stays as history.

    A hold on a user keeps all files they uploaded, all files of their personal folder, and their account.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    folder = models.ForeignKey(
        "fileshare.Folder", on_delete=gone_with_its_target, null=True, blank=True, related_name="holds", db_index=False
    )
    file = models.ForeignKey(
        "fileshare.File", on_delete=gone_with_its_target, null=True, blank=True, related_name="holds", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=gone_with_its_target,
        null=True,
        blank=True,
        related_name="holds",
        db_index=False,
    )
    reason = models.TextField(max_length=2000)
    placed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    placed_at = models.DateTimeField(auto_now_add=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    released_at = models.DateTimeField(null=True, blank=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        ordering = ["-placed_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(folder__isnull=False, file=None, user=None)
                | Q(folder=None, file__isnull=False, user=None)
                | Q(folder=None, file=None, user__isnull=False),
                name="hold_on_one_thing",
                violation_error_message=_("Name one folder, one file or one user."),
            ),
            *[
                models.UniqueConstraint(
                    fields=[name],
                    condition=ALIVE & Q(**{f"{name}__isnull": False}),
                    name=f"hold_once_on_{name}",
                    violation_error_message=_("A legal hold is on it already."),
                )
                for name in ("folder", "file", "user")
            ],
        ]
        indexes = [
            # Each deletion of a folder, file or user looks for the holds on it, released ones included.
            *[
                models.Index(fields=[name], condition=Q(**{f"{name}__isnull": False}), name=f"hold_on_{name}")
                for name in ("folder", "file", "user")
            ],
            models.Index(fields=["-placed_at", "-id"], name="hold_newest"),
        ]

    def __str__(self):
        return str(self.target)

    @property
    def target(self):
        """The Folder, File or User that is held."""
        return self.folder or self.file or self.user

    @property
    def is_live(self):
        """True until the hold is released."""
        return self.released_at is None
