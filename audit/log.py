"""Writing the log."""

from django.db import models

from config import context

from .models import Event


def record(action, *, user=None, email="", target=None, folder=None, size_bytes=None, **detail):
    """Append one Event in the caller's transaction, with address, agent and id of the current request.

    `user` is who did it (None for the portal itself or somebody unknown, whose claimed `email` may
    be given); `target` a saved row of any model; `folder` a Folder; `detail` JSON values that hold
    no secret.
    """
    event = _event(action, user, email, target, folder, size_bytes, detail)
    event.save(force_insert=True)
    return event


def record_many(action, *, user, targets, **detail):
    """Append one Event for each (target, folder, size_bytes) of `targets`, in a few inserts."""
    Event.objects.bulk_create(
        [_event(action, user, "", target, folder, size_bytes, detail) for target, folder, size_bytes in targets],
        batch_size=500,
    )


def _event(action, user, email, target, folder, size_bytes, detail):
    facts = context.current()
    known = user is not None and user.pk is not None
    return Event(
        action=action,
        actor=user if known else None,
        actor_email=(user.email if known else email.strip().lower())[:254],
        target_type=target._meta.model_name if isinstance(target, models.Model) else "",
        target_id=str(target.pk) if target is not None else "",
        target_name=_text(target)[:255],
        folder_slug=folder.slug if folder is not None else "",
        size_bytes=size_bytes,
        detail=detail,
        address=facts.address,
        user_agent=_printable(facts.user_agent),
        request_id=facts.request_id,
    )


def _text(target):
    return "" if target is None else _printable(str(target))


def _printable(text):
    """Without control characters, which neither PostgreSQL nor a log reader wants."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
