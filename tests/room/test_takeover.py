"""A process that has a call is killed or stopped in the middle of it: the call goes on in another.

How long that takes is measured by ``python -m support.measure_takeovers``; here, the machine may be
busy.
"""

from __future__ import annotations

import os
import signal

import anyio
import pytest
from livekit import api
from support.rooms import PATIENCE, greeted, phonic_process, said
from support.surviving_agent import PUSH_TO_TALK
from support.takeovers import ON_ONE_HOST, SCENARIO, heard_again, no_two_at_once

from phonic_fsm._core.history import Message
from phonic_fsm._wire import client
from phonic_fsm.simulator import Call
from phonic_fsm.testing import Scenario, Turn

pytestmark = pytest.mark.anyio


@pytest.fixture
async def guest(house, call):
    return await call(agent_name="clerk")


async def goes_on(house, call, phonic, since, folder):
    """The call has one agent, a successor, who is heard; Phonic is in the same conversation, and
    nothing is lost or asked twice; the whole journal replays."""
    former = [stay for stay in call.stays if stay.joined < since]
    await heard_again(call, since)
    await call.until_quiet()
    assert call.agent.identity not in {stay.identity for stay in former}
    no_two_at_once(call)
    await call.until(lambda: all(stay.left for stay in former), "the dead agents' leave")
    with anyio.fail_after(PATIENCE):
        while asked_by_the_caller(house, call) != words_of_the_caller(call):  # noqa: ASYNC110
            await anyio.sleep(0.1)
    events = house.replays(call, folder)
    assert events.count("open") == 1
    takeovers = events.count("take_over")
    assert takeovers == house.status(call).number - 1
    known = house.folded(call).machine.context.conversation_id
    [conversation] = [one for one in phonic.conversations if one.conversation_id == known]
    assert len(sent(conversation, client.Config)) == 1
    asked_again = events.count("reply_overdue")  # on a busy machine
    asked = sent(conversation, client.GenerateReply)
    assert len(asked) <= 1 + takeovers + asked_again, "each process asks once"
    outputs = [output.tool_call_id for output in sent(conversation, client.ToolCallOutput)]
    assert len(set(outputs)) == len(outputs)


def asked_by_the_caller(house, call):
    """What a successor would know of it."""
    history = house.folded(call).machine.context.history
    return [item.text for item in history if isinstance(item, Message) and item.role == "user"]


def words_of_the_caller(call):
    return [text for who, text in said(call) if who != "agent"]


def sent(conversation, kind):
    return [message for message in conversation.received if isinstance(message, kind)]


async def in_mid_sentence(guest):
    await greeted(guest)
    await guest.say("Where can we sit?")
    await guest.until_answer()
    await anyio.sleep(1.0)


async def test_in_mid_sentence(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await in_mid_sentence(guest)
    since = anyio.current_time()
    house.kill(guest)
    await goes_on(house, guest, phonic, since, tmp_path)
    [conversation] = phonic.conversations
    greeting, question, _, rest = said(guest)
    assert (greeting, question) == (
        ("agent", "Welcome to the house."),
        ("caller", "Where can we sit?"),
    )
    assert "The garden is free.".startswith(rest[1])
    told = sent(conversation, client.AddSystemMessage)
    assert len(told) == 1, "how much of the answer was heard"
    asked = sent(conversation, client.GenerateReply)
    assert len(asked) == 2, "the greeting, and once to go on"


def booking(tool):
    turn = Turn(
        caller="Book a table for two.",
        assistant="One moment.",
        calls=(Call(tool=tool, parameters={"guests": 2}, then="That is all I know."),),
    )
    return Scenario(replies=("Welcome to the house.", "Where were we?"), turns=(turn,))


@pytest.mark.parametrize(("tool", "runs"), [("book_table", 1), ("find_table", 2)])
async def test_in_a_tool(house, simulate, guest, tmp_path, *, tool, runs):
    phonic = await simulate(booking(tool))
    house.runs.write_text("")
    await greeted(guest)
    await guest.say("Book a table for two.")
    with anyio.fail_after(60):
        while not house.runs.read_text():  # noqa: ASYNC110
            await anyio.sleep(0.01)
    since = anyio.current_time()
    killed = house.kill(guest)
    await goes_on(house, guest, phonic, since, tmp_path)
    [conversation] = phonic.conversations
    noted = [line.split() for line in house.runs.read_text().splitlines()]
    assert [name for name, _ in noted] == [tool] * runs
    assert [int(pid) == killed for _, pid in noted] == [True, False][:runs]
    [output] = sent(conversation, client.ToolCallOutput)
    assert ("table seven" in output.output) == (runs == 2)
    assert ("not known" in output.output) == (runs == 1)


async def test_while_the_caller_speaks(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await greeted(guest)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guest.say, "We are four, and would like to sit in the shade.")
        await anyio.sleep(1.0)
        since = anyio.current_time()
        house.kill(guest)
    await goes_on(house, guest, phonic, since, tmp_path)


@ON_ONE_HOST
async def test_with_push_to_talk(house, simulate, call_with, tmp_path):
    """While the caller holds the button and speaks, and again while the agent answers."""
    phonic = await simulate(SCENARIO)
    guest = await call_with("clerk", PUSH_TO_TALK)
    await greeted(guest)
    await guest.write("PRESS")
    await phonic.received(client.Unmute)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guest.say, "Where can we sit? We are four, and it is a hot day.")
        await anyio.sleep(1.0)
        since, former = anyio.current_time(), guest.agent.identity
        house.kill(guest)
    await guest.until(
        lambda: guest.agent and guest.agent.identity != former and guest.agent_state == "listening",
        "a successor that listens",
    )
    heard = {identity for identity, ear in guest.ears.items() if ear.stretches}
    assert heard == {former}, "nobody speaks over the caller"
    await guest.write("LET_GO")
    await heard_again(guest, since)
    await anyio.sleep(1.0)
    since = anyio.current_time()
    house.kill(guest)
    await goes_on(house, guest, phonic, since, tmp_path)
    [conversation] = phonic.conversations
    assert [who for who, _ in said(guest)] == ["agent", "caller", "agent", "agent"]
    assert said(guest)[1] == ("caller", "Where can we sit?")
    asked = sent(conversation, client.GenerateReply)
    assert len(asked) == 2, "the greeting, and once to go on with the answer"
    assert len(sent(conversation, client.Mute)) == 1


async def test_at_the_greeting(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await guest.until_answer()
    since = anyio.current_time()
    house.kill(guest)
    await goes_on(house, guest, phonic, since, tmp_path)
    assert len(phonic.conversations) == 1


async def test_during_an_outage_of_phonics(house, phonic_port, simulate, guest, tmp_path):
    async with phonic_process(SCENARIO, phonic_port, tmp_path) as process:
        await in_mid_sentence(guest)
        process.kill()
        await process.wait()
    since = anyio.current_time()
    house.kill(guest)
    await house.until_taken_over(guest)
    # It knows nothing of the conversation, as after 30 s: another one carries the history.
    phonic = await simulate(SCENARIO)
    await goes_on(house, guest, phonic, since, tmp_path)
    [conversation] = phonic.conversations
    assert "Where can we sit?" in conversation.config.system_prompt
    assert said(guest).count(("agent", "Welcome to the house.")) <= 2


async def test_a_whole_worker(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await in_mid_sentence(guest)
    worker = house.worker_of(guest)
    since = anyio.current_time()
    worker.kill()
    house.kill(guest)
    await goes_on(house, guest, phonic, since, tmp_path)
    assert len(phonic.conversations) == 1
    await house.employ()


@ON_ONE_HOST
async def test_a_worker_whose_jobs_survive_it(house, simulate, guest, tmp_path):
    """They notice, and end: but nobody has meant to end the call."""
    phonic = await simulate(SCENARIO)
    await in_mid_sentence(guest)
    since = anyio.current_time()
    house.worker_of(guest).kill()
    await goes_on(house, guest, phonic, since, tmp_path)
    assert len(phonic.conversations) == 1
    await house.employ()


async def test_a_process_that_stands_still(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await in_mid_sentence(guest)
    since = anyio.current_time()
    stopped = house.kill(guest, signal.SIGSTOP)
    await goes_on(house, guest, phonic, since, tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(stopped, signal.SIGCONT)
    assert len(phonic.conversations) == 1


async def test_two_at_once(house, simulate, guest, call, tmp_path):
    phonic = await simulate(SCENARIO)
    other = await call(agent_name="clerk", identity="other")
    for caller in (guest, other):
        await in_mid_sentence(caller)
    since = anyio.current_time()
    for caller in (guest, other):
        house.kill(caller)
    for caller in (guest, other):
        await goes_on(house, caller, phonic, since, tmp_path)
    assert len(phonic.conversations) == 2


async def test_a_guard_too(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await house.watch()
    await in_mid_sentence(guest)
    since = anyio.current_time()
    house.guards.pop(0).kill()
    house.kill(guest)
    await goes_on(house, guest, phonic, since, tmp_path)


@ON_ONE_HOST
async def test_again_and_again(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await greeted(guest)
    for _ in range(2):  # a third early death in a row would be poison
        await guest.say("Where can we sit?")
        await guest.until_answer()
        since = anyio.current_time()
        house.kill(guest)
        await goes_on(house, guest, phonic, since, tmp_path)
    assert len(phonic.conversations) == 1
    assert house.status(guest).number == 3


@ON_ONE_HOST
async def test_the_agents_own_full_reconnect(house, simulate, guest, tmp_path):
    """LiveKit ends the job then, but not every time: otherwise the agent goes on."""
    phonic = await simulate(SCENARIO)
    await greeted(guest)
    while house.status(guest).number == 1:
        await guest.until_agent()
        if not guest.ear.hears:
            await guest.say("Where can we sit?")
            await guest.until_answer()
        since = anyio.current_time()
        stays = len(guest.stays)
        await guest.write("SIMULATE_FULL_RECONNECT")
        await guest.until(lambda: len(guest.stays) > stays, "an agent")  # noqa: B023 - at once
        with anyio.move_on_after(3):
            await house.until_taken_over(guest)
    await goes_on(house, guest, phonic, since, tmp_path)
    assert len(phonic.conversations) == 1
    assert house.status(guest).crashes == 0


@ON_ONE_HOST
async def test_an_agent_that_loses_the_room_for_good(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await in_mid_sentence(guest)
    since = anyio.current_time()
    await guest.write("SIMULATE_SERVER_LEAVE")
    await goes_on(house, guest, phonic, since, tmp_path)
    assert len(phonic.conversations) == 1
    asked = sent(phonic.conversations[0], client.GenerateReply)
    assert len(asked) == 2, "the greeting, and once to go on"


@ON_ONE_HOST
async def test_a_second_job_for_a_call_that_goes_on(house, simulate, guest, *, server_api):
    await simulate(SCENARIO)
    await greeted(guest)
    await server_api.agent_dispatch.create_dispatch(
        api.CreateAgentDispatchRequest(room=guest.room.name, agent_name="clerk")
    )
    with anyio.fail_after(PATIENCE):
        while f"another process has the call in room {guest.room.name}" not in house.log:  # noqa: ASYNC110
            await anyio.sleep(0.05)
    await guest.say("Where can we sit?")
    await guest.until_answer()
    assert len(guest.stays) == 1, "it was never in the room"
    assert house.status(guest).number == 1


@ON_ONE_HOST
async def test_an_agent_that_is_removed_has_no_successor(house, simulate, guest, *, server_api):
    await simulate(SCENARIO)
    await in_mid_sentence(guest)
    await server_api.room.remove_participant(
        api.RoomParticipantIdentity(room=guest.room.name, identity=guest.agent.identity)
    )
    with anyio.fail_after(PATIENCE):
        while house.status(guest).held != "ended":  # noqa: ASYNC110
            await anyio.sleep(0.01)
    assert len(guest.stays) == 1


@ON_ONE_HOST
async def test_a_call_that_has_ended_has_no_successor(house, simulate, guest):
    bye = Turn(caller="Good bye.", assistant="Good bye!", end=True)
    await simulate(Scenario(replies=("Welcome to the house.",), turns=(bye,)))
    await greeted(guest)
    pid = house.status(guest).holder.pid
    await guest.say("Good bye.")
    await guest.until_alone()
    assert house.status(guest).held == "ended"
    assert len(guest.stays) == 1
    assert house.status(guest).holder.pid == pid
