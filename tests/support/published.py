"""Holds messages against what Phonic publishes about them, so that a drift shows by itself.

``phonic_published.json`` has the facts, ``FIELDS`` and ``MESSAGES`` what the SDK knows beyond them,
by name. A field that neither has is as wrong as a value of another type.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Literal

import msgspec
from jsonschema import Draft202012Validator
from websockets.asyncio.server import ServerConnection

from phonic_fsm._runtime.endpoint import CLIENT
from phonic_fsm.simulator._server import SERVER

Side = Literal["client", "server"]

FACTS: dict[str, Any] = msgspec.json.decode(
    Path(__file__).with_name("phonic_published.json").read_bytes()
)

STRING = {"type": "string"}
BOOLEAN = {"type": "boolean"}
NULLABLE_STRING = {"type": ["string", "null"]}

MESSAGES: dict[Side, dict[str, Any]] = {
    "server": {
        "interrupted_response": {"properties": {"text": STRING}, "required": ["text"]},
        "conversation_reconnected": {"properties": {}},
    },
    "client": {},
}
"""Messages that the SDK has and the published description lacks."""

FIELDS: dict[str, dict[str, Any]] = {
    "ConfigOptions": {
        "additional_voice_ids": {"type": "array", "items": STRING},
        "enable_watermarking": BOOLEAN,
        "external_id": NULLABLE_STRING,
        "external_storage_policy": NULLABLE_STRING,
        "phonic_model": STRING,
    },
    "InlineWebSocketTool": {
        "can_run_during_user_speech": BOOLEAN,
        "forbid_tool_call_after_speech": BOOLEAN,
        "uninterruptible": BOOLEAN,
    },
    "generate_reply": {"user_message": NULLABLE_STRING},
    "tool_call_output_processed": {"conversation_item_role": {"enum": ["assistant", "user"]}},
}
"""Fields that the SDK has and the published description lacks, by message or definition."""

DEFINITIONS: dict[str, Any] = {
    "BuiltInToolDefinitionName": {
        "enum": [
            "keypad_input",
            "natural_conversation_ending",
            "choose_not_to_respond",
            "web_search",
        ]
    },
    "BuiltInToolConfig": {
        "anyOf": [
            FACTS["$defs"]["BuiltInToolConfig"],
            {"properties": {"respond_after_sec": {"type": ["number", "null"]}}},
        ]
    },
}
"""Definitions that are wider in the SDK than in the published description."""

NULLS = {"generate_welcome_message", "project"}
"""Fields of a config that are sent as null where an option is None, as the plugin allows: the SDK
has them as optional, the published description does not have null."""


def _closed(schema: Any) -> Any:
    """A schema in which an object has no other properties than the ones that are named."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and "additionalProperties" not in closed:
        closed["additionalProperties"] = False
    return closed


def _validators(side: Side) -> dict[str, Draft202012Validator]:
    definitions = copy.deepcopy(FACTS["$defs"] | DEFINITIONS)
    options = definitions["ConfigOptions"]["properties"]
    options |= {name: {"anyOf": [options[name], {"type": "null"}]} for name in NULLS}
    messages = copy.deepcopy(FACTS[side]) | MESSAGES[side]
    if messages.get("config"):
        messages["config"] = copy.deepcopy(definitions["ConfigOptions"])
        messages["config"]["properties"].update(FIELDS["ConfigOptions"])
    for name, schema in (definitions | messages).items():
        schema.get("properties", {}).update(FIELDS.get(name, {}))
    for name, schema in messages.items():
        schema["properties"]["type"] = {"const": name}
    definitions = _closed(definitions)
    return {
        name: Draft202012Validator({**_closed(schema), "$defs": definitions})
        for name, schema in messages.items()
    }


VALIDATORS = {side: _validators(side) for side in ("client", "server")}


def problems(side: Side, frame: str | bytes) -> list[str]:
    """What is wrong with a message of ``side``, each problem with the path of the value."""
    message = msgspec.json.decode(frame)
    kind = message.get("type")
    validator = VALIDATORS[side].get(kind)
    if validator is None:
        return [f"{side}: no message is named {kind!r}"]
    return [
        f"{side}: {kind}.{'.'.join(map(str, error.path))}: {error.message}"
        for error in validator.iter_errors(message)
    ]


class Watch:
    """Checks what passes over the sockets of simulators and scripted servers of this process."""

    def __init__(self) -> None:
        self.found: dict[str, None] = {}
        """What was wrong since ``take`` was last called, each thing once."""
        self.checked = 0
        self._good_audio: set[tuple[Any, ...]] = set()

    def take(self) -> list[str]:
        found, self.found = list(self.found), {}
        return found

    def check(self, side: Side, frame: str | bytes) -> None:
        self.checked += 1
        # Audio is most of all messages: of those that are alike in form one is checked.
        form: tuple[Any, ...] | None = None
        if (message := _audio(frame)) is not None:
            form = (side, *((name, type(value)) for name, value in message.items()))
            if form in self._good_audio:
                return
        found = problems(side, frame)
        self.found |= dict.fromkeys(found)
        if form and not found:
            self._good_audio.add(form)

    def install(self) -> None:
        """See all that a server receives of our client, and all that a simulator sends."""
        recv, send = ServerConnection.recv, ServerConnection.send

        async def watched_recv(connection: ServerConnection, decode: bool | None = None) -> Any:
            frame = await recv(connection, decode)
            request = connection.request
            if request is not None and request.headers.get("User-Agent") == CLIENT:
                self.check("client", frame)
            return frame

        async def watched_send(
            connection: ServerConnection, message: Any, text: bool | None = None
        ) -> None:
            response = connection.response
            if response is not None and response.headers.get("Server") == SERVER:
                self.check("server", message)
            await send(connection, message, text=text)

        ServerConnection.recv = watched_recv  # type: ignore[method-assign,assignment]
        ServerConnection.send = watched_send  # type: ignore[method-assign,assignment]


def _audio(frame: str | bytes) -> dict[str, Any] | None:
    message = msgspec.json.decode(frame)
    is_audio = isinstance(message, dict) and message.get("type") == "audio_chunk"
    return message if is_audio else None
