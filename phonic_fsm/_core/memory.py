"""A session's whole memory as JSON values, so that another machine can go on from it.

The settings are left out: they stand in the trace's header. So are the effects, which belong to a
step.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .context import Context, Settings
from .history import History, Item


def encode(context: Context) -> dict[str, Any]:
    """The memory as JSON values. The same memory is always the same JSON."""
    memory: dict[str, Any] = msgspec.to_builtins(context, enc_hook=_items)
    del memory["settings"], memory["effects"]
    memory["changes"].sort()
    return memory


def decode(memory: dict[str, Any], settings: Settings) -> Context:
    """The memory of a session with these settings.

    Raises:
        msgspec.ValidationError: it is no such memory.
    """
    whole = {**memory, "settings": msgspec.to_builtins(settings)}
    context = msgspec.convert(whole, Context, dec_hook=_history)
    context.settings = settings
    return context


def _items(value: Any) -> list[Item]:
    if isinstance(value, History):
        return list(value)
    raise NotImplementedError(type(value).__name__)


def _history(_: type, value: Any) -> History:
    history = History()
    history.replace(msgspec.convert(value, tuple[Item, ...]))
    return history
