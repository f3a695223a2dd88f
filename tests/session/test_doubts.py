"""Replies and transcripts, however the open questions about Phonic turn out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from livekit.agents import llm
from support import clock
from support.scripted import PATIENCE, Emitted, Heard, read

from phonic_fsm import RealtimeModel, RealtimeSession
from phonic_fsm._wire import server
from phonic_fsm.simulator import Doubts, PhonicSimulator, Scenario

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """What is waited for takes an eighth of its time."""
    return clock.backend(speed=8)


WELCOME = "Welcome to us."


def variants(name: str) -> pytest.MarkDecorator:
    """The default, and every other variant of a doubt."""
    others = [d for d in Doubts.each_variant() if d.differences()[0].startswith(f"{name}=")]
    assert others, name
    return pytest.mark.parametrize(
        "doubts", [pytest.param(d, id=" ".join(d.differences())) for d in (Doubts(), *others)]
    )


@asynccontextmanager
async def call(
    scenario: Scenario, doubts: Doubts, **options: Any
) -> AsyncIterator[tuple[RealtimeSession, Emitted, PhonicSimulator]]:
    """A session with a simulator that behaves so."""
    async with PhonicSimulator(scenario, doubts=doubts) as simulator:
        model = RealtimeModel(
            api_key="any", base_url=simulator.url, audio_format="pcm_8000", **options
        )
        session = model.session()
        try:
            yield session, Emitted(session), simulator
        finally:
            await session.aclose()


async def configure(session: RealtimeSession) -> None:
    await session.update_instructions("Be kind.")
    await session.update_tools([])


async def hear(emitted: Emitted) -> tuple[llm.GenerationCreatedEvent, Heard]:
    """The next generation, read to its end."""
    generation = await emitted.next("generation_created")
    return generation, await read(generation)


async def result_of(reply: Any) -> llm.GenerationCreatedEvent:
    with anyio.fail_after(PATIENCE):
        generation: llm.GenerationCreatedEvent = await reply
        return generation


@variants("request_in_turn")
@pytest.mark.parametrize("interruptible", [True, False], ids=["", "uninterruptible"])
@pytest.mark.parametrize("paced", [False, True], ids=["ahead", "paced"])
async def test_a_reply_follows_the_welcome(doubts: Doubts, interruptible: bool, paced: bool):
    scenario = Scenario(replies=("So, what can I do?",))
    async with call(
        scenario,
        doubts,
        welcome_message=WELCOME,
        is_welcome_message_interruptible=interruptible,
        stream_ahead_of_real_time=not paced,
    ) as (session, emitted, simulator):
        reply = session.generate_reply()
        await configure(session)
        welcome, greeting = await hear(emitted)
        answer, words = await hear(emitted)
        assert await result_of(reply) is answer
        assert (greeting.text, words.text) == (WELCOME, "So, what can I do?")
        assert not welcome.user_initiated
        spoken = [m for m in simulator.conversations[0].sent if is_start(m)]
        assert len(spoken) == 2


def is_start(message: server.ServerMessage) -> bool:
    return isinstance(message, server.AssistantStartedSpeaking)


@variants("request_in_turn")
@pytest.mark.parametrize("interruptible", [True, False], ids=["", "uninterruptible"])
async def test_a_reply_follows_the_turn(doubts: Doubts, interruptible: bool):
    scenario = Scenario(replies=("So it is.",))
    async with call(scenario, doubts, stream_ahead_of_real_time=False) as (session, emitted, _):
        await configure(session)
        await emitted.state("ready")
        first = session.say(WELCOME, allow_interruptions=interruptible)
        await result_of(first)
        reply = session.generate_reply()
        _, said = await hear(emitted)
        answer, words = await hear(emitted)
        assert await result_of(reply) is answer
        assert (said.text, words.text) == (WELCOME, "So it is.")
