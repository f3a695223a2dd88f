"""The JSON Schema of a trace's lines, made of the types.

``python docs/generate.py`` keeps it as ``docs/trace.schema.json``. Fields that it does not name are
allowed: later versions may add some.
"""

from __future__ import annotations

import inspect
import json
from typing import Any, Union, get_args

import msgspec
from msgspec import Struct, field

from .._core.effects import Effect, PushAudio
from .._core.events import Event
from .._core.states import State
from .._wire.server import AudioChunk
from ._format import NAME, READABLE, VERSION, End, Header, RecordedAudioChunk, RecordedPushAudio
from ._runs import AudioRun


def _in_place_of(live: type[Any], recorded: type[Any], union: Any) -> Any:
    """The union as a trace has it."""
    return Union[tuple(recorded if kind is live else kind for kind in get_args(union))]


RecordedEvent = _in_place_of(AudioChunk, RecordedAudioChunk, Event)
RecordedEffect = _in_place_of(PushAudio, RecordedPushAudio, Effect)


class Step(Struct, kw_only=True):
    """One step of the session."""

    seq: int
    t: float
    event: RecordedEvent  # type: ignore[valid-type]
    source: State = field(name="from")
    target: State = field(name="to")
    effects: list[RecordedEffect]  # type: ignore[valid-type]


def schema() -> dict[str, Any]:
    """The schema of any one line."""
    kinds, components = msgspec.json.schema_components(
        (Header, Step, AudioRun, End), ref_template="#/$defs/{name}"
    )
    for component in components.values():
        if "description" in component:
            # Before Python 3.13, docstrings keep their indentation.
            component["description"] = inspect.cleandoc(component["description"])
    components["Header"]["properties"]["trace"] = {"const": NAME}
    components["Header"]["properties"]["version"] = {"enum": list(READABLE)}
    page = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of a phonic-fsm trace, version {VERSION}",
        "oneOf": list(kinds),
        "$defs": components,
    }
    # Defaults are Python's own, such as tuples.
    plain: dict[str, Any] = json.loads(json.dumps(page))
    return plain
