"""A ``RoomCall`` that leaves the room while things still come from it."""

from __future__ import annotations

import asyncio
import gc

import pytest

pytestmark = pytest.mark.anyio


async def test_hang_up_while_a_track_is_being_subscribed_to(call):
    """LiveKit may tell of a track that it has given up by then. Pauses of 0 to 100 ms hit that."""
    failed = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failed.append(context))
    try:
        host = await call(identity="host", agent_name="nobody")
        for number in range(20):
            guest = await call(
                identity=f"guest-{number}",
                room=host.room.name,
                agent_name="nobody",
                subscribe=False,
            )
            other = guest.room.remote_participants["host"]
            await guest.until(lambda: other.track_publications, "a track")  # noqa: B023 - at once
            await guest.subscribe()
            await asyncio.sleep(number / 200)
            await guest.hang_up()
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    assert not failed
