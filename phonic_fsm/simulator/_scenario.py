"""The scenario's format, and how it is read: what the caller says and what the assistant does.

A scenario is data. It is carried out by ``_conversation`` and the modules that that uses.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm._wire.server import Problem

from ._doubts import Doubts

_Text = Annotated[str, Meta(min_length=1)]


class ScenarioError(ValueError):
    """A scenario cannot be read. The message is one line: file, place in it, problem."""

    __module__ = "phonic_fsm.simulator"


class Call(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool that the assistant calls."""

    tool: _Text
    parameters: dict[str, Any] = {}
    then: str = ""
    """Spoken once there is an output for this call and for every other that the assistant waits
    for. ``{output}`` stands for the output."""
    meanwhile: str = ""
    """Spoken right after the call if the assistant does not wait for the output."""
    during_speech: bool = False
    """The call is made while the caller still speaks, if the tool allows that."""
    calls: tuple[Call, ...] = ()
    """These calls are made after this one has been spoken about, if the tool allows chaining."""

    def __post_init__(self) -> None:
        if any(call.during_speech for call in self.calls):
            raise ValueError("a call after another cannot be made `during_speech`")


class Turn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One turn of the caller and what the server does about it, in the order of the fields.

    A turn with nothing for the assistant to do is answered with
    ``assistant_chose_not_to_respond``.
    """

    caller: str = ""
    """What the caller says. It is the turn's transcript, whatever was in the audio."""
    cancelled: bool = False
    """The turn is withdrawn once the caller has spoken: no transcript, no answer."""
    backchannel: _Text | None = None
    """Said while the caller speaks, without being a turn of the assistant."""
    warning: Problem | None = None
    error: Problem | None = None
    dtmf: _Text | None = None
    """Digits that the assistant dials."""
    assistant: _Text | None = None
    """The assistant's answer. If there are ``calls``, it is said before them."""
    interruptible: bool = True
    """Whether the caller can interrupt the line in ``assistant``."""
    interrupt_after_ms: Annotated[int, Meta(ge=0)] | None = None
    """For a program that plays the caller: the next turn begins this long after the assistant
    began to answer. The server itself does not use it."""
    calls: tuple[Call, ...] = ()
    end: bool = False
    """The assistant ends the conversation."""
    close: int | None = None
    """The connection is closed with this websocket code (1012: it may be resumed)."""
    drop: bool = False
    """The connection is cut without a close frame, as by a network that fails."""

    def __post_init__(self) -> None:
        if self.cancelled and self.asks_for_something:
            raise ValueError("a turn that is `cancelled` has nothing for the assistant to do")
        if self.end + (self.close is not None) + self.drop > 1:
            raise ValueError("a turn has at most one of `end`, `close` and `drop`")
        sendable = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
        if self.close is not None and self.close not in sendable:
            raise ValueError(f"`close` is {self.close}, which no close frame can carry")

    @property
    def asks_for_something(self) -> bool:
        """Whether there is anything for the assistant to do once the caller has spoken."""
        said = self.warning or self.error or self.dtmf or self.assistant or self.calls
        return bool(said or self.end or self.close is not None or self.drop)


class AgentConfig(ConfigOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of an agent, as it is set up at Phonic: the fields of a config."""


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole conversation. After the last turn it begins again with the first."""

    description: str = ""
    agents: dict[str, AgentConfig] = {}
    """The agents that a config may name, with the settings that hold where the config has none:
    ``{"concierge": {"welcome_message": "Good evening."}}``."""
    welcome: str | None = None
    """The welcome that is said if the config has ``generate_welcome_message``; a stock sentence if
    this is left out."""
    turns: tuple[Turn, ...] = ()
    replies: tuple[_Text, ...] = ()
    """Answers to ``generate_reply``, in order; a stock sentence when they run out."""
    poke: _Text | None = None
    """The question to a silent caller if the config has ``generate_no_input_poke_text``; a stock
    question if this is left out."""
    shorten_times_by: Annotated[float, Meta(ge=1)] = 1.0
    """Every time that the service waits for is divided by this: for audio, for a silent caller to
    speak, for a tool's output. For tests that cannot wait as long as the service does; the
    simulator logs that it is so."""
    background: bool = False
    """Audio without text is sent while the assistant does not speak, even if the config asks for
    no background noise: silence then."""
    doubts: Doubts = Doubts()
    """Which variant of each open question about the service is played."""

    def turn(self, number: int) -> Turn:
        """The caller's turn with this number, counted from 0 through the whole conversation."""
        if not self.turns:
            return Turn(caller="Hello?", assistant="I am listening. Please go on.")
        return self.turns[number % len(self.turns)]


def scenario_names() -> tuple[str, ...]:
    """The scenarios that come with the package, sorted."""
    files = (resources.files(__package__) / "scenarios").iterdir()
    return tuple(sorted(f.name[: -len(".json")] for f in files if f.name.endswith(".json")))


def load_scenario(source: str | Path) -> Scenario:
    """Read a shipped scenario, by its name, or one of your own, by the ``Path`` of a JSON file.

    Raises:
        ScenarioError: there is no such scenario, or a field of it is unknown or invalid.
    """
    if isinstance(source, Path):
        return _read(source, str(source))
    names = scenario_names()
    if source not in names:
        known = ", ".join(names)
        raise ScenarioError(f"no scenario is named {source!r}; there are {known}, or give a Path")
    shipped = resources.files(__package__) / "scenarios" / f"{source}.json"
    with resources.as_file(shipped) as path:
        return _read(path, f"scenario {source}")


def _read(path: Path, called: str) -> Scenario:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Scenario)
    except OSError as error:
        raise ScenarioError(f"{called}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{called}: {' '.join(str(error).split())}") from error
