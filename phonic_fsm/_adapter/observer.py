"""Tells the trace what only the ``AgentSession`` knows: what was played, and when tools ran.

LiveKit does not tell a realtime session which ``AgentSession`` uses it. In a job it is found
(``job``); elsewhere ``phonic_fsm.observe`` names it. Nothing that is observed changes what the
session does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession, ToolExecutionUpdatedEvent, llm
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted
from livekit.agents.voice.io import AudioOutput, PlaybackFinishedEvent, PlaybackStartedEvent

from .._core.events import Observation, PlaybackFinished, PlaybackStarted, ToolEnded, ToolStarted
from .job import agent_session


class Observer:
    """Follows the ``AgentSession`` that uses one realtime session."""

    def __init__(
        self, session: llm.RealtimeSession[Any], report: Callable[[Observation], None]
    ) -> None:
        self._session = session
        self._report = report
        self._observed: AgentSession[Any] | None = None
        self._output: AudioOutput | None = None

    def find(self) -> None:
        """Follow the job's ``AgentSession``, if there is one and it uses this session."""
        if self._observed is None and (found := agent_session()) is not None:
            try:
                uses_this = found.current_agent.realtime_llm_session is self._session
            except RuntimeError:  # it has no agent yet, or one without a realtime session
                return
            if uses_this:
                self.follow(found)

    def follow(self, session: AgentSession[Any]) -> None:
        """Follow this one from now on."""
        self.leave()
        self._observed = session
        session.on("tool_execution_updated", self._on_tool)
        self._output = session.output.audio
        if self._output is not None:
            self._output.on("playback_started", self._on_started)
            self._output.on("playback_finished", self._on_finished)

    def leave(self) -> None:
        """Follow nothing any more."""
        if self._observed is not None:
            self._observed.off("tool_execution_updated", self._on_tool)
            self._observed = None
        if self._output is not None:
            self._output.off("playback_started", self._on_started)
            self._output.off("playback_finished", self._on_finished)
            self._output = None

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
