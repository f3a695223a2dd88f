"""Sessions of one model share nothing."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit.agents import function_tool, llm
from support.scripted import Emitted, conversation, read, settle

from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio


@function_tool
async def first_tool() -> str:
    """The first session's tool."""
    return "1"


@function_tool
async def second_tool() -> str:
    """The second session's tool."""
    return "2"


@asynccontextmanager
async def two_conversations(model, server):
    """Two sessions of one model, each with its server side, what it emits, and its config."""
    both = []
    try:
        for number, tool in ((1, first_tool), (2, second_tool)):
            session = model.session()
            emitted = Emitted(session)
            peer = await server.accept()
            both.append((session, peer, emitted))
            await session.update_instructions(f"You are number {number}.")
            await session.update_tools([tool])
        configs = [await peer.open_conversation() for _, peer, _ in both]
        for _, _, emitted in both:
            await emitted.state("ready")
        yield *both, configs
    finally:
        for session, _, _ in both:
            await session.aclose()


async def test_each_session_has_its_own_instructions_and_tools(make_model, server):
    async with two_conversations(make_model(), server) as (_, _, configs):
        assert [config.system_prompt for config in configs] == [
            "You are number 1.",
            "You are number 2.",
        ]
        assert [[tool.name for tool in config.tools] for config in configs] == [
            ["first_tool"],
            ["second_tool"],
        ]


async def test_instructions_given_at_the_same_time_do_not_mix(make_model, server):
    model = make_model()
    sessions = {f"number {number}": model.session() for number in range(10)}
    try:
        for text, session in sessions.items():
            await session.update_instructions(text)
        for session in sessions.values():
            await session.update_tools([])
        configs = [
            await (await server.accept()).expect(client.Config) for _ in range(len(sessions))
        ]
        assert {config.system_prompt for config in configs} == set(sessions)
    finally:
        await asyncio.gather(*(session.aclose() for session in sessions.values()))


async def test_a_change_in_one_session_does_not_show_in_another(make_model, server):
    async with two_conversations(make_model(), server) as (first, second, _):
        await first[0]._update_session(
            instructions="You are somebody else.", chat_ctx=llm.ChatContext.empty(), tools=[]
        )
        await first[1].expect(client.Reset)
        assert list(second[0].tools.function_tools) == ["second_tool"]
        await second[0].update_instructions("You are still number 2.")
        assert await second[1].receive() == client.UpdateSystemPrompt("You are still number 2.")


async def test_a_change_in_one_session_does_not_show_in_a_later_one(make_model, server):
    model = make_model()
    async with two_conversations(model, server):
        later = model.session()
        try:
            peer = await server.accept()
            await later.update_instructions("You are number 3.")
            await later.update_tools([])
            assert await peer.receive_json() == {
                "type": "config",
                "system_prompt": "You are number 3.",
                "input_format": "pcm_24000",
                "output_format": "pcm_24000",
                "stream_ahead_of_real_time": True,
            }
        finally:
            await later.aclose()


async def test_lists_given_as_options_are_copied(make_model, server):
    keywords, tools = ["LiveKit"], ["web_search"]
    model = make_model(boosted_keywords=keywords, phonic_tools=tools)
    session = model.session()
    try:
        keywords.append("later")
        tools.append("later")
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        config = await (await server.accept()).expect(client.Config)
        assert (config.boosted_keywords, config.tools) == (["LiveKit"], ["web_search"])
    finally:
        await session.aclose()


async def test_what_is_said_in_one_session_stays_there(make_model, server):
    async with two_conversations(make_model(), server) as (first, second, _):
        await first[1].speak("A secret.")
        await first[1].send(phonic.InputText("Mine too."))
        assert (await read(await first[2].next("generation_created"))).text == "A secret."
        assert await settle(second[1], second[2]) == []
        assert [item.text_content for item in second[0].chat_ctx.items] == ["(marker)"]


async def test_the_end_of_one_session_leaves_the_other_alone(make_model, server):
    async with two_conversations(make_model(), server) as (first, second, _):
        await first[0].aclose()
        await second[1].speak("Still here.")
        assert (await read(await second[2].next("generation_created"))).text == "Still here."


FILES = Path("/proc/self/fd")


@pytest.mark.skipif(not FILES.exists(), reason="counts the open files that /proc/self/fd lists")
async def test_a_model_that_makes_many_sessions_does_not_grow(make_model, server):
    model = make_model()
    before = asyncio.all_tasks()

    async def hold_conversations(number):
        for _ in range(number):
            async with conversation(model, server) as (session, peer, emitted):
                await peer.speak("Hello.")
                await read(await emitted.next("generation_created"))
                session.generate_reply()
        while left := asyncio.all_tasks() - before:  # the server takes its leave
            await asyncio.wait(left)

    def what_there_is():
        gc.collect()
        return len(os.listdir(FILES)), len(model._sessions), len(gc.get_objects())

    await hold_conversations(50)
    files, sessions, objects = what_there_is()
    await hold_conversations(150)
    later_files, later_sessions, later_objects = what_there_is()
    assert (later_files, later_sessions) == (files, sessions) == (files, 0)
    assert later_objects - objects < 150, "less than one object a session"
