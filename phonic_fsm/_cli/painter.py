"""Draws the steps of a trace as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from phonic_fsm._core.effects import Effect
from phonic_fsm._core.events import Event
from phonic_fsm._wire.config import DEFAULT_FORMAT, SAMPLING
from phonic_fsm._wire.facts import UNKNOWN, Fact, Field, field_of, fields_of
from phonic_fsm.trace._format import Header, Line
from phonic_fsm.trace._kinds import kind_of
from phonic_fsm.trace._replay import ReplayedStep

from .entries import QUIET, AudioRun, Entry, HiddenRun, pause_between
from .following import Hang
from .text import brief, printable, value_of

MARGIN = 17
"""Columns that a step's number and time take. Its effects stand under them."""


COLOURS = {
    "state": "bold",
    "speech": "green",
    "audio": "dim",
    "tool": "yellow",
    "reply": "blue",
    "connection": "magenta",
    "settings": "cyan",
    "chat": "cyan",
    "error": "red",
}
"""The colour of each kind of step."""


class Painter:
    """Draws the entries of one trace."""

    def __init__(self, header: Header, width: int | None) -> None:
        """``width`` is that of the terminal, in columns; with ``None`` no line is cut."""
        self._header = header
        self._width = width
        rate, sample_bytes = SAMPLING[header.settings.config.output_format or DEFAULT_FORMAT]
        self._bytes_per_second = rate * sample_bytes

    def title(self) -> Text:
        header = self._header
        return Text(
            printable(f"recorded {header.started} by phonic-fsm {header.package}"), style="dim"
        )

    def paint(self, entry: Entry, former: Entry | None) -> Iterator[Text]:
        """The entry's lines. Before them, a line for a long pause since the former entry."""
        pause = pause_between(former, entry)
        if pause > QUIET:
            yield self.aside(f"{pause:.1f} s without a step")
        if isinstance(entry, AudioRun):
            yield self.audio(entry)
        elif isinstance(entry, HiddenRun):
            yield self.hidden(entry)
        elif isinstance(entry, Hang):
            yield self.hang(entry)
        else:
            yield self.step(entry.line)
            for effect in entry.line.effects:
                yield self.effect(effect)
            if entry.difference is not None:
                yield from self.divergence(entry)

    def step(self, line: Line) -> Text:
        """One line with the step's number, time, event and state."""
        moved = line.source != line.target
        state = f"{line.source} → {line.target}" if moved else line.source
        event = Text(brief(_ids_last(_EVENT, line.event), self._width), _colour(line.event))
        return self._row(
            line.seq, line.t, event, Text(printable(state), "bold" if moved else "dim")
        )

    def effect(self, effect: dict[str, Any]) -> Text:
        style = "red" if kind_of(effect) == "error" else ""
        return self._cut(
            Text.assemble(
                " " * MARGIN, ("· ", "dim"), (brief(_ids_last(_EFFECT, effect), self._width), style)
            )
        )

    def audio(self, run: AudioRun) -> Text:
        seconds = run.bytes / self._bytes_per_second
        count = f"× {run.chunks} audio chunk{'s' if run.chunks != 1 else ''}, {seconds:.2f} s"
        what = Text(count if run.played else f"{count}, not played", "dim")
        if run.text:
            what.append(f"  {printable(run.text)}", "not dim green")
        return self._row(run.seq, run.t, what, Text(printable(run.state), "dim"))

    def hidden(self, run: HiddenRun) -> Text:
        steps = f"{run.steps} step{'s' if run.steps != 1 else ''}"
        return self.aside(f"… {steps}, {run.end - run.t:.2f} s")

    def hang(self, hang: Hang) -> Text:
        stands = hang.standing
        gone = "" if hang.is_written else "; no process writes this trace any more"
        return self.aside(
            printable(
                f"in {stands.state}, waits since {stands.since:.3f}, {hang.seconds:.1f} s so far, "
                f"for {stands.waits_for}{gone}"
            ),
            "dim" if stands.callers_turn else "yellow",
        )

    def aside(self, text: str, style: str = "dim") -> Text:
        """A line under a step that says something about it."""
        return self._cut(Text(f"{'':{MARGIN}}{text}", style))

    def divergence(self, step: ReplayedStep) -> Iterator[Text]:
        """Where the machine and the trace differ, with both values whole."""
        assert step.difference is not None
        seq, difference = step.line.seq, step.difference
        where = printable(difference.where)
        yield Text(f"diverged at step {seq}, {where}:", "red")
        yield Text(f"  expected  {value_of(difference.expected)}")
        yield Text(f"  got       {value_of(difference.got)}")

    def _row(self, seq: int, t: float, what: Text, state: Text) -> Text:
        """The line of a step or a run. If it is too long, the state is still shown whole."""
        if self._width is not None:
            room = max(self._width - MARGIN - 2 - state.cell_len, 20)
            what.truncate(room, overflow="ellipsis")
        return self._cut(Text.assemble((f"{seq:>5} {t:>9.3f}  ", "dim"), what, "  ", state))

    def _cut(self, text: Text) -> Text:
        if self._width is not None:
            text.truncate(self._width, overflow="ellipsis")
        return text


def put(line: Text, console: Console) -> None:
    """Print the line. Into a pipe it is written without rich, which takes ten times as long."""
    if console.color_system is None:
        console.file.write(f"{line.plain}\n")
        console.file.flush()
    else:
        console.print(line)


def _colour(event: dict[str, Any]) -> str:
    kind = kind_of(event)
    return COLOURS[kind] if kind else ""


_EVENT, _EFFECT = field_of(Event), field_of(Effect)


def _ids_last(field: Field, value: Any) -> Any:
    """The same value with its ids at the end, where a line may be cut off: they tell the least."""
    if isinstance(value, list):
        return [_ids_last(field, item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = fields_of(field.type_of(value))
    parts = [(name, fields.get(name, UNKNOWN), part) for name, part in value.items()]
    parts.sort(key=lambda part: Fact.ID in part[1].facts)
    return {name: _ids_last(within, part) for name, within, part in parts}
