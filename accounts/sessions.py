"""Sessions of browsers (the SESSION_ENGINE) and families of refresh tokens: listing what is logged in, and ending it.

A row holds a hash of its session's key, so reading the table signs nobody in. Ended means gone: the cookie opens
nothing at its next request.
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

from audit.log import record
from audit.models import Action
from config import context
from config.access import get_visible, is_uuid

from . import tokens
from .models import Session, User

logger = logging.getLogger(__name__)

# How exact `seen_at` is; more often would be a write for every page somebody looks at.
SEEN_EVERY = timedelta(minutes=5)
# A script may log in every minute of a week; a list shows the newest of them.
MOST_SHOWN = 50


def hash_of(session_key):
    """What the table knows of a session's key."""
    return hashlib.sha256(session_key.encode()).hexdigest()


class SessionStore(SessionBase):
    """Sessions as rows that know whose they are and where they were last seen."""

    def _row(self, session_key):
        return Session.objects.filter(key_hash=hash_of(session_key))

    def exists(self, session_key):
        """Whether a session has this key."""
        return self._row(session_key).exists()

    def load(self):
        """What the session holds; one that is unknown, ended or expired holds nothing and loses its key."""
        row = self._row(self.session_key).live().first()
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
                # Of several requests at once, one writes.
                Session.objects.filter(pk=row.pk, seen_at=row.seen_at).update(
                    seen_at=timezone.now(), address=facts.address, user_agent=facts.user_agent
                )
        except DatabaseError as error:
            # A full disk must not keep people from reading.
            logger.warning("A session's last use was not noted: %s", type(error).__name__)

    def create(self):
        """A fresh key with a row behind it."""
        while True:
            self._session_key = self._get_new_session_key()
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create=False):
        """Write what the session holds. Raises UpdateError for one that was ended meanwhile."""
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
        """Forget a session, this one unless told."""
        key = session_key or self.session_key
        if key:
            self._row(key).delete()

    @classmethod
    def clear_expired(cls):
        """Remove what has expired."""
        Session.objects.filter(expire_date__lt=timezone.now()).delete()


# --- What is logged in ------------------------------------------------------------------------------


def browsers_of(user):
    """The user's live sessions, the one last seen first; at most MOST_SHOWN."""
    return user.sessions.live().order_by("-seen_at", "-id")[:MOST_SHOWN]


def scripts_of(user):
    """The newest token of each of the user's living refresh families, the one last used first; at most MOST_SHOWN."""
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
    """End every session and refresh family of the user but the session with the key `keep`. Returns how many."""
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
    """End every session and refresh family of `user` (new password, account switched off), in silence: what
    brought it about is recorded."""
    user.sessions.all().delete()
    tokens.close_all_families(user)


# --- In plain words ---------------------------------------------------------------------------------

# The first that occurs counts: many browsers also claim to be others.
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
    """A browser's own word for itself, made readable: “Firefox on Windows”; what we do not know stays as it came, cut
    short. "" when it said nothing."""
    browser = next((name for sign, name in BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in SYSTEMS if sign in user_agent), None)
    if user_agent.startswith("Mozilla/") and browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return user_agent if len(user_agent) <= 60 else f"{user_agent[:59]}…"
