"""A job in a room that is never joined: it is the test that says when the caller subscribes."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
from livekit import api, rtc
from livekit.agents import AgentSession
from livekit.agents.testing import fake_job_context
from support.receptionist import Receptionist
from support.scripted import PATIENCE

TOKEN = api.AccessToken("key", "a secret that is long enough for it").with_identity("me").to_jwt()


@asynccontextmanager
async def job(model, server, output=None):
    """A job whose caller has not subscribed yet."""
    room = rtc.Room()
    with fake_job_context(room=room) as context, context._tempdir:
        context._info.token = TOKEN
        session = AgentSession(llm=model)
        session.output.audio = output
        await session.start(Receptionist(), room=room)
        try:
            peer = await server.accept()
            await peer.open_conversation()
            yield session, peer
        finally:
            await session.aclose()


async def until(condition) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - LiveKit has no event for it
            await anyio.sleep(0.001)
