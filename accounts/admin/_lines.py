"""How a list in the admin shows a person."""

from django.utils.translation import gettext as _

from config.admin.lines import link


def person_line(user):
    """A link to a person's page, with name and address."""
    name = f"{user.name} · {user.email}" if user.is_active else _("%(email)s (off)") % {"email": user.email}
    return link("accounts_user_change", name, user.pk)
