"""Writing the log."""

import hashlib
from contextlib import suppress

from django.core.cache import cache
from django.db import models
from redis.exceptions import RedisError

from config import context

from . import chain
from .models import Event

REPEAT_SECONDS = 60


def record(action, *, user=None, email="", target=None, folder=None, size_bytes=None, **detail):
    """Append one Event in the caller's transaction, with address, agent and id of the current request.

    `user` is who did it (None for the portal itself or somebody unknown, whose claimed `email` may
    be given); `target` a saved row of any model; `folder` a Folder; `detail` JSON values that hold
    no secret.
    """
    event = _event(action, user, email, target, folder, size_bytes, detail)
    event.save(force_insert=True)
    chain.seal_after_commit()
    return event


def record_seldom(action, *, about, code, **facts):
    """record() a refusal of `about` (a text) with `code`, but for one client only once in REPEAT_SECONDS.

    Whoever asks without end for what is over shall not fill the log. Without a cache each of them is written.
    """
    key = f"recorded-{action}-{about}-{code}-{context.current().address}"
    with suppress(RedisError):
        if not cache.add(hashlib.sha256(key.encode()).hexdigest(), True, REPEAT_SECONDS):
            return
    record(action, code=code, **facts)


def record_many(action, *, user, targets, **detail):
    """Append one Event for each (target, folder, size_bytes) of `targets`, in a few inserts."""
    Event.objects.bulk_create(
        [_event(action, user, "", target, folder, size_bytes, detail) for target, folder, size_bytes in targets],
        batch_size=500,
    )
    chain.seal_after_commit()


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
        detail=_storable(detail),
        address=facts.address,
        user_agent=facts.user_agent,
        request_id=facts.request_id,
    )


def _text(target):
    return "" if target is None else context.printable(str(target))


def _storable(value):
    """`detail` as both databases keep it and give it back: no NUL, no half characters; a float becomes its text."""
    if isinstance(value, dict):
        return {_storable(str(name)): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    if isinstance(value, float):
        return str(value)
    if isinstance(value, str):
        return value.replace("\x00", "�").encode("utf-8", "replace").decode()
    return value
