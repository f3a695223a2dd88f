"""Tells the trace what only the ``AgentSession`` knows: what was played, when tools ran, what state
LiveKit takes the agent to be in, and why the call ended.

LiveKit does not tell a realtime session which ``AgentSession`` uses it. In a job it is found
(``job``); elsewhere ``phonic_fsm.observe`` names it. Nothing that is observed changes what the
session does.

An ``AgentSession`` closes its realtime session first, and tells why it does so when that is done.
So an observer still follows it, and the trace is open for a while, after the session is closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    CloseEvent,
    CloseReason,
    ConversationItemAddedEvent,
    JobContext,
    ToolExecutionUpdatedEvent,
    get_job_context,
    llm,
)
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted
from livekit.agents.voice.io import AudioOutput, PlaybackFinishedEvent, PlaybackStartedEvent

from .._core.events import (
    AgentChanged,
    AgentSessionClosed,
    AgentState,
    JobShutDown,
    Observation,
    PlaybackFinished,
    PlaybackStarted,
    ToolEnded,
    ToolStarted,
)
from .job import agent_session

LOST = frozenset(
    {
        rtc.DisconnectReason.UNKNOWN_REASON,
        rtc.DisconnectReason.SERVER_SHUTDOWN,
        rtc.DisconnectReason.STATE_MISMATCH,
        rtc.DisconnectReason.JOIN_FAILURE,
        rtc.DisconnectReason.MIGRATION,
        rtc.DisconnectReason.SIGNAL_CLOSE,
        rtc.DisconnectReason.CONNECTION_TIMEOUT,
        rtc.DisconnectReason.MEDIA_FAILURE,
    }
)
"""The reasons for which an agent is out of its room though nobody has meant to end the call."""


ENDED_WITHIN = 20.0
"""For so many seconds after its room connection was made anew, LiveKit may end a job for it: the
entrypoint has 15 s to return before the session is closed."""


class Observer:
    """Follows the ``AgentSession`` that uses one realtime session."""

    def __init__(
        self,
        session: llm.RealtimeSession[Any],
        report: Callable[[Observation], None],
        all_is_told: Callable[[], None],
        room_is_lost: Callable[[str], None],
        *,
        goes_on: bool,
    ) -> None:
        """``all_is_told`` is called when the session is closed and no more will be reported;
        ``room_is_lost`` when the job has lost its room for good, with LiveKit's reason. ``goes_on``
        tells that another process had the call before."""
        self._session = session
        self._report = report
        self._all_is_told = all_is_told
        self._room_is_lost = room_is_lost
        self._goes_on = goes_on
        self._observed: AgentSession[Any] | None = None
        self._output: AudioOutput | None = None
        self._job: JobContext | None = None
        self._connected_anew: float | None = None
        """When the job's room connection was last made anew (s, by the monotonic clock)."""
        self._room_left: str | None = None
        self._caller_left: str | None = None
        self._session_is_closed = self._agent_session_is_closed = False

    def find(self) -> None:
        """Follow the job's ``AgentSession``, if there is one and it uses this session."""
        if self._observed is None and (found := agent_session()) is not None:
            try:
                uses_this = found.current_agent.realtime_llm_session is self._session
            except RuntimeError:  # it has no agent yet, or one without a realtime session
                return
            if uses_this:
                self.follow(found)

    @property
    def observed(self) -> AgentSession[Any] | None:
        """The ``AgentSession`` that uses the session, if it is known."""
        self.find()
        return self._observed

    @property
    def job_may_be_ended(self) -> bool:
        """Whether LiveKit may have ended the job because its room connection was made anew, though
        the caller is still there. It tells nobody before the session is closed."""
        return (
            self._job is not None
            and self._connected_anew is not None
            and time.monotonic() - self._connected_anew < ENDED_WITHIN
            and any(map(_is_caller, self._job.room.remote_participants.values()))
        )

    def follow(self, session: AgentSession[Any]) -> None:
        """Follow this one from now on."""
        self.leave()
        self._observed = session
        session.on("tool_execution_updated", self._on_tool)
        session.on("agent_state_changed", self._on_state)
        session.on("conversation_item_added", self._on_item)
        session.on("close", self._on_close)
        self._output = session.output.audio
        if self._output is not None:
            self._output.on("playback_started", self._on_started)
            self._output.on("playback_finished", self._on_finished)
        self._follow_job()
        self._skip_warm_up(session)
        self._report(AgentState(session.agent_state))

    def session_is_closed(self) -> bool:
        """Follow only what tells why the session was closed. Returns whether anything may."""
        self.find()  # It may have been closed before it was ever ready.
        self._session_is_closed = True
        self._leave_output()
        if self._observed is None:
            return False
        self._observed.off("tool_execution_updated", self._on_tool)
        self._observed.off("agent_state_changed", self._on_state)
        return True

    def leave(self) -> None:
        """Follow nothing any more."""
        self._leave_output()
        if self._observed is not None:
            self._observed.off("tool_execution_updated", self._on_tool)
            self._observed.off("agent_state_changed", self._on_state)
            self._observed.off("conversation_item_added", self._on_item)
            self._observed.off("close", self._on_close)
            self._observed = None
        if self._job is not None:
            self._job.room.off("reconnecting", self._on_reconnecting)
            self._job.room.off("disconnected", self._on_room_left)
            self._job.room.off("participant_disconnected", self._on_participant_left)
            self._job = None

    def _skip_warm_up(self, session: AgentSession[Any]) -> None:
        """Let the caller talk over the first words of an agent that goes on with a call.

        While an ``AgentSession`` speaks for the first time, it takes 3 s of silence for what the
        caller says, as the caller's echo canceller has yet to learn. Here it has learned with the
        former agent. LiveKit begins the 3 s anew when the caller joins, so this is done again.
        """
        if self._goes_on:
            session._on_aec_warmup_expired()

    def _leave_output(self) -> None:
        if self._output is not None:
            self._output.off("playback_started", self._on_started)
            self._output.off("playback_finished", self._on_finished)
            self._output = None

    def _follow_job(self) -> None:
        job = get_job_context(required=False)
        if job is None:
            return
        self._job = job
        job.room.on("reconnecting", self._on_reconnecting)
        job.room.on("disconnected", self._on_room_left)
        job.room.on("participant_disconnected", self._on_participant_left)

        async def tell(reason: str) -> None:
            if self._job is not None:
                self._report(JobShutDown(reason))
                if self._agent_session_is_closed:
                    self._end()

        job.add_shutdown_callback(tell)

    def _end(self) -> None:
        self.leave()
        if self._session_is_closed:
            self._all_is_told()

    # -- what LiveKit says -----------------------------------------------------------------------

    def _on_tool(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if isinstance(update, ToolCallStarted):
            self._report(ToolStarted(update.function_call.call_id))
        elif isinstance(update, ToolCallEnded):
            self._report(ToolEnded(update.call_id, update.status))

    def _on_started(self, _: PlaybackStartedEvent) -> None:
        self._report(PlaybackStarted())

    def _on_finished(self, event: PlaybackFinishedEvent) -> None:
        self._report(PlaybackFinished(round(event.playback_position, 3), event.interrupted))

    def _on_state(self, event: AgentStateChangedEvent) -> None:
        if self._observed is not None:
            self._skip_warm_up(self._observed)
        self._report(AgentState(event.new_state))

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, llm.AgentHandoff):
            self._report(AgentChanged(item.new_agent_id, item.old_agent_id))
            if self._session_is_closed:  # The new agent has a session of its own.
                self._end()

    def _on_close(self, event: CloseEvent) -> None:
        self._agent_session_is_closed = True
        error = event.error
        what = None if error is None else f"{error.label}: {error.error}"
        self._report(
            AgentSessionClosed(event.reason.value, what, self._room_left, self._caller_left)
        )
        # For the end of a job, LiveKit gives the same reason as for an ``aclose`` of the user's.
        if self._job is None or event.reason is not CloseReason.USER_INITIATED:
            self._end()

    def _on_reconnecting(self) -> None:
        self._connected_anew = time.monotonic()

    def _on_room_left(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._room_left = rtc.DisconnectReason.Name(reason)
        if reason in LOST:
            self._room_is_lost(self._room_left)

    def _on_participant_left(self, participant: rtc.RemoteParticipant) -> None:
        reason = participant.disconnect_reason
        if reason is not None and _is_caller(participant):
            self._caller_left = rtc.DisconnectReason.Name(reason)


def _is_caller(participant: rtc.RemoteParticipant) -> bool:
    return participant.kind != rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
