"""A phone call with an agent: the caller speaks, listens and waits for their turn."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import anyio
from livekit.agents import Agent, AgentSession, llm

from .._adapter.session import RealtimeSession
from .._core.states import State
from ..simulator import Scenario, speak
from ._caller import Caller
from ._playback import Playback
from ._script import play
from ._sound import Sound

SAMPLE_RATE = 24_000

QUIET = 0.7
"""Seconds of silence after which the agent has finished and it is the caller's turn."""


class PhoneCall:
    """A phone call with an ``AgentSession`` whose ``llm`` is a ``RealtimeModel``, or LiveKit's
    ``RealtimeModelFallbackAdapter`` with a ``RealtimeModel`` as the first of its models.

    Entering it starts the session with ``agent``; leaving it closes the session. Everything takes
    as long as on the phone::

        async with PhoneCall(session, agent) as call:
            await call.say("What is the weather like in Paris?")
            await call.until_quiet()
    """

    def __init__(
        self,
        session: AgentSession[Any],
        agent: Agent,
        *,
        caller: Caller | None = None,
        patience: float = 30.0,
    ) -> None:
        """Put a caller and a loudspeaker on the session. ``patience`` is how long (s) each wait
        for the agent may take."""
        self.session = session
        self.caller = caller or Caller(SAMPLE_RATE)
        self.playback = Playback(SAMPLE_RATE)
        session.input.audio = self.caller
        session.output.audio = self.playback
        self._agent = agent
        self._patience = patience
        self._answers = 0
        """How many pieces of speech had been played when the caller last began to speak."""
        self._is_closed = False
        self._realtime: llm.RealtimeSession[Any]
        """The agent's session with its model, once the call has begun."""

    async def __aenter__(self) -> PhoneCall:
        self.session.once("close", self._note_the_end)
        try:
            await self.session.start(self._agent)
            self._realtime = self._agent.realtime_llm_session
            _ = self.phonic  # raises if there is none
        except BaseException:  # also a cancelled start has begun a session
            await self._hang_up()
            raise
        return self

    def _note_the_end(self, _: object) -> None:
        self._is_closed = True

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._hang_up()

    async def _hang_up(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.session.aclose()

    @property
    def phonic(self) -> RealtimeSession:
        """The agent's session with Phonic, once the call has begun. Of an answer that was
        interrupted, its ``chat_ctx`` has the part that was heard.

        Behind a fallback adapter it is the session in use, which changes when the adapter takes
        the next model.

        Raises:
            TypeError: the model in use is not Phonic.
        """
        in_use = self._in_use
        if not isinstance(in_use, RealtimeSession):
            raise TypeError(f"the agent speaks through {type(in_use).__name__}, not Phonic")
        return in_use

    @property
    def _in_use(self) -> object:
        # LiveKit's fallback adapter has no public way to the session that it uses.
        return getattr(self._realtime, "_active", self._realtime)

    @property
    def over(self) -> bool:
        """Whether the call has ended: the conversation with Phonic, or, behind a fallback adapter,
        the ``AgentSession``."""
        if self._is_closed:
            return True
        realtime = self._realtime
        return isinstance(realtime, RealtimeSession) and realtime.state is State.closed

    @property
    def _is_ready(self) -> bool:
        """Whether the agent waits for the caller."""
        in_use = self._in_use
        if isinstance(in_use, RealtimeSession):
            return in_use.state is State.ready
        return self.session.agent_state == "listening"

    async def play(self, scenario: Scenario) -> None:
        """Speak the part of the scenario's caller: hear the welcome, then say turn by turn.

        After a turn with ``interrupt_after_ms`` the next begins while the agent still speaks.

        Raises:
            TimeoutError: the agent did not answer within ``patience``.
        """
        await play(self, scenario)

    async def say(self, words: str | Sound) -> None:
        """Say ``words``, and return when they are said or the call is over.

        Text is spoken at about 165 words a minute.
        """
        self._answers = self.playback.segments
        if isinstance(words, str):
            words = Sound(speak(words, self.caller.sample_rate).pcm, self.caller.sample_rate)
        with anyio.CancelScope() as scope:

            def stop(_: object) -> None:
                scope.cancel()

            self.session.on("close", stop)
            try:
                if not self.over:
                    await self.caller.say(words)
            finally:
                self.session.off("close", stop)

    async def until_answer(self) -> None:
        """Wait until the agent has been heard since the caller last began to speak.

        Raises:
            TimeoutError: it was not within ``patience``.
        """
        with anyio.fail_after(self._patience):
            # Polling serves the two conditions at once, and 20 ms is soon enough for both.
            while self.playback.segments == self._answers and not self.over:  # noqa: ASYNC110
                await anyio.sleep(0.02)

    async def until_quiet(self) -> None:
        """Wait until the agent has finished: 0.7 s of silence in the state ``ready``, or, with
        another model than Phonic, in the agent state ``listening``.

        Raises:
            TimeoutError: it has not within ``patience``.
        """
        with anyio.fail_after(self._patience):
            quiet_since = anyio.current_time()
            while not self.over and anyio.current_time() - quiet_since < QUIET:
                await anyio.sleep(0.02)
                if self.playback.playing or not self._is_ready:
                    quiet_since = anyio.current_time()
