"""How a session comes by a call that another process had, and how it leaves its own to another.

A call changes its process when the one that has it dies, moves it, or loses its room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from livekit import rtc
from livekit.agents import llm

from .._core import events
from .._core.machine import SessionMachine
from .._core.states import State
from .._runtime.fence import Task
from .._runtime.lease import Lease
from ..durable._ownership import Ownership
from .job import room_is_going
from .meters import SessionMeters
from .moving import MoveOutcome, Mover
from .recovery import Remnant, Succession


class Handovers:
    """Those of one session. Without a lease it leaves its call to nobody."""

    def __init__(
        self,
        lease: Lease | None,
        succession: Succession | Remnant | None,
        *,
        rests: Callable[[], bool],
        start: Callable[[Task], None],
        dispatch_unattended: Callable[[events.Event], None],
        meters: SessionMeters | None,
    ) -> None:
        """``succession`` is what the session goes on from. ``rests`` says whether nobody speaks at
        present, and ``start`` runs a task of the session's."""
        self._dispatch_unattended = dispatch_unattended
        self._meters = meters
        self._is_durable = lease is not None
        self._remnant = succession if isinstance(succession, Remnant) else None
        self._succession = succession if isinstance(succession, Succession) else None
        self.overheard = self._succession.overheard if self._succession is not None else None
        """What the caller says, until LiveKit brings it. Each frame asks for it, so it costs no
        call."""
        self._mover = (
            Mover(
                lease,
                rests=rests,
                start=start,
                leave=lambda: self._leave("the call moves"),
                tell=self._tell_move,
            )
            if isinstance(lease, Ownership)
            else None
        )

    # -- from another process --------------------------------------------------------------------

    @property
    def request_prefix(self) -> str:
        """Begins the ids of requests. Those of a process that had the call before differ."""
        return "reply" if self._succession is None else f"reply_{self._succession.number}"

    def first_event(self, repeatable_tools: tuple[str, ...]) -> events.Open | events.TakeOver:
        """What the session begins with."""
        if self._remnant is not None:
            return self._remnant.event()
        if self._succession is None:
            return events.Open()
        return self._succession.event(repeatable_tools)

    def items(self, machine: SessionMachine) -> list[llm.ChatItem]:
        """What was said before, as chat items. The machine has taken its first step."""
        return [] if self._succession is None else self._succession.items(machine)

    def take_overheard(self, first: rtc.AudioFrame | None = None) -> list[rtc.AudioFrame]:
        """What the caller said while the call moved, up to ``first``, the first audio that LiveKit
        brings."""
        if self._succession is None or self.overheard is None:
            return []
        overheard, self.overheard = self.overheard, None
        frames = overheard.stop(self._succession.died, first)
        if overheard.gave_way and self._meters is not None:
            self._meters.bounded("overheard_audio")
        return frames

    @property
    def listening(self) -> list[asyncio.Task[None]]:
        """The tasks that have listened to the caller meanwhile."""
        overheard = self._succession.overheard if self._succession is not None else None
        return [] if overheard is None or overheard.task is None else [overheard.task]

    # -- to another process ----------------------------------------------------------------------

    @property
    def look(self) -> Callable[[], None] | None:
        """Is to be called several times a second, where calls can move."""
        return self._mover.look if self._mover is not None else None

    def want_move(self) -> None:
        """Move the call as soon as that is possible."""
        if self._mover is not None:
            self._mover.want()

    def lose_room(self, reason: str) -> None:
        """The job has lost its room for good, with LiveKit's reason."""
        if self._is_durable:
            self._leave(f"the agent has lost the room ({reason})")

    async def before_close(self, state: State, *, job_may_be_ended: bool) -> None:
        """Leave the call if LiveKit closes the session because it has ended the job, not the call.

        ``job_may_be_ended`` says whether it may have done so a while ago.
        """
        goes_on = state not in (State.last_words, State.closed)
        if self._is_durable and goes_on and (job_may_be_ended or await room_is_going()):
            self._leave("the agent's connection to the room was made anew, which ended its job")

    def _tell_move(self, outcome: MoveOutcome) -> None:
        if self._meters is not None:
            self._meters.moved(outcome)

    def _leave(self, reason: str) -> None:
        self._dispatch_unattended(events.LeaseLost(reason))
