"""How a session comes by a call that another process had, and how it leaves its own to another.

A call changes its process when the one that has it dies, moves it, or loses its room.
"""

from __future__ import annotations

from collections.abc import Callable

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
from .succession import Inherited, Remnant, Succession


class Handovers:
    """Those of one session. Without a lease it leaves its call to nobody."""

    def __init__(
        self,
        lease: Lease | None,
        past: Inherited | None,
        *,
        rests: Callable[[], bool],
        start: Callable[[Task], None],
        dispatch_unattended: Callable[[events.Event], None],
        part: Callable[[], bytes],
        meters: SessionMeters | None,
    ) -> None:
        """``past`` is what the session goes on from. ``part`` returns what the successor
        in a move is told of the caller's audio. ``rests`` says whether nobody speaks at
        present, and ``start`` runs a task of the session's."""
        self._dispatch_unattended = dispatch_unattended
        self._meters = meters
        self._lease, self._part = lease, part
        self._is_durable = lease is not None
        self._remnant = past if isinstance(past, Remnant) else None
        self._succession = past if isinstance(past, Succession) else None
        self._mover = (
            Mover(
                lease,
                rests=rests,
                start=start,
                leave=self._move,
                tell=self._tell_move,
            )
            if isinstance(lease, Ownership)
            else None
        )

    # -- from another process --------------------------------------------------------------------

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

    # -- to another process ----------------------------------------------------------------------

    @property
    def look(self) -> Callable[[], None] | None:
        """Is to be called several times a second, where calls can move."""
        return self._mover.look if self._mover is not None else None

    def note_change(self) -> None:
        """The application has remembered something, of which a successor may not know."""
        if self._mover is not None:
            self._mover.turn_successor_away()

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

    def _move(self) -> None:
        assert isinstance(self._lease, Ownership)
        self._lease.parting = self._part()
        self._leave("the call moves")

    def _tell_move(self, outcome: MoveOutcome) -> None:
        if self._meters is not None:
            self._meters.moved(outcome)

    def _leave(self, reason: str) -> None:
        self._dispatch_unattended(events.LeaseLost(reason))
