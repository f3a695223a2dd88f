"""Where the assistant acts: its voice, and its doings as tasks that an interruption stops.

What it does there, and why, is ``assistant``'s and ``tool_use``'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from ._channel import Channel
from ._floor import Floor, Who
from ._settings import Settings
from ._speaker import Speaker
from ._voice import ASSISTANT_PITCH_HZ, speak


class Stage:
    """Speaks over ``channel``, and says on the ``floor`` when something goes on.

    ``settings`` and ``tasks`` come before all else.
    """

    settings: Settings
    tasks: TaskGroup
    """Where everything runs that takes time: that of the present connection."""

    def __init__(self, channel: Channel, floor: Floor) -> None:
        self.speaker = Speaker(channel.send)
        self._floor = floor
        self._scripts: dict[anyio.CancelScope, Who] = {}

    def begin(self, script: Callable[[], Awaitable[None]], who: Who = Who.ASSISTANT) -> None:
        """Run ``script`` until it is over or stopped."""
        # The scope exists before the task runs, so that a stop reaches it from the start.
        scope = anyio.CancelScope()
        self._scripts[scope] = who
        self._floor.take(who)
        self.tasks.start_soon(self._run, scope, script)

    async def speak(
        self,
        line: str,
        *,
        interruptible: bool = True,
        announced: bool = True,
        since: float | None = None,
    ) -> None:
        """Say one line, after those that wait already; ``since`` it was due (s, else now)."""
        wire_format = self.settings.output_format
        await self.speaker.speak(
            speak(line, wire_format.sample_rate, pitch_hz=ASSISTANT_PITCH_HZ),
            encode=wire_format.encode,
            ahead=self.settings.ahead,
            interruptible=interruptible,
            announced=announced,
            since=since,
        )

    def stop(self) -> str | None:
        """Stop everything at once: what was heard of the line that stays unfinished, if any."""
        for script in self._scripts:
            script.cancel()
        self._scripts.clear()
        heard = self.speaker.stop()
        self._floor.leave(Who.ASSISTANT)
        self._floor.leave(Who.POKE)
        return heard

    async def _run(self, scope: anyio.CancelScope, script: Callable[[], Awaitable[None]]) -> None:
        with scope:
            await script()
        who = self._scripts.pop(scope, None)
        if who is not None and who not in self._scripts.values():
            self._floor.leave(who, self.speaker.played_until)
