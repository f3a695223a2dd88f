"""Lays Phonic's record of a call beside its trace: what each of them has of every turn.

The record is a file beside the trace (``phonic-fsm fetch``). Its turns are matched with those of
the trace by who spoke and by the words, since the two clocks need not agree.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from msgspec import Struct

from phonic_fsm.trace._service_record import (
    ServiceCall,
    ServiceConversation,
    ServiceRecordError,
    ServiceTurn,
    read_record,
    record_file,
)

from .conversation import Entry
from .numbers import duration

FARTHEST = 30
"""Turns. Two that are farther apart in their order are not matched."""


SHORT = 20
"""Characters of a turn that may be matched by its letters instead of its words."""

LIKE = 0.5
"""The share of letters that two short turns must have in common."""


class Row(Struct, kw_only=True):
    """A turn, as both sides have it."""

    who: str
    """``caller``, ``assistant`` or ``tool``."""
    at: float | None = None
    """When it was, by the trace's clock (s), if that can be told."""
    step: int | None = None
    """The trace's step."""
    ours: str | None = None
    """``None`` if the trace has nothing of it."""
    theirs: str | None = None
    """``None`` if Phonic has nothing of it, or has deleted it."""
    deleted: bool = False
    later: str = ""
    """Phonic's transcript from after the call, where that is another."""
    differs: bool = False
    """Whether the two have other words."""


class Conversation(Struct, kw_only=True):
    """One of the call's conversations."""

    id: str
    began: float
    """By the trace's clock (s)."""
    recording: str | None
    """The name of its file beside the trace."""
    figures: list[tuple[str, str]]
    remarks: list[str]
    rows: list[Row]


class BothSides(Struct, kw_only=True):
    conversations: list[Conversation] = []
    problem: str = ""
    """Why the record, which is there, cannot be shown."""


class Beginning(Struct):
    """Where a conversation begins in the trace."""

    id: str
    step: int
    at: float


class _Said(Struct):
    """One side's version of a turn."""

    who: str
    text: str | None
    at: float | None
    step: int | None = None
    later: str = ""


def both_sides(
    trace: Path, beginnings: Sequence[Beginning], entries: Sequence[Entry]
) -> BothSides | None:
    """The comparison, or ``None`` if no record lies beside the trace."""
    path = record_file(trace)
    if not path.exists():
        return None
    try:
        record = read_record(path)
    except ServiceRecordError as error:
        return BothSides(problem=str(error))
    theirs = {conversation.id: conversation for conversation in record.conversations}
    compared = []
    for number, beginning in enumerate(beginnings):
        if beginning.id in theirs:
            rest = beginnings[number + 1 :]
            until = rest[0].step if rest else None
            ours = [
                entry
                for entry in entries
                if entry.step >= beginning.step and (until is None or entry.step < until)
            ]
            compared.append(_compared(theirs[beginning.id], beginning.at, ours))
    if not compared:
        return BothSides(problem=f"{path.name} is about another call")
    return BothSides(conversations=compared)


def _compared(
    conversation: ServiceConversation, began: float, entries: Sequence[Entry]
) -> Conversation:
    ours = _ours(entries)
    theirs = [said for turn in conversation.turns for said in _theirs(turn, began)]
    # A call may stand before the words of its turn on one side, and behind them on the other.
    rows, calls = (
        [
            _row(one, other)
            for one, other in _matched(
                [said for said in ours if (said.who == "tool") == is_call],
                [said for said in theirs if (said.who == "tool") == is_call],
            )
        ]
        for is_call in (False, True)
    )
    for call in calls:
        later = (n for n, row in enumerate(rows) if _is_after(row, call))
        rows.insert(next(later, len(rows)), call)
    return Conversation(
        id=conversation.id,
        began=began,
        recording=conversation.recording,
        figures=_figures(conversation),
        remarks=conversation.remarks,
        rows=rows,
    )


def _is_after(row: Row, call: Row) -> bool:
    return row.at is not None and call.at is not None and row.at > call.at


def _ours(entries: Sequence[Entry]) -> list[_Said]:
    """The trace's turns; a tool's output stands behind its call, as in Phonic's record."""
    found: list[_Said] = []
    unanswered: dict[str, list[_Said]] = {}
    for entry in entries:
        name, arrow, output = entry.text.partition(" → ")
        if entry.who == "tool" and arrow and unanswered.get(name):
            call = unanswered[name].pop(0)
            call.text = f"{call.text} → {output}"
        elif entry.who != "system":
            who = "caller" if entry.who == "typed" else entry.who
            said = _Said(who, entry.text, entry.at, entry.step)
            found.append(said)
            if who == "tool":
                unanswered.setdefault(entry.text.partition("(")[0], []).append(said)
    return found


def _theirs(turn: ServiceTurn, began: float) -> list[_Said]:
    at = began + turn.at if turn.at is not None else None
    who = "caller" if turn.role == "user" else "assistant"
    later = turn.later or ""
    if _words(later) == _words(turn.text or ""):
        later = ""
    calls = [_Said("tool", _call(call), at) for call in turn.calls]
    # A turn in which a tool was called may have no words.
    said = [] if calls and turn.text == "" else [_Said(who, turn.text, at, later=later)]
    return [*said, *calls]


def _call(call: ServiceCall) -> str:
    parts = [f"{call.name}({_plain(call.request) if call.request is not None else ''})"]
    if call.timed_out:
        parts.append("timed out")
    if call.error:
        parts.append(call.error)
    if call.response is not None:
        parts.append(f"→ {_plain(call.response)}")
    return " ".join(parts)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _figures(conversation: ServiceConversation) -> list[tuple[str, str]]:
    latencies = [ms / 1000 for ms in conversation.latencies_ms]
    named = (("Agent", conversation.agent), ("Project", conversation.project))
    told = [(name, value) for name, value in named if value]
    told.append(("Ended by", (conversation.ended_by or "not ended").replace("_", " ")))
    told.append(("Length", duration(conversation.seconds)))
    if latencies:
        spread = (
            f"{duration(statistics.median(latencies))} median, {duration(max(latencies))} longest"
        )
        told.append(("Latencies", f"{spread}, of {len(latencies)}"))
    told.append(("Interruptions", str(conversation.interruptions)))
    return told


def _row(ours: _Said | None, theirs: _Said | None) -> Row:
    one = ours or theirs
    assert one is not None
    both = ours is not None and theirs is not None
    said = (ours.text if ours else None, theirs.text if theirs else None)
    differs = not both
    if both and one.who != "tool" and None not in said:
        differs = _words(said[0] or "") != _words(said[1] or "")
    return Row(
        who=one.who,
        at=one.at,
        step=ours.step if ours else None,
        ours=said[0],
        theirs=said[1],
        deleted=theirs is not None and theirs.text is None,
        later=theirs.later if theirs else "",
        differs=differs,
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _matched(ours: list[_Said], theirs: list[_Said]) -> list[tuple[_Said | None, _Said | None]]:
    """Both in one order: the pairs whose words have most in common, and what is left over."""
    bags = [[set(_words(said.text or "")) for said in side] for side in (ours, theirs)]
    width = len(theirs) + 1
    best = [[0.0] * width for _ in range(len(ours) + 1)]
    for i in range(len(ours) - 1, -1, -1):
        for j in range(len(theirs) - 1, -1, -1):
            apart = max(best[i + 1][j], best[i][j + 1])
            if abs(i - j) <= FARTHEST + abs(len(ours) - len(theirs)):
                apart = max(apart, best[i + 1][j + 1] + _likeness(i, j, ours, theirs, bags))
            best[i][j] = apart
    pairs: list[tuple[_Said | None, _Said | None]] = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        likeness = _likeness(i, j, ours, theirs, bags)
        if likeness and best[i][j] == best[i + 1][j + 1] + likeness:
            pairs.append((ours[i], theirs[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            pairs.append((ours[i], None))
            i += 1
        else:
            pairs.append((None, theirs[j]))
            j += 1
    return [*pairs, *((said, None) for said in ours[i:]), *((None, said) for said in theirs[j:])]


def _likeness(
    i: int, j: int, ours: list[_Said], theirs: list[_Said], bags: list[list[set[str]]]
) -> float:
    """0 if they cannot be the same turn, else between 0.1 and 1.1."""
    one, other = ours[i], theirs[j]
    if one.who != other.who:
        return 0.0
    if not one.text or not other.text:
        return 0.1  # what was deleted
    if common := len(bags[0][i] & bags[1][j]):
        return 0.1 + common / len(bags[0][i] | bags[1][j])
    # A short answer may have been heard as another word: "Yes", "Yeah".
    if max(len(one.text), len(other.text)) > SHORT:
        return 0.0
    ratio = SequenceMatcher(None, one.text.casefold(), other.text.casefold()).ratio()
    return 0.1 if ratio > LIKE else 0.0
