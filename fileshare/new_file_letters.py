"""The e-mail that tells somebody of new files in a folder: the files of some minutes in one letter.

The letter waits in the outbox. What it names is read when it is sent: the files of which its reader was notified since
the letter before, without those they have downloaded meanwhile.
"""

from datetime import datetime, timedelta

from django.db.models import Min
from django.utils import timezone

from accounts.models import Notification, OutgoingMail, User
from accounts.notices import kinds, mail, preferences
from audit.models import Event
from fileshare.contributions.actions import Action

from .models import File, Folder

KIND, LETTER = "folder_upload", "new_files"
# A letter waits until nobody has put a file there for QUIET, but no longer than PATIENCE.
QUIET = timedelta(minutes=3)
PATIENCE = timedelta(minutes=30)
# The letters about one folder to one person are at least this far apart.
APART = timedelta(hours=1)
MOST_NAMES = 20
MOST_FILES = 1000


def wait_for(folder, since_of):
    """Store a letter about `folder` for each user of `since_of`, unless one waits already.

    `since_of` is {User: the time up to which they knew the folder's files}. Only users who want such mail at once get
    one. The caller has written their notices in this transaction, which this must be part of.
    """
    wishes = preferences.of_many([user.pk for user in since_of], KIND)
    wanting = {user.email: user for user in since_of if wishes[user.pk] == kinds.NOW and user.is_active}
    # Lock the letters. A worker that sends one now waits, and then names the new files too; one that it has claimed
    # already may have read the notices of before, so that does not count.
    waiting = OutgoingMail.objects.filter(letter=LETTER, to__in=wanting, sent_at=None, failed_at=None, tries=0)
    there = {row.to for row in waiting.order_by("pk").select_for_update() if row.context["folder_id"] == str(folder.pk)}
    now = timezone.now()
    lately = OutgoingMail.objects.filter(letter=LETTER, to__in=wanting, sent_at__gt=now - APART)
    had_one = {row.to for row in lately if row.context["folder_id"] == str(folder.pk)}
    for wait, people in ((QUIET, wanting.keys() - there - had_one), (APART, had_one - there)):
        letters = [(email, wanting[email].language, _context(wanting[email], folder, since_of)) for email in people]
        if letters:
            mail.post_many(LETTER, letters, due=now + wait)


def _context(user, folder, since_of):
    return {"user_id": str(user.pk), "to": user.email, "folder_id": str(folder.pk), "since": since_of[user]}


def letter_context(stored):
    """The context of the letter at the time it is sent; None when there is nothing to tell: then it is not sent.

    Raises mail.NotYet while more files keep coming.
    """
    user = User.objects.filter(pk=stored["user_id"], is_active=True, email_verified_at__isnull=False).first()
    folder = Folder.objects.filter(pk=stored["folder_id"]).first()
    if user is None or folder is None or user.email != stored["to"]:
        return None
    if preferences.of_many([user.pk], KIND)[user.pk] != kinds.NOW:
        return None
    notice = Notification.objects.filter(user=user, type=KIND, about=str(folder.pk)).order_by("-created_at").first()
    if notice is None:
        return None
    since, until = datetime.fromisoformat(stored["since"]), datetime.fromisoformat(notice.payload["until"])
    new = File.objects.downloadable_by(user).filter(folder=folder).exclude(uploaded_by=user)
    rows = new.come_between(since, until)
    files = list(rows.select_related("uploaded_by").order_by("-came_at", "-pk")[:MOST_FILES])
    now = timezone.now()
    if (
        files
        and files[0].came_at > now - QUIET
        and rows.order_by().aggregate(Min("came_at"))["came_at__min"] > now - PATIENCE
    ):
        raise mail.NotYet
    fetched = Event.objects.filter(
        target_id__in=[str(file.pk) for file in files], action=Action.DOWNLOAD, actor=user, created_at__gte=since
    ).order_by()
    known = set(fetched.values_list("target_id", flat=True))
    files = [file for file in files if str(file.pk) not in known]
    if not files:
        return None
    senders = {file.uploaded_by.get_full_name(): None for file in files if file.uploaded_by is not None}
    return preferences.letter_context(user, {"kind": KIND}) | {
        "user": user,
        "folder": folder,
        "senders": list(senders)[:3],
        "names": [file.filename for file in files[:MOST_NAMES]],
        "more": max(0, len(files) - MOST_NAMES),
        "count": len(files),
    }
