"""The log of folders and files, for scripts of a super."""

from audit.api import AllEvents
from audit.models import Event
from fileshare.contributions.actions import FILE_ACTIONS


class FileEvents(AllEvents):
    """What happened to files and folders."""

    events = Event.objects.of_actions(FILE_ACTIONS)
