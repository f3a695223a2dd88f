"""A stage for one call: a real ``AgentSession``, its caller and its loudspeaker, and Phonic's part,
which a script plays message by message. Everything takes as long as on the phone, and the session
is recorded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from anyio import to_thread
from livekit import rtc
from livekit.agents import Agent, AgentSession, TurnHandlingOptions
from support.scripted import Peer, PhonicServer

from phonic_fsm import RealtimeModel, RealtimeSession, observe
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.simulator import speak
from phonic_fsm.testing import Caller, Playback, Sound

RATE = 24_000

PLAYED = 0.1
"""Seconds until LiveKit has heard that all was played."""


class Room(Caller):
    """A caller in a room that is never quite silent, as rooms are."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate)
        self._noise = np.random.default_rng(7)

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        noise = self._noise.integers(-16, 17, frame.samples_per_channel, np.int16)
        samples = np.frombuffer(frame.data, np.int16) // 2 + noise
        return rtc.AudioFrame(samples.tobytes(), frame.sample_rate, 1, frame.samples_per_channel)


class Stage:
    """One call. ``peer`` is Phonic's side, once ``open`` has opened the conversation."""

    def __init__(self, server: PhonicServer, session: AgentSession[Any], agent: Agent) -> None:
        self.server = server
        self.session = session
        self.agent = agent
        self.caller: Caller = session.input.audio  # type: ignore[assignment]
        self.peer: Peer

    @property
    def phonic(self) -> RealtimeSession:
        """The present agent's session with Phonic."""
        used = self.session.current_agent.realtime_llm_session
        assert isinstance(used, RealtimeSession)
        return used

    async def open(self, conversation_id: str = "conv_1") -> None:
        self.peer = await self.server.accept()
        await self.peer.open_conversation(conversation_id)

    async def pause(self, seconds: float) -> None:
        """Let time pass, as it does in the call."""
        await anyio.sleep(seconds)

    # -- the caller ------------------------------------------------------------------------------

    async def say(self, words: str, *, loudness: float = 1.0) -> None:
        """The caller says this, and Phonic notices nothing of it."""
        # In a thread: it would hold up the event loop, which the trace would tell.
        sound = await to_thread.run_sync(speak, words, self.caller.sample_rate)
        pcm = sound.pcm
        await self.caller.say(Sound(quieter(pcm, loudness), self.caller.sample_rate))

    async def turn(self, words: str) -> None:
        """The caller says this, and Phonic gives the transcript."""
        await self.peer.send(phonic.UserStartedSpeaking())
        await self.say(words)
        await self.peer.send(phonic.UserFinishedSpeaking(), phonic.InputText(words, "en"))

    # -- the assistant ---------------------------------------------------------------------------

    async def begin(self, words: str, seconds: float) -> None:
        """An answer comes, all of it at once, and not its end."""
        await self.peer.send(phonic.AssistantStartedSpeaking(), audio(words, seconds))

    async def answer(self, words: str, seconds: float = 1.0) -> None:
        """An answer comes, and is played."""
        await self.stream(words, seconds)
        await self.pause(seconds + PLAYED)

    async def stream(self, words: str, seconds: float) -> None:
        """An answer comes, all of it at once."""
        await self.begin(words, seconds)
        await self.peer.send(phonic.AssistantFinishedSpeaking())

    async def call(self, tool: str, call_id: str = "call_1", **arguments: Any) -> None:
        """The assistant calls a tool."""
        await self.peer.send(phonic.ToolCall(call_id, tool, arguments))

    async def output(self) -> str:
        """Take the output of the call, and say so."""
        while not isinstance(message := await self.peer.receive(), client.ToolCallOutput):
            assert message is not None, "the session has closed the connection"
        await self.peer.send(phonic.ToolCallOutputProcessed(tool_call_id=message.tool_call_id))
        return str(message.output)


def audio(words: str, seconds: float) -> phonic.AudioChunk:
    """A chunk of the assistant's audio with these words."""
    pcm = speak("la " * (3 * round(seconds) + 3), RATE).pcm[: int(seconds * RATE) * 2]
    return phonic.AudioChunk(pcm, words)


def quieter(pcm: bytes, loudness: float) -> bytes:
    return (np.frombuffer(pcm, np.int16) * loudness).astype(np.int16).tobytes()


@asynccontextmanager
async def on_stage(
    agent: Agent,
    trace: Path,
    *,
    caller: Caller | None = None,
    playback: Playback | None = None,
    server: PhonicServer | None = None,
    url: str = "",
    manual: bool = False,
    **options: Any,
) -> AsyncIterator[Stage]:
    """A call with this agent, recorded to ``trace``. The block's end hangs up. If it is
    ``manual``, the agent's code says when the caller's turn begins and ends."""
    async with PhonicServer() as own:
        server = server or own
        model = RealtimeModel(
            api_key="recording-key",
            base_url=url or server.url,
            trace=trace,
            **options,
        )
        session: AgentSession[Any] = AgentSession(
            llm=model,
            turn_handling=TurnHandlingOptions(
                turn_detection="manual" if manual else "realtime_llm"
            ),
        )
        session.input.audio = caller or Room(RATE)
        session.output.audio = playback or Playback(RATE)
        try:
            await session.start(agent)
            observe(session)
            yield Stage(server, session, agent)
        finally:
            await session.aclose()
