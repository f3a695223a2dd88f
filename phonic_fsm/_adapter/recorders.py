"""Has several recorders record one session."""

from __future__ import annotations

import asyncio
from pathlib import Path

from .._core.events import Checkpoint
from .._core.history import History
from .._core.machine import Step
from .._runtime.recorder import Recorder, RecordingWatcher


def together(recorders: list[Recorder]) -> Recorder | None:
    """The recorders as one; ``None`` if there is none."""
    if len(recorders) > 1:
        return _Together(recorders)
    return recorders[0] if recorders else None


class _Together:
    def __init__(self, recorders: list[Recorder]) -> None:
        self._recorders = recorders

    def watch(self, watcher: RecordingWatcher) -> None:
        for one in self._recorders:
            one.watch(watcher)

    @property
    def path(self) -> Path | None:
        return next((one.path for one in self._recorders if one.path is not None), None)

    def record(self, step: Step) -> None:
        for one in self._recorders:
            one.record(step)

    def checkpoint(self, history: History) -> Checkpoint | None:
        due = (one.checkpoint(history) for one in self._recorders)
        return next((checkpoint for checkpoint in due if checkpoint is not None), None)

    def record_audio(self, audio: bytes) -> None:
        for one in self._recorders:
            one.record_audio(audio)

    def linger(self) -> None:
        for one in self._recorders:
            one.linger()

    def close(self) -> None:
        for one in self._recorders:
            one.close()

    async def written(self) -> None:
        await asyncio.gather(*(one.written() for one in self._recorders))
