"""Masks secrets in every trace: the values of a ``configuration_endpoint``'s headers.

Each value of a session gets a mask of its own (``***1``, ``***2``). So if only a secret changes,
the replay sees a change, too. A mask tells nothing about the value.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec import structs

from .._core.context import Settings
from .._core.effects import Effect, Send
from .._core.events import ConnectionClosed, Event, UpdateOptions
from .._core.machine import Step
from .._wire.client import ClientMessage, Config, Reset
from .._wire.config import ConfigOptions

C = TypeVar("C", bound=ConfigOptions)


class Masking:
    """Masks one session's settings and steps."""

    def __init__(self) -> None:
        self._masks: dict[str, str] = {}

    def settings(self, settings: Settings) -> Settings:
        return structs.replace(settings, config=self._config(settings.config))

    def step(self, step: Step) -> Step:
        event = self._event(step.event)
        if event is step.event and Send not in map(type, step.effects):
            return step
        return Step(event, step.source, step.target, [self._effect(e) for e in step.effects])

    def _event(self, event: Event) -> Event:
        if isinstance(event, UpdateOptions):
            return structs.replace(event, config=self._config(event.config))
        if isinstance(event, ConnectionClosed) and event.unsent:
            return structs.replace(event, unsent=tuple(map(self._message, event.unsent)))
        return event

    def _effect(self, effect: Effect) -> Effect:
        return Send(self._message(effect.message)) if isinstance(effect, Send) else effect

    def _message(self, message: ClientMessage) -> ClientMessage:
        if isinstance(message, Config):
            return self._config(message)
        if isinstance(message, Reset):
            return Reset(self._config(message.config))
        return message

    def _config(self, config: C) -> C:
        endpoint = config.configuration_endpoint
        if not isinstance(endpoint, dict) or not endpoint.get("headers"):
            return config
        headers = {name: self._mask(value) for name, value in endpoint["headers"].items()}
        return structs.replace(config, configuration_endpoint={**endpoint, "headers": headers})

    def _mask(self, value: str) -> str:
        return self._masks.setdefault(value, f"***{len(self._masks) + 1}")
