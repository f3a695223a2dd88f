"""What records a session, and who is told how that goes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from .._core import events
from .._core.history import History
from .._core.machine import Step
from .._wire.bounds import Bound


class RecordingWatcher(Protocol):
    """Is told how the recording goes, in any thread. It never raises."""

    def bounded(self, bound: Bound) -> None:
        """The recording ends before the session: there is too much of it."""

    def appended(self, seconds: float, failed: bool) -> None:
        """A journal's store has taken lines, or has not, after so many seconds."""

    def stored(self, delay: float) -> None:
        """All that was recorded is in the store, the oldest of it after so many seconds."""


class Recorder(Protocol):
    """Gets every step and all audio of the caller, in order. It must not raise."""

    def watch(self, watcher: RecordingWatcher) -> None:
        """Tell this one from now on. It is called before anything is recorded."""

    @property
    def path(self) -> Path | None:
        """The path of the trace, if there is a file and its name is known."""

    def record(self, step: Step) -> None: ...

    def checkpoint(self, history: History) -> events.Checkpoint | None:
        """A checkpoint, if it is time for one. Asked for many times a second."""

    def record_audio(self, audio: bytes) -> None: ...

    def close(self) -> None:
        """Expect no more."""

    def linger(self) -> None:
        """Expect little more, and nothing after a while. What was recorded is written at once."""

    async def written(self) -> None:
        """Return when all that was recorded is written, or when writing it takes too long."""
