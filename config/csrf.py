"""The check of a form's token, where reading the form may itself be refused."""

from django.middleware.csrf import CsrfViewMiddleware

from .errors import Refused
from .refusals import refuse


class CsrfMiddleware(CsrfViewMiddleware):
    """Django's; it reads the body to find the token, and a body beyond the limit is refused right there."""

    def process_view(self, request, callback, callback_args, callback_kwargs):
        """Raises nothing: a Refused becomes its answer, since no view is there yet to raise it."""
        try:
            return super().process_view(request, callback, callback_args, callback_kwargs)
        except Refused as refusal:
            return refuse(request, refusal)
