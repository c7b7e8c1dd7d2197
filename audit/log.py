"""Writes the log."""

import hashlib
from contextlib import suppress

from django.core.cache import cache
from django.db import models
from redis.exceptions import RedisError

from config import context

from . import chain
from .actions import ACTIONS
from .models import Event

REPEAT_SECONDS = 60


def record(action, *, user=None, email="", target=None, folder=None, subfolder=None, size_bytes=None, **detail):
    """Append one Event in the caller's transaction, with address, agent and id of the current request.

    `user` is the user who acted. It is None for the portal itself or for an unknown user, whose claimed `email` may be
    given. `target` is a saved row of any model, `folder` a Folder, `detail` JSON values without secrets. `subfolder`
    is that of the target, unless another is given. Raises LookupError for an action that no app has registered.
    """
    event = _event(action, user, email, target, folder, size_bytes, detail, subfolder)
    event.save(force_insert=True)
    chain.seal_after_commit()
    return event


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
    Event.objects.bulk_create(
        [_event(action, user, "", target, folder, size_bytes, detail) for target, folder, size_bytes in targets],
        batch_size=500,
    )
    chain.seal_after_commit()


def _event(action, user, email, target, folder, size_bytes, detail, subfolder=None):
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
