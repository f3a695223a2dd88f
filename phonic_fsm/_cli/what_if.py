"""``phonic-fsm replay --what-if``: a recorded call with something changed, beside the recording."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from phonic_fsm.trace._format import Line
from phonic_fsm.trace._reader import TraceError, TraceReader
from phonic_fsm.trace._what_if import ChangeError, WhatIf, parse_change, what_if

from .failure import CommandFailed
from .painter import Painter, put
from .text import printable


def run_what_if(path: Path, changes: Sequence[str], *, full: bool, as_json: bool) -> int:
    """Print the steps that come out otherwise, each beside the recorded one; returns 0.

    Raises:
        CommandFailed: the trace cannot be read, or a change cannot be made.
    """
    console = Console(highlight=False, soft_wrap=True)
    try:
        reader = TraceReader(path)
        steps = what_if(reader, [parse_change(change) for change in changes])
        if as_json:
            _print_json(steps)
        else:
            painter = Painter(reader.header, None if full else console.width)
            for line in _painted(steps, painter):
                put(line, console)
    except (TraceError, ChangeError) as error:
        raise CommandFailed(printable(str(error))) from error
    return 0


def _painted(steps: Iterator[WhatIf], painter: Painter) -> Iterator[Text]:
    yield painter.title()
    alike = others = seq = 0
    last = ""
    for step in steps:
        last = step.target
        seq = step.recorded.seq if step.recorded is not None else seq
        if step.is_same:
            alike += 1
            continue
        if alike:
            yield painter.aside(f"… {alike} steps as recorded")
            alike = 0
        others += 1
        line = _line(step, seq)
        yield painter.step(line)
        yield from map(painter.effect, line.effects)
        yield from _beside(step, painter)
    if alike:
        yield painter.aside(f"… {alike} steps as recorded")
    ends = f"; it ends in {last}" if last else ""
    if others:
        count = f"{others} steps come" if others > 1 else "1 step comes"
        yield Text(f"{count} out otherwise{ends}", "yellow")
    else:
        yield Text(f"nothing comes out otherwise{ends}", "green")


def _beside(step: WhatIf, painter: Painter) -> Iterator[Text]:
    """What the recording has in the place of this step."""
    recorded = step.recorded
    if recorded is None:
        yield painter.aside("recorded: this timer did not run out here", "cyan")
        return
    moved = recorded.source != recorded.target
    state = f"{recorded.source} → {recorded.target}" if moved else recorded.source
    at = f" at {recorded.t:.3f} s" if recorded.t != step.t else ""
    yield painter.aside(f"recorded{at}: {state}", "cyan")
    for effect in recorded.effects:
        if effect not in step.effects:
            yield painter.effect(effect)


def _line(step: WhatIf, seq: int) -> Line:
    return Line(
        seq=seq,
        t=step.t,
        event=step.event,
        source=step.source,
        target=step.target,
        effects=step.effects,
    )


def _print_json(steps: Iterator[WhatIf]) -> None:
    for step in steps:
        recorded = step.recorded
        plain = {
            "seq": recorded.seq if recorded is not None else None,
            "t": step.t,
            "event": step.event,
            "from": step.source,
            "to": step.target,
            "effects": step.effects,
            "as_recorded": step.is_same,
        }
        # In ASCII, so that no control character reaches the terminal.
        sys.stdout.write(json.dumps(plain) + "\n")
