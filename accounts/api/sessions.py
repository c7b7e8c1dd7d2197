"""The browsers and scripts in which the caller is logged in."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.credentials import sessions, tokens
from accounts.signing_in.scopes import NEVER
from config.api.pagination import Page, answer, page_of

from . import serializers


class Sessions(APIView):
    token_scopes = (NEVER, NEVER)

    @extend_schema(responses=page_of(serializers.SessionSerializer))
    def get(self, request):
        """The browsers and scripts in which the caller is logged in: the newest 50 of each, all on one page."""
        key = request.session.session_key if hasattr(request, "session") else None
        here = sessions.hash_of(key) if key else ""
        family = str(request.auth.get(tokens.FAMILY_CLAIM)) if hasattr(request.auth, "get") else ""
        browsers = [
            {
                "id": row.pk,
                "kind": "browser",
                "agent": row.user_agent,
                "address": row.address,
                "created_at": row.created_at,
                "last_used_at": row.seen_at,
                "is_current": not family and row.key_hash == here,
            }
            for row in sessions.browsers_of(request.user)
        ]
        scripts = [
            {
                "id": row.family,
                "kind": "script",
                "agent": row.user_agent,
                "address": row.address,
                "created_at": row.orig_iat,
                "last_used_at": row.created_at,
                "is_current": str(row.family) == family,
            }
            for row in sessions.scripts_of(request.user)
        ]
        return answer(Page(results=browsers + scripts), serializers.SessionSerializer)


class OneSession(APIView):
    token_scopes = (NEVER, NEVER)

    @extend_schema(responses={204: None})
    def delete(self, request, session_id):
        """End a session or a script's log-in. Its cookie or tokens stop working at once."""
        sessions.end(user=request.user, session_id=session_id)
        return Response(status=204)
