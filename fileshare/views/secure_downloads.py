"""/secure-download/<token>: an encrypted link sends a file's bytes, only to the user it was made for."""

from config.http.script_pages import ScriptPage
from config.http.throttling import throttle
from fileshare.contributions.scopes import LISTS
from fileshare.outgoing import downloads, links
from fileshare.outgoing.sending import send_object


class SecureDownload(ScriptPage):
    """The user signs in with an access token or a session."""

    token_scopes = LISTS

    def get(self, request, token):
        """Send the bytes; ranges are supported."""
        throttle(request, "redeem", strict=False)
        try:
            file, info = downloads.redeem(user=request.user, token=token, request=request)
        except (downloads.NotYours, links.LinkForged):
            # Slow down users who try forged links or links of others.
            throttle(request, "foreign_link")
            raise
        return send_object(
            self.page_request,
            key=file.object_key,
            info=info,
            filename=file.filename,
            content_type=file.content_type,
        )

    def head(self, request, token):
        """Answer as GET would, without using up a one-time link."""
        return self.get(request, token)
