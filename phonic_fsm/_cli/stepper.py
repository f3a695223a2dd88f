"""``phonic-fsm replay --step``: goes through a trace with the keyboard, forward and back."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rich.console import Console, Group
from rich.layout import Layout
from rich.text import Text

from phonic_fsm.trace._format import Header
from phonic_fsm.trace._reader import TraceError

from .entries import Entry, last_seq
from .keyboard import pressed_keys
from .painter import Painter
from .text import printable

HELP = "Enter → forward   ← back   PgUp PgDn by ten   Home End   q quit"

_KEYS = {
    1: ("\r", "\n", " ", "n", "j", "\x1b[C", "\x1b[B", "\x1bOC", "\x1bOB", "\xe0M", "\xe0P"),
    -1: ("\x7f", "\b", "p", "k", "\x1b[D", "\x1b[A", "\x1bOD", "\x1bOA", "\xe0K", "\xe0H"),
    10: ("\x1b[6~", "\xe0Q"),
    -10: ("\x1b[5~", "\xe0I"),
}
LEAPS = {key: leap for leap, keys in _KEYS.items() for key in keys}
"""How many entries a key moves on. For some keys, terminals send escape sequences, and Windows
sends two characters."""

HOME = ("g", "\x1b[H", "\x1bOH", "\x1b[1~", "\xe0G")
END = ("G", "\x1b[F", "\x1bOF", "\x1b[4~", "\xe0O")
QUIT = ("q", "Q", "\x04")


class Stepper:
    """Shows the present entry whole, and above it the entries before.

    The trace is replayed only as far as the user has gone.
    """

    def __init__(self, shown: Iterator[Entry], header: Header, console: Console) -> None:
        self._shown = shown
        self._header = header
        self._console = console
        self._entries: list[Entry] = []
        self._at = 0
        self._end = ""
        """Why no entry follows the last one, once that is known."""
        self._problem: TraceError | None = None

    def run(self, begin_at: int) -> None:
        """Show the entry with the step ``begin_at``, then follow the keys until the user quits.

        Raises:
            TraceError: the user came to a line that cannot be read.
        """
        self._go(0)
        while not self._end and last_seq(self._entries[-1]) < begin_at:
            self._go(len(self._entries))
        with pressed_keys() as keys, self._console.screen(hide_cursor=True) as screen:
            screen.update(self._page())
            for key in keys:
                if key in QUIT:
                    break
                if key in HOME:
                    self._go(0)
                elif key in END:
                    self._go(sys.maxsize)
                else:
                    self._go(self._at + LEAPS.get(key, 0))
                screen.update(self._page())
        if self._problem is not None:
            raise self._problem

    def _go(self, to: int) -> None:
        while len(self._entries) <= to and not self._end:
            self._take()
        self._at = max(0, min(to, len(self._entries) - 1))

    def _take(self) -> None:
        try:
            self._entries.append(next(self._shown))
        except StopIteration:
            self._end = "the end"
        except TraceError as problem:
            self._problem = problem
            self._end = printable(str(problem))

    def _page(self) -> Layout:
        """The present entry whole, and above it as many entries before it as fit."""
        width, height = self._console.size
        present = list(self._paint(self._at, None)) if self._entries else [Text("no steps")]
        rows = len(self._console.render_lines(Group(*present), pad=False))
        above: list[Text] = []
        room = max(height - rows - 2, 0)
        for number in range(self._at - 1, -1, -1):
            if len(above) >= room:
                break
            above = [*self._paint(number, width), *above]
        above = above[max(len(above) - room, 0) :]
        page = Layout()
        page.split_column(
            Layout(Group(*above, Text("─" * width, "dim"), *present)),
            Layout(self._status(width), size=1),
        )
        return page

    def _paint(self, number: int, width: int | None) -> Iterator[Text]:
        former = self._entries[number - 1] if number else None
        return Painter(self._header, width).paint(self._entries[number], former)

    def _status(self, width: int) -> Text:
        status = Text(HELP, "reverse")
        if self._end and self._at >= len(self._entries) - 1:
            status = Text.assemble(f"{self._end}  ", status)
        status.truncate(width, overflow="ellipsis")
        return status
