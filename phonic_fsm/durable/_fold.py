"""From a journal's lines to the machine that its last owner had.

It begins at the last checkpoint, so it takes about as long for a long call as for a short one.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

import msgspec
from msgspec import Struct

from .._core.machine import SessionMachine
from ..trace._format import VERSION, End, Header, Line, event_from
from ..trace._reader import read_line
from ..trace._runs import AudioRun
from ._account import Account
from ._store import JournalError

_CHECKPOINT = b'"event":{"type":"checkpoint"'


_CREATED = b'"conversation_created"'


class Unreadable(JournalError):
    """A journal's lines are no call: it is damaged, or another version has written it.

    ``conversation_id`` is that of the newest conversation that a line names all the same.
    """

    __module__ = "phonic_fsm.durable"

    def __init__(self, problem: str, conversation_id: str | None = None) -> None:
        super().__init__(problem)
        self.conversation_id = conversation_id


class _Name(Struct):
    conversation_id: str


class _Naming(Struct):
    """As much as is read of a line that names a conversation."""

    event: _Name


class Folded(Struct):
    machine: SessionMachine
    account: Account
    started: datetime
    """When the journal's clock was at 0."""
    lines: int = 0
    """How many lines were read, or left out as they stand before the last checkpoint."""
    steps: int = 0
    """How many steps it holds."""
    last: float = 0.0
    """When the last one was taken (s, by the journal's clock)."""
    is_complete: bool = True
    """Whether it holds all that its last owner has done, but for what was lost with the process."""

    def go_on(self, lines: Iterable[bytes]) -> None:
        """Take further lines. The machine stays the same object.

        Raises:
            Unreadable: a line is no step; the message says which one and why.
        """
        try:
            for text in lines:
                line = read_line(text)
                if isinstance(line, End):
                    self.is_complete = False
                    break
                for step in line.steps() if isinstance(line, AudioRun) else (line,):
                    if self.steps and step.seq != self.steps + 1:
                        self.is_complete = False
                    self.account.follow(step.t, self.machine.step(event_from(step.event)))
                    self.last, self.steps = step.t, step.seq
                self.lines += 1
        except Exception as error:
            # Whatever the machine raises comes from the lines: it is pure.
            raise Unreadable(_problem(self.lines + 1, error)) from error


def fold(lines: Iterable[bytes]) -> Folded:
    """The machine as it was after the last line.

    Raises:
        Unreadable: the lines are no journal; the message says which one and why.
    """
    whole = list(lines)
    try:
        header = msgspec.json.decode(whole[0], type=Header)
        if header.version > VERSION:
            raise ValueError(f"of version {header.version}, and {VERSION} is the newest known here")
        if header.redacted:
            raise ValueError("it is redacted")
        first = _start(whole)
        machine = SessionMachine(header.settings)
        if any(_CHECKPOINT in text for text in whole[first : first + 1]):
            [kept] = msgspec.json.decode(whole[first], type=Line).effects
            machine = SessionMachine.from_memory(kept["memory"], header.settings)
        account = Account(header.settings.config)
        folded = Folded(machine, account, datetime.fromisoformat(header.started), lines=first)
    except Exception as error:
        raise Unreadable(_problem(1, error), _conversation_in(whole)) from error
    try:
        folded.go_on(whole[first:])
    except Unreadable as error:
        raise Unreadable(str(error), _conversation_in(whole)) from error
    return folded


def _problem(line: int, error: Exception) -> str:
    return f"line {line}: {type(error).__name__}: {' '.join(str(error).split())}"


def _conversation_in(lines: list[bytes]) -> str | None:
    """The id of the newest conversation that a line names, whatever the other lines are."""
    for text in reversed(lines):
        if _CREATED in text:
            with suppress(msgspec.DecodeError):
                return msgspec.json.decode(text, type=_Naming).event.conversation_id
    return None


def _start(lines: list[bytes]) -> int:
    """The index of the line to begin with: the last checkpoint, or the first step."""
    for index in range(len(lines) - 1, 0, -1):
        if _CHECKPOINT in lines[index]:
            return index
    return 1
