"""What Phonic has recorded of a call, kept beside the call's trace.

Beside ``call.jsonl`` lies ``call.phonic.json``, and the recordings: ``call.phonic.wav``, then
``call.phonic.2.wav``. A call has several conversations if one could not be resumed. Only what is to
be compared with the trace is kept: no signed address, and no header that a tool was called with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ._destination import split_name

NAME = "phonic-fsm service record"

VERSION = 1


class ServiceCall(Struct, frozen=True, kw_only=True):
    """A tool call, as Phonic has it."""

    name: str
    request: Any = None
    response: Any = None
    timed_out: bool = False
    error: str | None = None


class ServiceTurn(Struct, frozen=True, kw_only=True):
    """What one side said."""

    role: Literal["user", "assistant"]
    text: str | None
    """The transcript of the call; of a redacted conversation, the redacted one. ``None`` if it was
    deleted."""
    later: str | None = None
    """The transcript that Phonic made after the call."""
    at: float | None = None
    """When it began, in seconds since the conversation did, by Phonic's clock."""
    seconds: float = 0.0
    calls: list[ServiceCall] = []


class ServiceConversation(Struct, frozen=True, kw_only=True):
    """A conversation, as Phonic has it."""

    id: str
    model: str = ""
    project: str = ""
    agent: str = ""
    started: str = ""
    """ISO 8601."""
    seconds: float = 0.0
    ended_by: str | None = None
    """``None`` if it has not ended."""
    latencies_ms: list[float] = []
    interruptions: int = 0
    turns: list[ServiceTurn] = []
    recording: str | None = None
    """The name of the file beside this one, if there is a recording."""
    remarks: list[str] = []
    """What is missing, and why."""


class ServiceRecord(Struct, frozen=True, kw_only=True):
    """The file."""

    record: str = NAME
    version: int = VERSION
    fetched: str
    """ISO 8601, UTC."""
    conversations: list[ServiceConversation]


class ServiceRecordError(ValueError):
    """A file that is no such record."""


def record_file(trace: Path) -> Path:
    """Where the record of a trace is. The file need not exist."""
    return trace.with_name(f"{split_name(trace)[0]}.phonic.json")


def recording_file(trace: Path, number: int) -> Path:
    """Where the recording of the conversation with this number is, counted from 1."""
    which = "" if number == 1 else f".{number}"
    return trace.with_name(f"{split_name(trace)[0]}.phonic{which}.wav")


def read_record(path: Path) -> ServiceRecord:
    """Read a record.

    Raises:
        ServiceRecordError: the file cannot be read, or is no record of a version that is known.
    """
    try:
        record = msgspec.json.decode(path.read_bytes(), type=ServiceRecord)
    except OSError as error:
        raise ServiceRecordError(f"{path.name}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ServiceRecordError(f"{path.name} is no record of Phonic's: {error}") from error
    if (record.record, record.version) != (NAME, VERSION):
        raise ServiceRecordError(f"{path.name} is no record of Phonic's that is known here")
    return record
