"""Frames to messages and back. A text frame holds one JSON object.

``audio`` goes from base64 straight to bytes and back, with no string in between. Decoding never
raises: a frame that is not a known, well-formed message becomes a value that says so.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any, ClassVar, Generic, TypeVar, Union, get_args

import msgspec
from msgspec import Struct, structs

from . import server
from .bounds import Bound
from .client import ClientMessage
from .facts import Public, StepKind
from .server import ServerMessage

DEEPEST = 100
"""How deep a message may be nested. A deeper one could be read, but not passed on."""

MOST_VALUES = 20_000
"""The most values in one message. To make more of them takes Python so long that every other call
of the process would have to wait."""

LONG_NUMBER = 30
"""Characters. Of a longer number each one counts as a value: whole numbers take time by the square
of their length."""

EXTREME_NUMBER = 20
"""A number with an exponent of three digits counts as so many values: it takes as long to read."""

LONGEST_TYPE = 100
"""Characters of the name of an unknown type of message. The rest is cut off."""

LONGEST_PROBLEM = 500
"""Characters of what is wrong with a message. The rest is cut off."""

CUT = "… (cut; it has"
"""Where a text was cut, this follows. Before it, the beginning of a secret may stand."""


def cut(text: str, longest: int) -> str:
    """The text, with what it has more than so many characters cut off."""
    return text if len(text) <= longest else f"{text[:longest]}{CUT} {len(text):,} characters)"


class UnknownMessage(Struct, frozen=True, tag="unknown_message", tag_field="type"):
    """A message of a type that is not known here. Phonic adds types without notice."""

    step_kind: ClassVar[StepKind] = "error"
    message_type: Public[str]


class MalformedMessage(
    Struct, frozen=True, tag="malformed_message", tag_field="type", omit_defaults=True
):
    """A frame that is no JSON object, or not the message that its type says."""

    step_kind: ClassVar[StepKind] = "error"
    message_type: Public[str | None]
    problem: Public[str]
    """What is wrong, and the path to the bad value, such as ``$.text``."""
    bound: Bound | None = None
    """The bound that it is beyond, if that is what is wrong."""


class TooMuch(msgspec.ValidationError):
    """JSON has more values, or is nested deeper, than what is read here."""


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
            refuse_too_much(frame, DEEPEST)
            message: M = self._decode(frame)
            return message
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            problem = cut(str(error), LONGEST_PROBLEM)
            bound: Bound | None = "message_values" if isinstance(error, TooMuch) else None
        try:
            message_type = _envelope.decode(frame).type
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return MalformedMessage(None, problem, bound)
        if message_type in self._known:
            return MalformedMessage(message_type, problem, bound)
        return UnknownMessage(cut(message_type, LONGEST_TYPE))


_STEPS = [0] * 256
"""By how much each byte changes the depth."""
for _bracket, _step in zip(b"{[]}", (1, 1, -1, -1), strict=True):
    _STEPS[_bracket] = _step

_NO_BRACKETS = bytes(byte for byte in range(256) if not _STEPS[byte])
_NO_NUMBERS = bytes(byte for byte in range(256) if byte not in b"-+.,0123456789eE")
_EXTREME = re.compile(rb"[eE][-+]?\d{3}")


def refuse_too_much(
    frame: bytes | bytearray | str, levels: int, most_values: int = MOST_VALUES
) -> None:
    """Refuse JSON that is nested more levels deep, or has more values. Nothing is decoded for it.

    Raises:
        TooMuch: as the decoder does, a ``ValidationError``. Its message says which of the two it
            is.
    """
    data = frame.encode() if isinstance(frame, str) else frame
    # To count is all that an ordinary frame costs. A value takes two bytes at least, and an extreme
    # number six.
    if len(data) <= most_values and data.count(b"{") + data.count(b"[") <= levels:
        return
    # Without what is escaped, every second piece between quotes is outside of all texts.
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    if unescaped.count(b'"') > 4 * most_values:  # two at each text, and two texts at each field
        raise _too_many(most_values)
    outside = b"".join(unescaped.split(b'"')[::2])
    if outside.count(b",") + outside.count(b"{") + outside.count(b"[") > most_values:
        raise _too_many(most_values)
    numbers = map(len, outside.translate(None, _NO_NUMBERS).split(b","))
    weight = sum(length for length in numbers if length > LONG_NUMBER)
    if weight + EXTREME_NUMBER * len(_EXTREME.findall(outside)) > most_values:
        raise _too_many(most_values)
    brackets = outside.translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > levels:
        raise TooMuch(f"Nested more than {levels} levels deep - at `$`")


def _too_many(most_values: int) -> TooMuch:
    return TooMuch(f"More than {most_values} values - at `$`")


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
