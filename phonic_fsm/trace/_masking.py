"""Masks what a ``configuration_endpoint`` holds of secrets, in every trace and however short it is.

These are the values of its headers and of its URL's query. Where else a secret may stand, it is
looked for (``_runtime.secrets``).
"""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import structs

from .._core.context import Settings
from .._core.effects import Effect, KeepMemory, Send
from .._core.events import ConnectionClosed, Event, UpdateOptions
from .._core.machine import Step
from .._runtime.secrets import Secrets, query_fields
from .._wire.client import ClientMessage, Config, Reset
from .._wire.config import ConfigOptions

C = TypeVar("C", bound=ConfigOptions)


MASKED = frozenset((Send, KeepMemory))
"""The effects that may hold such values."""

_MASKED_EVENTS = frozenset((UpdateOptions, ConnectionClosed))


class Masking:
    """Masks one session's settings and steps."""

    def __init__(self, secrets: Secrets) -> None:
        self._mask = secrets.mask

    def settings(self, settings: Settings) -> Settings:
        return structs.replace(settings, config=self._config(settings.config))

    def step(self, step: Step) -> Step:
        # Asked of every step, most of which are chunks of audio.
        if type(step.event) not in _MASKED_EVENTS and not MASKED.intersection(
            map(type, step.effects)
        ):
            return step
        event = self._event(step.event)
        return Step(event, step.source, step.target, [self._effect(e) for e in step.effects])

    def _event(self, event: Event) -> Event:
        if isinstance(event, UpdateOptions):
            return structs.replace(event, config=self._config(event.config))
        if isinstance(event, ConnectionClosed) and event.unsent:
            return structs.replace(event, unsent=tuple(map(self._message, event.unsent)))
        return event

    def _effect(self, effect: Effect) -> Effect:
        if isinstance(effect, KeepMemory):
            return KeepMemory(self._memory(effect.memory))
        return Send(self._message(effect.message)) if isinstance(effect, Send) else effect

    def _memory(self, memory: dict[str, Any]) -> dict[str, Any]:
        config = msgspec.convert(memory["config"], ConfigOptions)
        held = msgspec.convert(memory["held"], list[ClientMessage])
        masked = {"config": self._config(config), "held": [*map(self._message, held)]}
        return {**memory, **msgspec.to_builtins(masked)}

    def _message(self, message: ClientMessage) -> ClientMessage:
        if isinstance(message, Config):
            return self._config(message)
        if isinstance(message, Reset):
            return Reset(self._config(message.config))
        return message

    def _config(self, config: C) -> C:
        endpoint = config.configuration_endpoint
        if not isinstance(endpoint, dict):
            return config
        masked: dict[str, Any] = {**endpoint, "url": self._url(endpoint["url"])}
        if endpoint.get("headers"):
            masked["headers"] = {n: self._mask(value) for n, value in endpoint["headers"].items()}
        return structs.replace(config, configuration_endpoint=masked)

    def _url(self, url: str) -> str:
        fields = query_fields(url)
        query = "&".join(name + self._mask(value) if value else name for name, value in fields)
        return urlsplit(url)._replace(query=query).geturl()
