"""What each turn of the caller's waited for, one thing after the other.

From the caller's last sound to the end of the turn, from there to the first audio of the answer, or
by way of tools, and on until LiveKit plays it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from phonic_fsm.trace._turns import Answer, ToolRun, Turn

from .numbers import duration

PartKind = Literal["endpoint", "phonic", "spoken", "wait", "tool", "output"]
"""``endpoint``
    The caller is silent, and Phonic has yet to notice that the turn is over; or, with push-to-talk,
    the agent has yet to commit it.
``phonic``
    Phonic prepares an answer, or a tool call.
``spoken``
    The assistant speaks before it calls a tool.
``wait``
    LiveKit plays what was said before it runs the tool.
``tool``
    The tool runs. Where LiveKit was not observed, that includes the wait.
``output``
    Audio has come, and LiveKit does not play it yet."""


class Part(Struct, kw_only=True):
    kind: PartKind
    start: float
    end: float
    text: str
    """What it is, with how long it took."""


class Waterfall(Struct, kw_only=True):
    """One turn."""

    step: int
    start: float
    end: float
    latency: float | None
    """Until the first audio (s); ``None`` if no answer came."""
    by_sound: bool
    """Whether it begins with the caller's last sound, and not with the end of the turn."""
    parts: list[Part]


def waterfalls(turns: Iterable[Turn]) -> list[Waterfall]:
    return [_waterfall(turn) for turn in turns if turn.answers or turn.tools]


def _waterfall(turn: Turn) -> Waterfall:
    parts = [part for part in _parts(turn) if part.end > part.start]
    return Waterfall(
        step=turn.step,
        start=turn.begin,
        end=max((part.end for part in parts), default=turn.begin),
        latency=turn.latency,
        by_sound=turn.silent is not None,
        parts=parts,
    )


def _parts(turn: Turn) -> Iterator[Part]:
    now, speaks = turn.endpoint, False
    if turn.silent is not None:
        yield _part("endpoint", turn.silent, now, turn.ending)
    happened: list[ToolRun | Answer] = [*turn.tools, *turn.answers]
    for one in sorted(happened, key=_began):
        before: PartKind = "spoken" if speaks and isinstance(one, ToolRun) else "phonic"
        if isinstance(one, ToolRun):
            yield _part(before, now, one.called, _until_call(one, before))
            yield from _of_tool(one, spoken=speaks)
            now, speaks = max(now, one.given or one.ended or one.called), False
        else:
            yield _part("phonic", now, one.first_audio, _until_audio(one))
            now, speaks = one.first_audio, True
            if one.played is not None:
                yield _part("output", now, one.played, "until LiveKit played it")


def _of_tool(run: ToolRun, *, spoken: bool) -> Iterator[Part]:
    """``spoken`` says whether the assistant had said something in front of the call."""
    end = run.ended or run.given
    if run.began is not None:
        after = ", after what was said before" if spoken else ""
        yield _part("wait", run.called, run.began, f"until LiveKit ran {run.name}{after}")
        if end is not None:
            yield _part("tool", run.began, end, run.name)
    elif end is not None:
        played = ", and what LiveKit played before it" if spoken else ""
        yield _part("tool", run.called, end, f"{run.name}{played}")


def _until_call(run: ToolRun, before: PartKind) -> str:
    if before == "spoken":
        return f"until Phonic called {run.name}, after it had begun to speak"
    return f"until Phonic called {run.name}"


def _until_audio(answer: Answer) -> str:
    if not answer.timings:
        return "until the first audio"
    told = ", ".join(f"{name} {ms:g} ms" for name, ms in answer.timings.items())
    return f"until the first audio (Phonic: {told})"


def _part(kind: PartKind, start: float, end: float, text: str) -> Part:
    return Part(kind=kind, start=start, end=end, text=f"{duration(end - start)} {text}")


def _began(one: ToolRun | Answer) -> float:
    return one.called if isinstance(one, ToolRun) else one.first_audio
