"""What a trace holds, line by line.

The first line is a header, every other line one step::

    {"trace":"phonic-fsm","version":1,"package":"0.1.0","started":"…","settings":{…}}
    {"seq":1,"t":0.0012,"event":{"type":"open"},"from":"connecting","to":"connecting","effects":[…]}

``t`` is seconds since the recording began. Events and effects carry their fields as the core has
them, with two exceptions: audio stands as its length (and, in events, its level), never as
samples; and header values of a ``configuration_endpoint``, which may hold secrets, are masked.
The API key and the address are in no event, so they are in no trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct, field, structs

from ..core.context import Settings
from ..core.effects import Effect, PushAudio, Send
from ..core.events import EVENTS, Event, UpdateOptions
from ..wire import client
from ..wire.config import ConfigOptions
from ..wire.server import AudioChunk

VERSION = 1
"""Raised whenever a reader of the former version could misread a trace."""

NAME = "phonic-fsm"
MASK = "***"


class Header(Struct, frozen=True, kw_only=True):
    trace: str
    version: int
    package: str
    """Version of this package."""
    started: str
    """ISO 8601, UTC."""
    settings: Settings


class Line(Struct, frozen=True, kw_only=True):
    """One step, with events and effects as plain JSON values."""

    seq: int
    t: float
    event: dict[str, Any]
    source: str = field(name="from")
    target: str = field(name="to")
    effects: list[dict[str, Any]]


class AudioLength(Struct, frozen=True, omit_defaults=True):
    """What is kept of audio."""

    bytes: int
    dbfs: float | None = None
    """RMS level relative to full scale, rounded to 0.1 dB; ``None`` for digital silence."""


class RecordedAudioChunk(
    Struct, frozen=True, tag="audio_chunk", tag_field="type", omit_defaults=True
):
    audio: AudioLength
    text: str | None = ""
    timings: dict[str, float] | None = None


class RecordedPushAudio(Struct, frozen=True, tag="push_audio", tag_field="type"):
    audio: AudioLength


def recorded_event(event: Event, to_pcm: Callable[[bytes], bytes] | None = None) -> object:
    """An event as it stands in a trace; ``to_pcm`` decodes audio that is not PCM16 LE."""
    if isinstance(event, AudioChunk):
        audio = event.audio or b""
        return RecordedAudioChunk(
            AudioLength(len(audio), _level(to_pcm(audio) if to_pcm else audio)),
            event.text,
            event.timings,
        )
    if isinstance(event, UpdateOptions):
        return structs.replace(event, config=masked(event.config))
    return event


def recorded_effect(effect: Effect) -> object:
    """An effect as it stands in a trace."""
    if isinstance(effect, PushAudio):
        return RecordedPushAudio(AudioLength(len(effect.audio)))
    if isinstance(effect, Send) and isinstance(effect.message, client.Config):
        return Send(masked(effect.message))
    if isinstance(effect, Send) and isinstance(effect.message, client.Reset):
        return Send(client.Reset(masked(effect.message.config)))
    return effect


def masked(config: Any) -> Any:
    """The config without the values of headers, which carry credentials."""
    assert isinstance(config, ConfigOptions)
    endpoint = config.configuration_endpoint
    if not isinstance(endpoint, dict) or not endpoint.get("headers"):
        return config
    headers = dict.fromkeys(endpoint["headers"], MASK)
    return structs.replace(config, configuration_endpoint={**endpoint, "headers": headers})


def event_from(recorded: dict[str, Any]) -> Event:
    """The event that a line holds; its audio is silence of the recorded length.

    Raises:
        msgspec.ValidationError: it is no event; the message has the path to the bad value.
    """
    if recorded.get("type") == "audio_chunk":
        length = msgspec.convert(recorded.get("audio"), AudioLength).bytes
        recorded = {**recorded, "audio": bytes(length)}
    # One type is found in a tenth of the time that the union of all takes.
    kind = EVENTS.get(str(recorded.get("type")), Event)
    event: Event = msgspec.convert(recorded, kind, builtin_types=(bytes,))
    return event


def _level(pcm: bytes) -> float | None:
    samples = np.frombuffer(pcm, dtype="<i2", count=len(pcm) // 2).astype(np.float32)
    rms = math.sqrt(float(np.dot(samples, samples)) / samples.size) if samples.size else 0.0
    return round(20 * math.log10(rms / 32768), 1) if rms else None
