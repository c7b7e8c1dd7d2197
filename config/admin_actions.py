"""Actions of the admin on many rows: a transaction each, and one sentence about what was refused and why."""

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .admin import REFUSALS
from .refusals import refusal_of

SHOWN = 20
MOST_AT_ONCE = 500


class SeveralAtOnce:
    """For a ModelAdmin whose actions are operations."""

    chosen_order = ("pk",)
    chosen_line = staticmethod(str)

    def chosen(self, request, queryset):
        """The rows an action is about as a list; None, and said so, where they are more than MOST_AT_ONCE."""
        rows = list(queryset.order_by(*self.chosen_order)[: MOST_AT_ONCE + 1])
        if len(rows) <= MOST_AT_ONCE:
            return rows
        text = _("At most %(most)d at once. Nothing was changed.") % {"most": MOST_AT_ONCE}
        self.message_user(request, text, messages.ERROR)
        return None

    def each(self, request, rows, operation, *, done_words, name=str):
        """Call `operation(row)` for each of `rows`; tell how many it changed and, by `name`, which it refused.

        `done_words(n)` is the sentence about `n` that were changed.
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
        """A page that asks what all the chosen rows get; once it is answered, what `perform(rows, form)` returns:
        None, or a response of its own."""
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
