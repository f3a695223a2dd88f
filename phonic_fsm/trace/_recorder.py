"""Records a session while it runs: the event loop queues steps, the writer's thread writes them.

That thread makes the file, takes out what the trace must not hold, and writes. So the event loop
never waits for a disk. If anything goes wrong there, the trace ends with a warning, and the call
goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Literal, TypeVar

from .._core.context import Settings
from .._core.history import History
from .._core.machine import Step
from .._runtime.recorder import RecordingWatcher
from .._runtime.secrets import Secrets
from ._lines import CAN_WAIT, size_of
from ._output import TraceOutput
from ._recording import Recording
from ._runs import Taken, taken

logger = logging.getLogger("phonic_fsm")

T = TypeVar("T")

LONGEST_QUEUE = 10_000
"""The most steps that may wait for the disk (100 s of a conversation, 15 MB). With more, the trace
ends."""

LARGEST_QUEUE = 32 * 2**20
"""The most bytes that these steps, with their audio, may have."""

MANY = 200
"""So many waiting steps are written at once. Audio may come much faster than it is played."""

LONGEST_LINGER = 10.0
"""For so many seconds after the session is closed, a trace takes what is observed of its end."""

LONGEST_WAIT = 0.5
"""The most seconds that the end of a session waits for its trace."""


class TraceRecorder:
    """Records one session."""

    def __init__(
        self,
        recording: Recording,
        settings: Settings,
        secrets: Secrets,
        *,
        job: str = "",
        room: str = "",
    ) -> None:
        """``job`` and ``room`` are for the file's name."""
        self._output = TraceOutput(recording, settings, secrets, job, room)
        self._secrets = secrets
        self._wants_audio = recording.audio
        self._watcher: RecordingWatcher | None = None
        self._began = time.monotonic()
        self._steps: deque[Taken] = deque()
        self._audio: deque[tuple[float, bytes]] = deque()
        """What waits, each with its time (s): steps, and audio of the caller."""
        self._queued_bytes = self._written_bytes = 0
        """About as many as all so far take; each is counted by one thread only."""
        self._ending: Literal["closed", "overrun"] | None = None
        """Why nothing more is queued."""
        self._lingers_until: float | None = None
        """When the recording ends by itself, once the session is closed (monotonic)."""
        self._written: Future[None] = Future()
        self._writer = recording.writer
        self._writer.add(self)

    @property
    def path(self) -> Path | None:
        """The trace's path, once the file is open; ``None`` if the trace goes to a function."""
        return self._output.path

    # -- in the event loop -----------------------------------------------------------------------

    def watch(self, watcher: RecordingWatcher) -> None:
        self._watcher = watcher

    def record(self, step: Step) -> None:
        """Take one step. Never waits, never raises."""
        self._queue_up(self._steps, taken(self._now(), step), size_of(step))
        if type(step.event) not in CAN_WAIT:
            # Any other step may explain a crash that comes next.
            self._writer.look(self)

    def checkpoint(self, _: History) -> None:
        """A trace needs none."""

    def record_audio(self, audio: bytes) -> None:
        """Take audio of the caller, when it is sent."""
        if self._wants_audio:
            self._queue_up(self._audio, (self._now(), audio), len(audio))

    def close(self) -> None:
        """End the recording. What is queued is still written."""
        if self._ending is None:
            self._ending = "closed"
            self._writer.look(self)

    def linger(self) -> None:
        """Have what is queued written now, and take a few more steps, for ``LONGEST_LINGER``."""
        self._lingers_until = time.monotonic() + LONGEST_LINGER
        self._writer.look(self)

    async def written(self) -> None:
        """Wait until what was recorded before the end is written, or for ``LONGEST_WAIT`` if the
        disk is slow."""
        await asyncio.wait([asyncio.wrap_future(self._written)], timeout=LONGEST_WAIT)

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _queue_up(self, queue: deque[T], what: T, size: int) -> None:
        if self._ending is not None:
            return
        waiting = self._queued_bytes - self._written_bytes
        if len(queue) < LONGEST_QUEUE and waiting + size <= LARGEST_QUEUE:
            queue.append(what)
            self._queued_bytes += size
            if len(queue) == MANY:
                self._writer.look(self)
        else:
            logger.warning(
                "the trace %s ends here: it is not written fast enough", self._output.name
            )
            self._ending = "overrun"
            self._tell_bound()

    # -- in the writer's thread ------------------------------------------------------------------

    def drain(self) -> bool:
        """Write what is queued; returns whether more may come."""
        try:
            if self._write():
                return True
        except BaseException as error:  # noqa: BLE001 - the user's function may raise anything, or exit
            ends = (
                f"the trace {self._output.name} ends here"
                if self._output.is_open
                else "no trace is recorded"
            )
            why = str(error) or type(error).__name__
            logger.warning("%s: %s", ends, self._secrets.hide(why))
            self._output.abandon()
        self._ending = self._ending or "closed"
        self._forget()
        self._is_written()
        return False

    def let_go(self) -> None:
        """Write nothing any more: in a forked child, the trace is the parent's."""
        self._ending = "closed"
        self._forget()
        self._output.let_go()
        # Another thread may have held the lock of the former one.
        self._written = Future()
        self._is_written()

    def _tell_bound(self) -> None:
        if self._watcher is not None:
            self._watcher.bounded("trace")

    def _forget(self) -> None:
        self._steps.clear()
        self._audio.clear()

    def _is_written(self) -> None:
        if not self._written.done():
            self._written.set_result(None)

    def _write(self) -> bool:
        # These are read first: what was queued before the end is in the queue by now.
        ending, lingers_until = self._ending, self._lingers_until
        if not self._output.is_open:
            self._output.open()
        queued_bytes = self._queued_bytes
        more = self._output.write(_taken_from(self._steps), _taken_from(self._audio))
        # What was queued meanwhile counts as waiting, until the next look.
        self._written_bytes = queued_bytes
        if not more:
            self._tell_bound()
        if more and ending == "overrun":
            self._output.end("overrun")
        if more and ending is None:
            if lingers_until is None:
                return True
            if time.monotonic() < lingers_until:
                self._output.linger()
                self._is_written()
                return True
        self._output.close()
        return False


def _taken_from(queue: deque[T]) -> list[T]:
    """All that waits. More may be queued meanwhile."""
    return [queue.popleft() for _ in range(len(queue))]
