"""What a client's message must not say, and the ``error`` message that refuses it.

These checks look at one message alone. Whether it comes at a time when it is allowed is decided in
``_conversation``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import UnsetType

from phonic_fsm._audio.formats import WireFormat
from phonic_fsm._wire import client, server
from phonic_fsm._wire.codec import MalformedMessage, UnknownMessage
from phonic_fsm._wire.config import BuiltInTool, ConfigOptions, InlineTool, ToolDefinition

from ._published import (
    BUILT_IN_TOOLS,
    CONFIG,
    MOST_ADDITIONAL_LANGUAGES,
    RESERVED_PARAMETERS,
    TOOL,
    Published,
)
from ._settings import tool_name

_MAX_CHUNK_MS = 40
_PATH = re.compile(r" - at `\$\.?(.*?)`$")
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")
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


def has_date(chunk: client.AudioChunk) -> bool:
    """Whether a chunk says in ``iso_date_time`` when it was spoken."""
    return isinstance(chunk.iso_date_time, str) and bool(_DATE_TIME.match(chunk.iso_date_time))


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
    errors: dict[str, str] = {}
    for field, rule in CONFIG.items():
        if problem := _violation(getattr(config, field), rule):
            errors[field] = problem
    errors |= _contradictions(config) | _tool_errors(config.tools or [])
    if isinstance(config.external_id, str):
        errors |= _id_errors(config.external_id)
    within_errors = {within + path: problem for path, problem in errors.items()}
    return _refuse_params("invalid_config", within_errors)


def refuse_tools(tools: list[ToolDefinition]) -> server.Error | None:
    """Refuse a list with an invalid tool, or with two tools of one name."""
    return _refuse_params("invalid_tools", _tool_errors(tools))


def refuse_external_id(external_id: str) -> server.Error | None:
    """Refuse an external id that is empty or all white space."""
    return _refuse_params("invalid_external_id", _id_errors(external_id))


def refuse_template(system_prompt: str) -> server.Error | None:
    """Refuse an ``update_system_prompt`` with a template variable."""
    if not (variable := _TEMPLATE.search(system_prompt)):
        return None
    problem = f"cannot contain template variables, such as {variable.group()}"
    return _refuse_params("invalid_system_prompt", {"system_prompt": problem})


def _violation(value: Any, rule: Published) -> str | None:
    """What is wrong with a field's value, by what is published about it."""
    if value is None or isinstance(value, UnsetType):
        return None
    values = value if isinstance(value, list) else [value]
    if rule.choices and not set(values) <= set(rule.choices):
        return f"must be one of {', '.join(rule.choices)}"
    if rule.least is not None and rule.most is not None and not rule.least <= value <= rule.most:
        return f"must be from {rule.least:g} to {rule.most:g}"
    return None


def _contradictions(config: ConfigOptions) -> dict[str, str]:
    """What the fields of a config say against one another."""
    errors = {}
    languages = config.additional_languages or []
    most = MOST_ADDITIONAL_LANGUAGES
    if (config.default_language or "en") in languages:
        errors["additional_languages"] = "must not include default_language"
    elif config.multilingual_mode == "auto" and len(languages) > most:
        errors["additional_languages"] = f"at most {most} are allowed in the mode auto"
    voices = config.additional_voice_ids or []
    if (config.voice_id or "sabrina") in voices or len(set(voices)) < len(voices):
        errors["additional_voice_ids"] = "must not include voice_id, nor one voice twice"
    if len(set(config.mcp_servers or ())) < len(config.mcp_servers or ()):
        errors["mcp_servers"] = "must be unique"
    words = [entry.get("word") for entry in config.pronunciation_dictionary or []]
    if len(set(words)) < len(words):
        errors["pronunciation_dictionary"] = "words must be unique"
    for field in ("no_input_poke_sec", "no_input_end_conversation_sec"):
        if isinstance(value := getattr(config, field), float) and not value.is_integer():
            errors[field] = "must be an integer"
    if config.external_storage_policy:
        retention = config.data_retention_policy or {}
        if retention.get("zero_data_retention") is not True or config.enable_redaction:
            errors["external_storage_policy"] = (
                "needs data_retention_policy.zero_data_retention, and no enable_redaction"
            )
    return errors


def _id_errors(external_id: str) -> dict[str, str]:
    return {} if external_id.strip() else {"external_id": "must not be empty"}


# -- tools ----------------------------------------------------------------------------------------


def _tool_errors(tools: list[ToolDefinition]) -> dict[str, str]:
    errors: dict[str, str] = {}
    names: set[str] = set()
    for index, tool in enumerate(tools):
        path = f"tools[{index}]"
        problems = _problems_of(tool)
        errors |= {f"{path}.{field}": problem for field, problem in problems.items()}
        if "tool_schema.function.name" in problems:
            continue
        name = tool_name(tool)
        if name in names:
            errors[path] = f"duplicate tool name {name!r}"
        names.add(name)
    return errors


def _problems_of(tool: ToolDefinition) -> dict[str, str]:
    """What is wrong with one tool, by the path within it."""
    match tool:
        case InlineTool():
            rules = TOOL.items()
            found = {field: _violation(getattr(tool, field), rule) for field, rule in rules}
            problems = {field: problem for field, problem in found.items() if problem}
            return problems | _function_problems(tool.tool_schema.get("function"))
        case BuiltInTool() if tool.name not in BUILT_IN_TOOLS:
            return {"name": f"must be one of {', '.join(BUILT_IN_TOOLS)}"}
    return {}


def _function_problems(function: object) -> dict[str, str]:
    within = "tool_schema.function"
    if not isinstance(function, dict):
        return {f"{within}.name": "missing, or not a string"}
    problems = {
        f"{within}.{field}": "missing, or not a string"
        for field in ("name", "description")
        if not isinstance(function.get(field), str)
    }
    if function.get("strict") is not True:
        problems[f"{within}.strict"] = "must be true: inline tools require strict function calling"
    parameters = function.get("parameters")
    if not isinstance(parameters, dict):
        return problems | {f"{within}.parameters": "missing, or not an object"}
    for name in RESERVED_PARAMETERS & _names(parameters.get("properties")):
        problems[f"{within}.parameters.properties.{name}"] = "is a reserved name"
    return problems | dict(_open_objects(parameters, f"{within}.parameters"))


def _open_objects(schema: object, path: str) -> Iterator[tuple[str, str]]:
    """The objects in a JSON schema that strict function calling does not take: those with optional
    properties, or with other properties than the declared ones."""
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    if isinstance(properties, dict) or schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            yield f"{path}.additionalProperties", "must be false"
        if optional := sorted(_names(properties) - _names(schema.get("required"))):
            yield f"{path}.required", f"must include {', '.join(optional)}"
    yield from _open_objects(schema.get("items"), f"{path}.items")
    for keyword in ("properties", "$defs", "anyOf"):
        inner = schema.get(keyword)
        if isinstance(inner, list):
            inner = dict(enumerate(inner))
        for name, inner_schema in inner.items() if isinstance(inner, dict) else ():
            yield from _open_objects(inner_schema, f"{path}.{keyword}.{name}")


def _names(value: object) -> set[str]:
    """The names in a JSON schema's ``properties`` or ``required``."""
    return (
        {name for name in value if isinstance(name, str)}
        if isinstance(value, (dict, list))
        else set()
    )


def _refuse_params(code: str, errors: dict[str, str]) -> server.Error | None:
    if not errors:
        return None
    return refuse(code, "; ".join(f"{path}: {what}" for path, what in errors.items()), errors)
