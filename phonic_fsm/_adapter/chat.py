"""LiveKit's chat items as the core's, and back."""

from __future__ import annotations

from livekit.agents import llm

from .._core.events import Addition, UpdateChatContext
from .._core.history import FunctionCall, FunctionCallOutput, Item, Message


def utf8(text: str) -> str:
    """The text with what UTF-8 cannot hold (half a surrogate pair) replaced by ``?``."""
    return text.encode("utf-8", "replace").decode()


def to_item(item: llm.ChatItem) -> Item | None:
    """The item as the core knows it; ``None`` for what holds no part of the conversation."""
    if isinstance(item, llm.ChatMessage):
        return Message(item.id, item.role, utf8(item.raw_text_content or ""), item.interrupted)
    if isinstance(item, llm.FunctionCall):
        return FunctionCall(item.id, item.call_id, item.name, utf8(item.arguments))
    if isinstance(item, llm.FunctionCallOutput):
        return FunctionCallOutput(
            item.id, item.call_id, item.name, utf8(item.output), item.reply_required
        )
    return None


def to_items(context: llm.ChatContext) -> tuple[Item, ...]:
    """The whole context."""
    return tuple(item for item in map(to_item, context.items) if item is not None)


def to_update(old: llm.ChatContext, new: llm.ChatContext) -> UpdateChatContext:
    """The difference between two contexts."""
    difference = llm.utils.compute_chat_ctx_diff(old, new)
    present = {item.id: item for item in new.items}
    added = tuple(
        Addition(after, item)
        for after, item_id in difference.to_create
        if (item := to_item(present[item_id])) is not None
    )
    changed = tuple(
        item for _, item_id in difference.to_update if (item := to_item(present[item_id]))
    )
    return UpdateChatContext(added, changed, tuple(difference.to_remove))


def to_chat_item(item: Item) -> llm.ChatItem:
    """An item of the core's as LiveKit's."""
    if isinstance(item, Message):
        return llm.ChatMessage(
            id=item.id, role=item.role, content=[item.text], interrupted=item.interrupted
        )
    if isinstance(item, FunctionCall):
        return llm.FunctionCall(
            id=item.id, call_id=item.call_id, name=item.name, arguments=item.arguments
        )
    return llm.FunctionCallOutput(
        id=item.id, call_id=item.call_id, name=item.name, output=item.output, is_error=False
    )
