"""How calls with ``examples/agent.py`` end, and that their jobs end with them."""

from __future__ import annotations

import pytest
from livekit import api, rtc
from support.rooms import greeted, said

from phonic_fsm.simulator import ASSISTANT_PITCH_HZ, speak
from phonic_fsm.testing import Scenario, Turn

pytestmark = pytest.mark.anyio

GOODBYE = "Goodbye, it was a pleasure to have you here. Come again soon!"
WE_PART = Scenario(
    replies=("Welcome!",), turns=(Turn(caller="Goodbye then.", assistant=GOODBYE, end=True),)
)


async def test_the_job_ends_after_the_caller_has_left(worker, simulate, call):
    await simulate(Scenario(replies=("Welcome!",)))
    guest = await call()
    await greeted(guest)
    room = guest.room.name
    left = worker.log.count("the caller has left")
    await guest.hang_up()
    await worker.call_ended(room)
    # LiveKit closes the room after 20 s: the example is sooner.
    assert worker.log.count("the caller has left") == left + 1


async def test_the_job_ends_when_the_room_is_deleted(worker, simulate, call, server_api):
    await simulate(Scenario(replies=("Welcome!",)))
    guest = await call()
    await greeted(guest)
    room = guest.room.name
    await server_api.room.delete_room(api.DeleteRoomRequest(room=room))
    await guest.until(lambda: guest.over, "the room's end")
    await worker.call_ended(room)


async def test_the_agent_leaves_when_the_assistant_ends_the_call(worker, simulate, call):
    await simulate(WE_PART)
    guest = await call()
    await greeted(guest)
    await guest.say("Goodbye then.")
    await guest.until_alone()
    assert not guest.over
    [stay] = guest.stays
    assert stay.reason == rtc.DisconnectReason.CLIENT_INITIATED
    await worker.call_ended(guest.room.name)


async def test_the_agents_last_words_are_heard(worker, simulate, call):
    await simulate(WE_PART)
    guest = await call()
    await greeted(guest)
    await guest.say("Goodbye then.")
    await guest.until_alone()
    assert said(guest)[-1] == ("agent", GOODBYE)
    await guest.until(lambda: not guest.ear.hears, "silence after the goodbye")
    *_, goodbye = guest.ear.stretches
    whole = speak(GOODBYE, 24_000, pitch_hz=ASSISTANT_PITCH_HZ).duration_ms / 1000
    assert goodbye.ended - goodbye.began > 0.8 * whole
