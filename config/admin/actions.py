"""Actions of the admin on many rows: a transaction for each row, and one message with the refused rows and reasons."""

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from config.http.refusals import refusal_of

from .operations import REFUSALS

SHOWN = 20
MOST_AT_ONCE = 500


class SeveralAtOnce:
    """Mixin for a ModelAdmin whose actions call operations."""

    chosen_order = ("pk",)
    chosen_line = staticmethod(str)

    def chosen(self, request, queryset):
        """The chosen rows as a list; for more than MOST_AT_ONCE rows shows an error and returns None."""
        rows = list(queryset.order_by(*self.chosen_order)[: MOST_AT_ONCE + 1])
        if len(rows) <= MOST_AT_ONCE:
            return rows
        text = _("At most %(most)d at once. Nothing was changed.") % {"most": MOST_AT_ONCE}
        self.message_user(request, text, messages.ERROR)
        return None

    def each(self, request, rows, operation, *, done_words, name=str):
        """Call `operation(row)` for each of `rows`; show how many it changed and, by `name`, which it refused.

        `done_words(n)` is the sentence about the `n` changed rows.
        """
        done, refused = 0, []
        for row in rows:
            try:
                operation(row)
                done += 1
            except REFUSALS as error:
                refused.append((name(row), refusal_of(error).message))
        if done:
            self.message_user(request, done_words(done), messages.SUCCESS)
        if refused:
            intro = ngettext("%(n)d was left as it is:", "%(n)d were left as they are:", len(refused))
            lines = format_html_join("", "<li>{}: {}</li>", refused[:SHOWN])
            rest = format_html("<li>…</li>") if len(refused) > SHOWN else ""
            text = format_html("{}<ul>{}{}</ul>", intro % {"n": len(refused)}, lines, rest)
            self.message_user(request, text, messages.ERROR)

    def ask(self, request, queryset, *, action, title, form_class, perform, about="", button=""):
        """A page with a form whose answer applies to all chosen rows.

        When the form is valid, returns what `perform(rows, form)` returns: None, or a response.
        """
        rows = self.chosen(request, queryset)
        if rows is None:
            return None
        form = form_class(request.POST if "apply" in request.POST else None)
        if form.is_bound and form.is_valid():
            return perform(rows, form)
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "about": about,
            "button": button or _("Save"),
            "opts": self.opts,
            "form": form,
            "media": self.media + form.media,
            "action": action,
            "checkbox_name": ACTION_CHECKBOX_NAME,
            "rows": [(row.pk, self.chosen_line(row)) for row in rows],
        }
        return TemplateResponse(request, "admin/choose.html", context)
