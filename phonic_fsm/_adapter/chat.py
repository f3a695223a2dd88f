"""LiveKit's chat items as the core's, and back; and a session's chat context."""

from __future__ import annotations

from livekit.agents import llm

from .._core.events import Addition, UpdateChatContext
from .._core.history import (
    FunctionCall,
    FunctionCallOutput,
    History,
    Item,
    Message,
    OtherItem,
)


def utf8(text: str) -> str:
    """The text with what UTF-8 cannot hold (half a surrogate pair) replaced by ``?``."""
    return text.encode("utf-8", "replace").decode()


class SessionChat:
    """A session's chat context, as it follows from the machine's history.

    Which items there are, and in which order, is the history's matter. What LiveKit keeps in them
    beside what was said, such as images and times, is kept here.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._items: dict[str, llm.ChatItem] = {}

    def take_over(self, context: llm.ChatContext) -> None:
        """Keep the items of the context that the history is about to be changed to."""
        self._items = {item.id: item for item in context.items}

    def add(self, item: llm.ChatItem) -> None:
        """Keep an item that the history has got."""
        self._items[item.id] = item

    def correct(self, message_id: str, text: str) -> None:
        """Keep no more of a message than was spoken."""
        message = self._items.get(message_id)
        if isinstance(message, llm.ChatMessage):
            message.content = [text]
            message.interrupted = True

    def id_before(self, item_id: str) -> str | None:
        """The id of the item in front of this one, or of the last item, if this one is to come."""
        return self._history.before(item_id)

    def context(self) -> llm.ChatContext:
        """The chat context as it is now."""
        kept = (self._items.get(item.id) for item in self._history)
        return llm.ChatContext([item for item in kept if item is not None])


def to_item(item: llm.ChatItem) -> Item:
    """The item as the core knows it."""
    if isinstance(item, llm.ChatMessage):
        return Message(item.id, item.role, utf8(item.raw_text_content or ""), item.interrupted)
    if isinstance(item, llm.FunctionCall):
        return FunctionCall(item.id, item.call_id, item.name, utf8(item.arguments))
    if isinstance(item, llm.FunctionCallOutput):
        return FunctionCallOutput(
            item.id, item.call_id, item.name, utf8(item.output), item.reply_required
        )
    return OtherItem(item.id, item.type)


def to_items(context: llm.ChatContext) -> tuple[Item, ...]:
    """The whole context."""
    return tuple(map(to_item, context.items))


def to_update(old: llm.ChatContext, new: llm.ChatContext) -> UpdateChatContext:
    """The difference between two contexts."""
    difference = llm.utils.compute_chat_ctx_diff(old, new)
    present = {item.id: item for item in new.items}
    added = tuple(
        Addition(after, to_item(present[item_id])) for after, item_id in difference.to_create
    )
    changed = tuple(to_item(present[item_id]) for _, item_id in difference.to_update)
    return UpdateChatContext(added, changed, tuple(difference.to_remove))


def to_chat_item(item: Message | FunctionCall) -> llm.ChatItem:
    """An item that the machine made as LiveKit's."""
    if isinstance(item, Message):
        return llm.ChatMessage(
            id=item.id, role=item.role, content=[item.text], interrupted=item.interrupted
        )
    return llm.FunctionCall(
        id=item.id, call_id=item.call_id, name=item.name, arguments=item.arguments
    )
