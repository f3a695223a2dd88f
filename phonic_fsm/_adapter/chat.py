"""Translates LiveKit's chat items into the core's, and back; keeps a session's chat context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from livekit.agents import llm

from .._core import effects
from .._core.events import Addition, UpdateChatContext
from .._core.history import (
    FunctionCall,
    FunctionCallOutput,
    History,
    Item,
    Message,
    OtherItem,
)
from .sendable import sendable


def utf8(text: str) -> str:
    """The text, with ``?`` in place of what UTF-8 cannot encode (half of a surrogate pair)."""
    return text.encode("utf-8", "replace").decode()


class SessionChat:
    """A session's chat context, which follows from the machine's history.

    The history decides which items there are and in which order. This class keeps what LiveKit
    stores in an item beside the text, such as images and times. It carries out the effects that
    change the history, and tells LiveKit of new items.
    """

    def __init__(self, history: History, emit: Callable[..., None]) -> None:
        self._history = history
        self._emit = emit
        self._items: dict[str, llm.ChatItem] = {}

    def take_over(self, context: llm.ChatContext) -> None:
        """Keep the items of a new context. The history is about to be changed to it."""
        present = {id_: item for id_, item in self._items.items() if id_ in self._history}
        self._items = present | {item.id: item for item in context.items}

    def add(self, item: llm.ChatItem) -> None:
        """Keep an item that has been added to the history."""
        self._items[item.id] = item

    def tell(self, item: llm.ChatItem) -> None:
        """Tell LiveKit of an item: of where it is in the history, or that it comes last."""
        before = self._history.before(item.id)
        self._emit("remote_item_added", llm.RemoteItemAddedEvent(before, item))

    def context(self) -> llm.ChatContext:
        """The chat context as it is now."""
        kept = (self._items.get(item.id) for item in self._history)
        return llm.ChatContext([item for item in kept if item is not None])

    def performers(self) -> dict[type[Any], Callable[[Any], None]]:
        """The methods that carry out effects."""
        return {
            effects.AddItem: self._add,
            effects.RestoreItem: self._restore,
            effects.CorrectMessage: self._correct,
        }

    def _add(self, effect: effects.AddItem) -> None:
        item = to_chat_item(effect.item)
        # LiveKit has had an assistant's message announced when it began.
        if not (isinstance(item, llm.ChatMessage) and item.role == "assistant"):
            self.tell(item)
        self.add(item)

    def _restore(self, effect: effects.RestoreItem) -> None:
        item = self._items.get(effect.item.id) or to_chat_item(effect.item)
        self.tell(item)
        self.add(item)

    def _correct(self, effect: effects.CorrectMessage) -> None:
        """Cut a message down to the text that was spoken."""
        message = self._items.get(effect.id)
        if isinstance(message, llm.ChatMessage):
            message.content = [effect.text]
            message.interrupted = True


def restored(history: History, started: float, times: Mapping[str, float]) -> list[llm.ChatItem]:
    """The history of a former process as chat items.

    ``times`` (s after ``started``) has when most of them were added. LiveKit sorts by it.
    """
    items: list[llm.ChatItem] = []
    latest = 0.0
    for item in history:
        if isinstance(item, OtherItem):
            continue
        latest = max(latest, times.get(item.id, 0.0))
        made = to_chat_item(item)
        made.created_at = started + latest
        items.append(made)
    return items


def to_item(item: llm.ChatItem) -> Item:
    """A chat item of LiveKit's as an item of the core.

    Raises:
        ValueError: an id cannot be sent. (Text that cannot is changed: it would be lost otherwise.)
    """
    sendable(item.id, f"chat_ctx: the id {item.id}")
    if isinstance(item, (llm.FunctionCall, llm.FunctionCallOutput)):
        sendable(item.call_id, f"chat_ctx: the call_id {item.call_id}")
    if isinstance(item, llm.ChatMessage):
        return Message(item.id, item.role, utf8(item.raw_text_content or ""), item.interrupted)
    if isinstance(item, llm.FunctionCall):
        return FunctionCall(item.id, item.call_id, utf8(item.name), utf8(item.arguments))
    if isinstance(item, llm.FunctionCallOutput):
        return FunctionCallOutput(
            item.id,
            item.call_id,
            utf8(item.name),
            utf8(item.output),
            item.reply_required,
            item.is_error,
        )
    return OtherItem(item.id, item.type)


def to_items(context: llm.ChatContext) -> tuple[Item, ...]:
    """All items of a chat context, as items of the core."""
    return tuple(map(to_item, context.items))


def to_update(old: llm.ChatContext, new: llm.ChatContext) -> UpdateChatContext:
    """The difference between two chat contexts, as an event."""
    difference = llm.utils.compute_chat_ctx_diff(old, new)
    present = {item.id: item for item in new.items}
    added = tuple(
        Addition(after, to_item(present[item_id])) for after, item_id in difference.to_create
    )
    changed = tuple(to_item(present[item_id]) for _, item_id in difference.to_update)
    return UpdateChatContext(added, changed, tuple(difference.to_remove))


def to_chat_item(item: Message | FunctionCall | FunctionCallOutput) -> llm.ChatItem:
    """An item that the machine made, as a chat item of LiveKit's."""
    if isinstance(item, Message):
        return llm.ChatMessage(
            id=item.id, role=item.role, content=[item.text], interrupted=item.interrupted
        )
    if isinstance(item, FunctionCallOutput):
        return llm.FunctionCallOutput(
            id=item.id,
            call_id=item.call_id,
            name=item.name,
            output=item.output,
            is_error=item.is_error,
        )
    return llm.FunctionCall(
        id=item.id, call_id=item.call_id, name=item.name, arguments=item.arguments
    )
