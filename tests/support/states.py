"""A session in any state that a test names."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from support.scripted import SILENCE, started

from phonic_fsm._wire import server as phonic


@asynccontextmanager
async def session_in(state, make_model, server):
    """A session in this state, and what it emits."""
    if state == "connecting":
        async with await asyncio.start_server(_say_nothing, "127.0.0.1", 0) as mute:
            url = f"ws://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
            async with started(make_model(base_url=url)) as (session, emitted):
                yield session, emitted, None
        return
    async with started(make_model()) as (session, emitted):
        yield session, emitted, await lead_to(state, session, emitted, server)


async def lead_to(state, session, emitted, server):
    """Lead a new session to any state but ``connecting``: its server side."""
    peer = await server.accept()
    await emitted.state("awaiting_inputs")
    if state != "awaiting_inputs":
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        await emitted.state("config_sent")
    if state not in ("awaiting_inputs", "config_sent"):
        await peer.open_conversation()
        await emitted.state("ready")
    if state == "listening":
        await peer.send(phonic.UserStartedSpeaking())
        await emitted.state("listening")
    elif state == "speaking":
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well"))
        await emitted.state("speaking")
    elif state == "tool_pending":
        await peer.send(phonic.ToolCall("c1", "look_up_weather"))
        await emitted.state("tool_pending")
    elif state == "reconnecting":
        peer.cut()
        await emitted.state("reconnecting")
        emitted.rest()
    elif state == "last_words":
        await peer.speak("Goodbye, ", "and thank you.", audio=SILENCE * 500)
        await peer.send(phonic.AssistantEndedConversation())
        await emitted.state("last_words")
    elif state == "closed":
        await session.aclose()
    return peer


async def _say_nothing(reader, writer):
    await reader.read()
    writer.close()
