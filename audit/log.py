"""Writes the log."""

import hashlib
from contextlib import suppress

from django.core.cache import cache
from django.db import models
from redis.exceptions import RedisError

from config import context
from config.outside.together import Together
from config.prepared import PreparedInsert

from . import chain
from .actions import ACTIONS
from .models import Event

REPEAT_SECONDS = 60
_ROW = PreparedInsert(Event, left_out=("seq", "prev_hash", "hash"))


def record(action, *, user=None, email="", target=None, folder=None, subfolder=None, size_bytes=None, **detail):
    """Append one Event in the caller's transaction, with address, agent and id of the current request.

    `user` is the user who acted. It is None for the portal itself or for an unknown user, whose claimed `email` may be
    given. `target` is a saved row of any model, `folder` a Folder, `detail` JSON values without secrets. `subfolder`
    is that of the target, unless another is given. Raises LookupError for an action that no app has registered.
    """
    event = event_of(
        action,
        user=user,
        email=email,
        target=target,
        folder=folder,
        subfolder=subfolder,
        size_bytes=size_bytes,
        **detail,
    )
    append([event])
    return event


def record_together(action, **facts):
    """record() of a request that writes nothing else: rows of requests at the same time are committed together."""
    _TOGETHER.add(event_of(action, **facts))


def record_seldom(action, *, about, code, **facts):
    """record() a refusal of `about` (a text) with `code`, but for each client only once in REPEAT_SECONDS.

    Otherwise a client that repeats a refused request could fill the log. Without a cache every refusal is written.
    """
    key = f"recorded-{action}-{about}-{code}-{context.current().address}"
    with suppress(RedisError):
        if not cache.add(hashlib.sha256(key.encode()).hexdigest(), True, REPEAT_SECONDS):
            return
    record(action, code=code, **facts)


def record_many(action, *, user, targets, **detail):
    """Append one Event for each (target, folder, size_bytes) of `targets`, in a few inserts."""
    append(
        [
            event_of(action, user=user, target=target, folder=folder, size_bytes=size_bytes, **detail)
            for target, folder, size_bytes in targets
        ]
    )


def append(events):
    """Append Events from event_of, a list, in the caller's transaction."""
    _ROW.insert(events)
    chain.seal_after_commit()


_TOGETHER = Together(append)


def event_of(action, *, user=None, email="", target=None, folder=None, subfolder=None, size_bytes=None, **detail):
    """The Event that `record` would append, unsaved."""
    if action not in ACTIONS:
        raise LookupError(f"The log knows no action {action!r}: its app hands it in (audit.actions.register).")
    facts = context.current()
    known = user is not None and user.pk is not None
    subfolder = subfolder or getattr(target, "subfolder", None)
    return Event(
        action=action,
        actor=user if known else None,
        actor_email=(user.email if known else email.strip().lower())[:254],
        target_type=target._meta.model_name if isinstance(target, models.Model) else "",
        target_id=str(target.pk) if target is not None else "",
        target_name=_text(target)[:255],
        folder_slug=folder.slug if folder is not None else "",
        subfolder_slug=subfolder.slug if subfolder is not None else "",
        size_bytes=size_bytes,
        detail=_storable(detail),
        address=facts.address,
        user_agent=facts.user_agent,
        request_id=facts.request_id,
    )


def _text(target):
    return "" if target is None else context.printable(str(target))


def _storable(value):
    """`detail` in a form that both databases return unchanged: no NUL, no lone surrogates, floats as text."""
    if isinstance(value, dict):
        return {_storable(str(name)): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    if isinstance(value, float):
        return str(value)
    if isinstance(value, str):
        return value.replace("\x00", "�").encode("utf-8", "replace").decode()
    return value
