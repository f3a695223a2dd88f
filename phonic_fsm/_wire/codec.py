"""Frames to messages and back. A text frame holds one JSON object.

``audio`` goes from base64 straight to bytes and back, with no string in between. Decoding never
raises: a frame that is not a known, well-formed message becomes a value that says so.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar, Union, get_args

import msgspec
from msgspec import Struct, structs

from . import server
from .client import ClientMessage
from .facts import Public, StepKind
from .server import ServerMessage

DEEPEST = 100
"""How deep a message may be nested. A deeper one could be read, but not passed on."""


class UnknownMessage(Struct, frozen=True, tag="unknown_message", tag_field="type"):
    """A message of a type that is not known here. Phonic adds types without notice."""

    step_kind: ClassVar[StepKind] = "error"
    message_type: Public[str]


class MalformedMessage(Struct, frozen=True, tag="malformed_message", tag_field="type"):
    """A frame that is no JSON object, or not the message that its type says."""

    step_kind: ClassVar[StepKind] = "error"
    message_type: Public[str | None]
    problem: Public[str]
    """What is wrong, and the path to the bad value, such as ``$.text``."""


Undecodable = Union[UnknownMessage, MalformedMessage]


class _Envelope(Struct):
    type: str


_envelope = msgspec.json.Decoder(_Envelope)

M = TypeVar("M")


class _Decoder(Generic[M]):
    """Reads the frames of one direction."""

    def __init__(self, union: Any) -> None:
        self._decode = msgspec.json.Decoder(union).decode
        self._known = {member.__struct_config__.tag for member in get_args(union)}

    def __call__(self, frame: bytes | bytearray | str) -> M | UnknownMessage | MalformedMessage:
        try:
            message: M = self._decode(frame)
            refuse_too_deep(frame, DEEPEST)
            return message
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            problem = str(error)
        try:
            message_type = _envelope.decode(frame).type
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return MalformedMessage(None, problem)
        if message_type in self._known:
            return MalformedMessage(message_type, problem)
        return UnknownMessage(message_type)


def refuse_too_deep(frame: bytes | bytearray | str, levels: int) -> None:
    """Raise ``msgspec.ValidationError`` if JSON is nested more levels deep than these."""
    data = frame.encode() if isinstance(frame, str) else frame
    # Counting is all that an ordinary frame costs.
    if data.count(b"{") + data.count(b"[") <= levels:
        return
    level: list[Any] = [msgspec.json.decode(data)]
    for _ in range(levels + 1):
        level = [
            value
            for container in level
            if isinstance(container, dict | list)
            for value in (container.values() if isinstance(container, dict) else container)
        ]
    if level:
        raise msgspec.ValidationError(f"Nested more than {levels} levels deep - at `$`")


_decode_server: _Decoder[ServerMessage] = _Decoder(ServerMessage)


def decode_server(frame: bytes | bytearray | str) -> ServerMessage | Undecodable:
    """Decode a frame from the server.

    What the machine has to know of a complaint's text becomes a field, since the text is private
    and a trace may lack it.
    """
    message = _decode_server(frame)
    if isinstance(message, (server.Error, server.Warning)):
        named = b"update_system_prompt" in encode(message)
        return structs.replace(message, names="update_system_prompt" if named else None)
    return message


decode_client: _Decoder[ClientMessage] = _Decoder(ClientMessage)
"""Decodes a frame from the client, for the simulator."""

encode = msgspec.json.Encoder().encode
"""Encodes a message of either side as the bytes of a text frame."""
