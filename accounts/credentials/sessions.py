"""Sessions of browsers (the SESSION_ENGINE) and refresh families of scripts: list them and end them.

A row holds only a hash of the session's key, so a reader of the table cannot sign in with it. Ending a session deletes
its row: the cookie no longer works from the next request on.
"""

import hashlib
import logging
from datetime import timedelta

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.db import DatabaseError, IntegrityError, transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.contributions.actions import Action
from accounts.models import Session, User
from audit.log import record
from config import context
from config.access import get_visible, is_uuid
from config.prepared import Prepared

from . import tokens

logger = logging.getLogger(__name__)

# How exact `seen_at` is. Without this, every page view would write to the database.
SEEN_EVERY = timedelta(minutes=5)
LIVE = Prepared(
    lambda key_hash, now: Session.objects.filter(key_hash=key_hash).live(now).order_by(),
    key_hash=Session._meta.get_field("key_hash"),
    now=Session._meta.get_field("expire_date"),
)
# A script may log in again every minute and have thousands of families; show only the newest.
MOST_SHOWN = 50


def hash_of(session_key):
    """The hash of a session's key, as the table stores it."""
    return hashlib.sha256(session_key.encode()).hexdigest()


class SessionStore(SessionBase):
    """Stores sessions as rows that also name the user, and when and where the session was last seen."""

    def _row(self, session_key):
        return Session.objects.filter(key_hash=hash_of(session_key))

    def exists(self, session_key):
        """Whether a session has this key."""
        return self._row(session_key).exists()

    def load(self):
        """The data of the session. An unknown, ended or expired session is empty and loses its key."""
        row = LIVE.first(key_hash=hash_of(self.session_key), now=timezone.now())
        if row is None:
            self._session_key = None
            return {}
        if row.user_id and row.seen_at < timezone.now() - SEEN_EVERY:
            self._note_seen(row)
        return self.decode(row.session_data)

    def _note_seen(self, row):
        facts = context.current()
        try:
            with transaction.atomic():
                # Match the old `seen_at`, so that of several requests at once only one writes.
                Session.objects.filter(pk=row.pk, seen_at=row.seen_at).update(
                    seen_at=timezone.now(), address=facts.address, user_agent=facts.user_agent
                )
        except DatabaseError as error:
            # Ignore a failed write: with a full disk, users must still be able to read.
            logger.warning("A session's last use was not noted: %s", type(error).__name__)

    def create(self):
        """Give the session a new key and store its row."""
        while True:
            self._session_key = self._get_new_session_key()
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create=False):
        """Store the data of the session. Raises UpdateError when the session was ended meanwhile."""
        if self.session_key is None:
            self.create()
            return
        data = self._get_session(no_load=must_create)
        facts = {
            "session_data": self.encode(data),
            "expire_date": self.get_expiry_date(),
            "user_id": data.get(SESSION_KEY),
        }
        if not must_create:
            if not self._row(self.session_key).update(**facts):
                raise UpdateError
            return
        asked = context.current()
        try:
            with transaction.atomic():
                Session.objects.create(
                    key_hash=hash_of(self.session_key),
                    address=asked.address,
                    user_agent=asked.user_agent,
                    **facts,
                )
        except IntegrityError:
            raise CreateError from None

    def delete(self, session_key=None):
        """Delete the session of `session_key`; without one, this session."""
        key = session_key or self.session_key
        if key:
            self._row(key).delete()

    @classmethod
    def clear_expired(cls):
        """Delete the expired sessions."""
        Session.objects.filter(expire_date__lt=timezone.now()).delete()


# --- What is logged in ------------------------------------------------------------------------------


def browsers_of(user):
    """The user's live sessions, the one last seen first; at most MOST_SHOWN."""
    return user.sessions.live().order_by("-seen_at", "-id")[:MOST_SHOWN]


def scripts_of(user):
    """The newest token of each live refresh family of the user, the one last used first; at most MOST_SHOWN."""
    return user.refresh_tokens.newest_of_families().order_by("-created_at", "-jti")[:MOST_SHOWN]


@transaction.atomic
def end(*, user, session_id):
    """End one of the user's own sessions or refresh families at once. Raises Http404 for anything else."""
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not is_uuid(session_id):
        raise Http404
    if tokens.close_one(user, session_id):
        record(Action.SESSION_ENDED, user=user, kind="script", session=str(session_id))
        return
    session = get_visible(session_id, user.sessions.live())
    session.delete()
    record(Action.SESSION_ENDED, user=user, kind="browser", session=str(session_id))


@transaction.atomic
def end_others(*, user, keep=None):
    """End every session and refresh family of the user, except the session with the key `keep`. Returns how many."""
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    others = user.sessions.all() if keep is None else user.sessions.exclude(key_hash=hash_of(keep))
    scripts = user.refresh_tokens.newest_of_families().count()
    browsers = others.live().count()
    others.delete()
    tokens.close_all_families(user)
    if browsers or scripts:
        record(Action.SESSION_ENDED, user=user, kind="others", browsers=browsers, scripts=scripts)
    return browsers + scripts


def end_all(user):
    """End every session and refresh family of `user` (new password, account switched off).

    It records nothing: the caller records why.
    """
    user.sessions.all().delete()
    tokens.close_all_families(user)


# --- In plain words ---------------------------------------------------------------------------------

# The first match wins. The order matters, because many browsers also name other browsers in their user agent.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def agent_words(user_agent):
    """A readable form of a user agent: “Firefox on Windows”.

    An unknown user agent is returned as it is, cut to 60 characters; an empty one gives "".
    """
    browser = next((name for sign, name in BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in SYSTEMS if sign in user_agent), None)
    if user_agent.startswith("Mozilla/") and browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return user_agent if len(user_agent) <= 60 else f"{user_agent[:59]}…"
