"""What a client's message must not say, and the ``error`` message that refuses it.

These checks look at one message alone. Whether it comes at a time when it is allowed is decided in
``_conversation``.
"""

from __future__ import annotations

import re

from phonic_fsm._audio.formats import WireFormat
from phonic_fsm._wire import server
from phonic_fsm._wire.codec import MalformedMessage, UnknownMessage
from phonic_fsm._wire.config import ConfigOptions, InlineTool, ToolDefinition

from ._settings import tool_name

_MAX_CHUNK_MS = 40
_PATH = re.compile(r" - at `\$\.?(.*?)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")


def refuse(code: str, message: str, param_errors: dict[str, str] | None = None) -> server.Error:
    """An ``error`` message; ``param_errors`` maps a field's path to what is wrong with it."""
    return server.Error(server.Problem(message, code), param_errors)


def refuse_undecodable(message: UnknownMessage | MalformedMessage) -> server.Error:
    """The answer to a frame that is no valid message, with the field that is wrong, if any."""
    if isinstance(message, UnknownMessage):
        name = message.message_type
        return refuse("unknown_message_type", f"unknown message type {name!r}", {"type": "unknown"})
    problem = _PATH.sub("", message.problem)
    path = match.group(1) if (match := _PATH.search(message.problem)) else ""
    if missing := _MISSING.search(problem):
        path = f"{path}.{missing.group(1)}".lstrip(".")
    subject = message.message_type or "frame"
    where = f" at {path}" if path else ""
    errors = {path: problem} if path else None
    return refuse("invalid_message", f"invalid {subject}{where}: {problem}", errors)


def refuse_audio(audio: bytes, wire_format: WireFormat) -> server.Error | None:
    """Refuse a chunk that is too long or ends within a sample; None if it is valid."""
    longest = wire_format.bytes_per_second * _MAX_CHUNK_MS // 1000
    if len(audio) % wire_format.sample_bytes:
        problem = f"{len(audio)} bytes are not a whole number of 16-bit samples"
    elif len(audio) > longest:
        duration_ms = len(audio) * 1000 / wire_format.bytes_per_second
        problem = f"{duration_ms:g} ms of audio, more than {_MAX_CHUNK_MS} ms"
    else:
        return None
    return refuse("invalid_audio", f"invalid audio_chunk: {problem}", {"audio": problem})


class AudioPace:
    """Measures how fast audio comes. It allows three times its pace, and a burst of 3 s."""

    _FASTEST = 3.0

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._at = 0.0

    def refuse(self, seconds: float, now: float) -> server.Error | None:
        """Refuse this many seconds of audio at ``now`` (s) if they come too fast."""
        drained = (now - self._at) * self._FASTEST
        self._ahead_s, self._at = max(0.0, self._ahead_s - drained) + seconds, now
        if self._ahead_s <= self._FASTEST:
            return None
        self._ahead_s -= seconds
        problem = f"audio comes at more than {self._FASTEST:g} times its pace"
        return refuse("audio_too_fast", f"invalid audio_chunk: {problem}", {"audio": problem})


def refuse_config(config: ConfigOptions, *, within: str = "") -> server.Error | None:
    """Refuse a config with invalid fields; ``within`` goes before each field's path."""
    errors = _tool_errors(config.tools or [], within)
    if isinstance(config.external_id, str):
        errors |= _id_errors(config.external_id, within)
    return _refuse_params("invalid_config", errors)


def refuse_tools(tools: list[ToolDefinition]) -> server.Error | None:
    """Refuse a list with a tool that has no name, or with two tools of one name."""
    return _refuse_params("invalid_tools", _tool_errors(tools, ""))


def refuse_external_id(external_id: str) -> server.Error | None:
    """Refuse an external id that is empty or all white space."""
    return _refuse_params("invalid_external_id", _id_errors(external_id, ""))


def _id_errors(external_id: str, within: str) -> dict[str, str]:
    return {} if external_id.strip() else {f"{within}external_id": "must not be empty"}


def _tool_errors(tools: list[ToolDefinition], within: str) -> dict[str, str]:
    errors = {}
    names: set[str] = set()
    for index, tool in enumerate(tools):
        path = f"{within}tools[{index}]"
        if isinstance(tool, InlineTool):
            function = tool.tool_schema.get("function")
            if not isinstance(function, dict) or not isinstance(function.get("name"), str):
                errors[f"{path}.tool_schema.function.name"] = "missing, or not a string"
                continue
        name = tool_name(tool)
        if name in names:
            errors[path] = f"duplicate tool name {name!r}"
        names.add(name)
    return errors


def _refuse_params(code: str, errors: dict[str, str]) -> server.Error | None:
    if not errors:
        return None
    return refuse(code, "; ".join(f"{path}: {what}" for path, what in errors.items()), errors)
