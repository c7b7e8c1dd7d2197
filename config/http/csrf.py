"""Django's CSRF check, with a proper answer when reading the form is refused."""

from django.middleware.csrf import CsrfViewMiddleware

from config.errors import Refused

from .refusals import refuse


class CsrfMiddleware(CsrfViewMiddleware):
    """Django's check reads the body to find the token; reading raises Refused for a body beyond the limit."""

    def process_view(self, request, callback, callback_args, callback_kwargs):
        """Turns a Refused into its answer. RefusalMiddleware handles only errors that views raise."""
        try:
            return super().process_view(request, callback, callback_args, callback_kwargs)
        except Refused as refusal:
            return refuse(request, refusal)
