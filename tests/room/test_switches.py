"""LiveKit's switches that decide what a call survives, each as ``docs/production.md`` tells it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from livekit import api
from msgspec import UNSET
from support.rooms import ask, greeted, said

from phonic_fsm._report.lanes import LaneBuilder, Lanes
from phonic_fsm._report.rules import findings
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic_says
from phonic_fsm.testing import Scenario, Turn
from phonic_fsm.trace._reader import TraceReader

pytestmark = pytest.mark.anyio

LONG_GREETING = "Welcome to the hotel, to the city, to the river and to the island in the river!"
SCENARIO = Scenario(
    replies=(LONG_GREETING,), turns=(Turn(caller="Hello?", assistant="Yes, I am here."),)
)


def lanes_of(trace: Path) -> Lanes:
    reader = TraceReader(trace)
    builder = LaneBuilder(reader.header.settings)
    for line in reader:
        builder.take(line)
    return builder.lanes()


def turns(phonic) -> int:
    """How often Phonic has heard the caller begin to speak."""
    [conversation] = phonic.conversations
    return sum(isinstance(m, phonic_says.UserStartedSpeaking) for m in conversation.sent)


async def test_close_on_disconnect_leaves_a_caller_who_reconnects_with_a_deaf_agent(
    trial, trial_worker, simulate
):
    await simulate(SCENARIO)
    guest = await trial()
    await greeted(guest)
    closed = trial_worker.log.count("closing agent session due to participant disconnect")
    await guest.reconnect()
    await trial_worker.until_logged("closing agent session due to participant", closed + 1)
    await guest.until(lambda: guest.agent is not None, "the agent")
    await guest.say("Hello?")
    with anyio.move_on_after(5):
        await guest.until_answer()
    assert guest.latency is None
    assert guest.agent is not None


async def test_without_a_shutdown_a_job_stays_until_livekit_closes_the_room(
    trial, trial_worker, simulate
):
    await simulate(SCENARIO)
    guest = await trial()
    await greeted(guest)
    room = guest.room.name
    await guest.hang_up()
    since = anyio.current_time()
    await trial_worker.call_ended(room)
    assert anyio.current_time() - since > 15


async def test_with_a_shutdown_a_job_ends_with_its_session(trial, trial_worker, simulate):
    await simulate(SCENARIO)
    guest = await trial(shutdown=True)
    await greeted(guest)
    room = guest.room.name
    ended = trial_worker.log.count("the session has closed")
    await guest.hang_up()
    await trial_worker.call_ended(room)
    assert trial_worker.log.count("the session has closed") == ended + 1


async def test_over_the_first_seconds_of_the_agent_a_caller_is_not_heard(trial, simulate):
    phonic = await simulate(SCENARIO)
    guest = await trial()
    await guest.until_answer()
    await guest.say("Hello?")
    await guest.until_quiet()
    assert said(guest) == [("agent", LONG_GREETING)]
    assert turns(phonic) == 0
    await ask(guest, "Hello?")
    assert turns(phonic) == 1


async def test_without_aec_warmup_a_caller_is_heard_at_once(trial, simulate):
    phonic = await simulate(SCENARIO)
    guest = await trial(session={"aec_warmup_duration": 0})
    await guest.until_answer()
    await guest.say("Hello?")
    answer = ("agent", "Yes, I am here.")
    await guest.until(lambda: said(guest)[-1:] == [answer], "the answer's transcript")
    assert turns(phonic) == 1
    assert LONG_GREETING.startswith(said(guest)[0][1].rstrip())
    assert said(guest)[0][1] != LONG_GREETING


@pytest.mark.parametrize("warmup", [3.0, 0])
async def test_the_trace_tells_whether_livekit_was_deaf_at_the_start(
    warmup, trial, trial_worker, simulate, tmp_path
):
    await simulate(SCENARIO)
    trace = tmp_path / "call.jsonl"
    switches = {"aec_warmup_duration": warmup}
    guest = await trial(session=switches, model={"trace": str(trace)}, shutdown=True)
    await guest.until_answer()
    await guest.say("Hello? " * 12)
    await guest.until(lambda: said(guest)[-1][0] == "agent", "an answer")
    room = guest.room.name
    await guest.hang_up()
    await trial_worker.call_ended(room)
    lanes = lanes_of(trace)
    found = [finding.rule for finding in findings(lanes)]
    assert ("deaf-at-start" in found) is (warmup > 0)
    assert lanes.playback[0].interrupted, "the job's AgentSession was observed"
    assert lanes.end is not None
    assert (lanes.end.by, lanes.end.reason) == ("livekit", "participant_disconnected")


async def test_the_trace_tells_that_the_room_was_deleted(
    trial, trial_worker, simulate, server_api, tmp_path
):
    await simulate(SCENARIO)
    trace = tmp_path / "call.jsonl"
    guest = await trial(model={"trace": str(trace)})
    await greeted(guest)
    room = guest.room.name
    await server_api.room.delete_room(api.DeleteRoomRequest(room=room))
    await trial_worker.call_ended(room)
    end = lanes_of(trace).end
    assert end is not None
    # The server ends the job as well, and sometimes the job learns of nothing else in time.
    assert end.by == "livekit"
    assert end.reason == "room_deleted" or "as when a room is deleted" in end.sentence


async def test_livekit_drops_allow_interruptions_where_phonic_detects_turns(
    trial, trial_worker, simulate
):
    phonic = await simulate(SCENARIO)
    guest = await trial(say="Please hold the line.")
    await greeted(guest)
    assert said(guest) == [("agent", "Please hold the line.")]
    assert (await phonic.received(client.Say)).interruptible is UNSET
    await trial_worker.until_logged("allow_interruptions cannot be False when using VoiceAgent.say")
