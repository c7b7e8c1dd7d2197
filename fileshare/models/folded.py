"""The column that the search compares: the folded form of a name."""

from django.db import models

from fileshare.content.folding import fold


class FoldedField(models.TextField):
    """The folded form of the field `of`, written whenever the row is saved.

    It is null in a row that an earlier version of the portal wrote, until `fileshare.search.folding` folds it.
    """

    def __init__(self, *, of=None, **options):
        self.of = of
        super().__init__(**{"null": True, "editable": False, **options})

    def deconstruct(self):
        """For migrations it is a plain TextField: they shall not need this class."""
        name, _path, args, options = super().deconstruct()
        return name, "django.db.models.TextField", args, options

    def pre_save(self, instance, add):
        """Fold the name as it is now."""
        value = fold(getattr(instance, self.of))
        setattr(instance, self.attname, value)
        return value
