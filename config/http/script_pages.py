"""Pages for browsers and scripts."""

from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

from .refusals import api_exception_handler, refusal_of, refuse, wants_json
from .view_facts import JSON_UNLESS_PAGE


class ScriptPage(APIView):
    """A page that needs REST framework to sign the caller in or to read the body.

    Refuses a browser with a page and a script with JSON. It does not belong to the API, so the schema omits it.
    """

    permission_classes = [AllowAny]
    refuses_in = JSON_UNLESS_PAGE
    schema = None

    @property
    def page_request(self):
        """Django's own request, which code that renders a page or sends bytes needs."""
        return self.request._request

    def get_exception_handler(self):
        return self._refuse

    def _refuse(self, error, context):
        refusal = refusal_of(error)
        if refusal is None or wants_json(context["request"]):
            return api_exception_handler(error, context)
        return refuse(self.page_request, refusal)
