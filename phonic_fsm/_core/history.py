"""What was said in a session, in order, as plain values.

A reset and a fresh conversation carry it. The session's chat context, LiveKit's view of it, has the
items that are here in the order that they have here.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import takewhile
from typing import Literal, Union

from msgspec import Struct, structs

from .._wire.facts import Compared, Id, Private, PrivateJson, Public

Role = Literal["system", "developer", "user", "assistant"]


class Message(Struct, frozen=True, tag="message", tag_field="type"):
    id: Id[str]
    role: Role
    text: Compared[str]
    interrupted: bool = False


class FunctionCall(Struct, frozen=True, tag="function_call", tag_field="type"):
    id: Id[str]
    call_id: Id[str]
    name: Public[str]
    arguments: PrivateJson[str]
    """A JSON object, as text."""


class FunctionCallOutput(Struct, frozen=True, tag="function_call_output", tag_field="type"):
    id: Id[str]
    call_id: Id[str]
    name: Public[str]
    output: Private[str]
    reply_required: bool = True
    """Whether the assistant should speak about it."""
    is_error: bool = False
    """Whether the tool has failed, or nobody knows if it has done its work."""


class OtherItem(Struct, frozen=True, tag="other_item", tag_field="type"):
    """An item of LiveKit's in which nothing was said, such as a handoff. It keeps its place."""

    id: Id[str]
    kind: Public[str]
    """LiveKit's name for the type of item."""


Item = Union[Message, OtherItem, FunctionCall, FunctionCallOutput]


class History:
    """Items in order, found by id."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def awaits_answer(self, typed: Container[str] = ()) -> bool:
        """Whether it is the assistant's turn: it was asked something, or was interrupted.

        What was only ``typed`` (ids) asks for nothing by itself.
        """
        last = self._last(typed)
        if isinstance(last, Message):
            return last.role == "user" or (last.role == "assistant" and last.interrupted)
        return isinstance(last, FunctionCallOutput) and last.reply_required

    def last_output(self) -> FunctionCallOutput | None:
        """The output of a tool, if it is the last item: nothing was said about it yet."""
        last = self._last()
        return last if isinstance(last, FunctionCallOutput) else None

    def _last(self, typed: Container[str] = ()) -> Item | None:
        items = reversed(self._items.values())
        return next((i for i in items if not isinstance(i, OtherItem) and i.id not in typed), None)

    def unanswered(self) -> list[FunctionCall]:
        """The calls whose output is not here, the oldest first."""
        calls = {i.call_id: i for i in self._items.values() if isinstance(i, FunctionCall)}
        for item in self._items.values():
            if isinstance(item, FunctionCallOutput):
                calls.pop(item.call_id, None)
        return list(calls.values())

    def before(self, item_id: str) -> str | None:
        """The id of the item in front of this one; of the last item, for one that is not here."""
        ids = reversed(self._items)
        if item_id in self._items:
            while next(ids) != item_id:
                pass
        return next(ids, None)

    @property
    def last_id(self) -> str | None:
        """The id of the last item."""
        return next(reversed(self._items), None)

    def place(self, after: str | None, item: Item) -> None:
        """Put an item behind another one: first for an empty id, last for ``None``."""
        if after is None:
            self.add(item)
        else:
            self.insert(after or None, item)

    def add(self, item: Item) -> None:
        """Put an item at the end, or in the place of the item with the same id."""
        self._items[item.id] = item

    def insert(self, after: str | None, item: Item) -> None:
        """Put an item behind another one: first for ``None``, last if the other one is not here."""
        if after is None:
            self._items = {item.id: item, **self._items}
        elif after not in self._items or next(reversed(self._items)) == after:
            self.add(item)
        else:
            reordered: dict[str, Item] = {}
            for item_id, present in self._items.items():
                reordered[item_id] = present
                if item_id == after:
                    reordered[item.id] = item
            self._items = reordered

    def precedes(self, item_id: str, other_id: str) -> bool:
        """Whether an item stands before another one, which is here. An empty id comes first."""
        return not item_id or item_id in takewhile(other_id.__ne__, self._items)

    def remove(self, item_id: str) -> None:
        self._items.pop(item_id, None)

    def replace(self, items: tuple[Item, ...]) -> None:
        self._items = {item.id: item for item in items}

    def correct(self, message_id: str, text: str) -> None:
        """Keep only what was spoken of an interrupted message."""
        message = self._items.get(message_id)
        if isinstance(message, Message):
            self._items[message_id] = structs.replace(message, text=text, interrupted=True)
