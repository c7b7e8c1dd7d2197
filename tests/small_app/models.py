from django.db import models


class Thing(models.Model):
    """One thing to lend."""

    lent_to = models.CharField(max_length=100)

    def __str__(self):
        return self.lent_to
