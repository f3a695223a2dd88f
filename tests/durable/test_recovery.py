"""A call whose process is killed goes on in another one, over the same simulated Phonic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from livekit.agents import AgentSession
from support.cable import Cable
from support.chirp import chirp
from support.durable_agent import AFTER, RATE, Clerk, model
from support.durable_calls import first_process, goes_on
from support.job import until
from support.processes import LONGEST

from phonic_fsm import CallTakenOver
from phonic_fsm._adapter import recovery
from phonic_fsm._core.prompt import OUTCOME_UNKNOWN
from phonic_fsm._report.page import make_report
from phonic_fsm._runtime.fence import BEAT
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.durable import journals
from phonic_fsm.simulator import Call, Doubts, PhonicSimulator, Scenario, Turn
from phonic_fsm.testing import Caller
from phonic_fsm.trace import TraceReader, replay
from phonic_fsm.trace._format import VERSION

pytestmark = pytest.mark.anyio

SECOND = b"\0\0" * RATE

WELCOME = "Welcome to the harbour restaurant. " * 6
FIND = Turn(caller="Is there a table?", calls=(Call(tool="find_table", parameters={"guests": 2}),))
BOOK = Turn(caller="Book it, please.", calls=(Call(tool="book_table", parameters={"guests": 2}),))
ANSWER = Turn(caller="Where are you?", assistant="We are at the old harbour. " * 8)


def replays(journal: Path, processes: int = 2) -> list[str]:
    """The events of one trace over all processes, which replays."""
    events = []
    for step in replay(journal):
        assert step.difference is None, f"step {step.line.seq}: {step.difference}"
        events.append(str(step.line.event["type"]))
    assert events.count("take_over") == processes - 1
    assert events.count("open") == 1
    return events


def sent(sim: PhonicSimulator, kind: type[Any]) -> list[Any]:
    return [m for c in sim.conversations for m in c.received if isinstance(m, kind)]


@pytest.mark.parametrize("resumed_turn", ["is_lost", "goes_on"])
async def test_killed_in_mid_sentence(tmp_path, resumed_turn):
    scenario = Scenario(replies=("As I was saying, welcome.",))
    doubts = Doubts(resumed_turn=resumed_turn)
    async with PhonicSimulator(scenario, doubts=doubts) as sim:
        with first_process(tmp_path, sim.url, WELCOME) as first:
            await first.has_played_a_second()
            name = await first.killed()
            async with goes_on(tmp_path, name, sim.url) as second:
                assert second.past.state == {"guests": 2}
                assert second.past.interrupted is not None
                assert WELCOME.startswith(second.past.interrupted.strip())
                assert 0 < len(second.past.interrupted) < len(WELCOME) / 2
                await second.is_heard()
                assert len(sim.conversations) == 1
                assert len(sent(sim, client.Config)) == 1, "nobody is greeted again"
                assert len(sent(sim, client.GenerateReply)) == 1
                [told] = sent(sim, client.AddSystemMessage)
                assert second.past.interrupted.strip() in told.system_message
                context = second.clerk.chat_ctx.items
                assert any(second.past.interrupted in str(item) for item in context)
        replays(second.journal)


async def test_a_successor_hears_a_caller_who_talks_over_its_first_words(tmp_path):
    """For 3 s LiveKit lets nobody do that at a call's start."""
    caller = Caller(RATE)
    async with PhonicSimulator(Scenario(replies=("As I was saying, welcome. " * 4,))) as sim:
        with first_process(tmp_path, sim.url, WELCOME) as first:
            await first.has_played_a_second()
            name = await first.killed()
            async with goes_on(tmp_path, name, sim.url) as second:
                second.session.input.audio = caller
                await second.is_heard()
                await caller.say(chirp(1.0))
                with anyio.fail_after(LONGEST):
                    await sim.wait_for(lambda: any(sim.conversations[0].audio))


async def test_a_successor_shows_that_it_works_while_its_agent_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(recovery, "HEAD_START", BEAT)
    async with PhonicSimulator(Scenario(replies=("Welcome.",))) as sim:
        with first_process(tmp_path, sim.url, WELCOME) as first:
            await first.has_played_a_second()
            name = await first.killed()
        assert await model(str(tmp_path), sim.url).recover(name) is not None
        lock = tmp_path / name / "lock"
        beaten = lock.stat().st_mtime
        with anyio.fail_after(LONGEST):
            # The head start is a heartbeat in the future.
            while lock.stat().st_mtime == beaten:  # noqa: ASYNC110
                await anyio.sleep(0.01)


async def test_killed_while_the_caller_speaks(tmp_path):
    async with PhonicSimulator(Scenario(turns=(ANSWER,), replies=("Pardon?",))) as sim:
        with first_process(tmp_path, sim.url) as first:
            await first.says("started")
            first.call(30)
            await first.says("the caller has spoken for a while")
            name = await first.killed()
            async with goes_on(tmp_path, name, sim.url) as second:
                await second.is_heard()
                assert len(sim.conversations) == 1
                assert len(sent(sim, client.GenerateReply)) == 1
        replays(second.journal)


@pytest.mark.parametrize("turn", [FIND, BOOK], ids=["may_be_repeated", "must_not_be"])
async def test_killed_while_a_tool_runs(tmp_path, turn):
    scenario = Scenario(turns=(turn,), replies=("Let me see.",))
    async with PhonicSimulator(scenario) as sim:
        with first_process(tmp_path, sim.url) as first:
            await first.says("started")
            first.call(2)
            await first.says("a tool runs")
            name = await first.killed()
            async with goes_on(tmp_path, name, sim.url) as second:
                output = await sim.received(client.ToolCallOutput)
                may_repeat = turn is FIND
                assert output.output == ("table seven" if may_repeat else OUTCOME_UNKNOWN)
                assert second.clerk.runs == (["find_table"] if may_repeat else [])
                assert len(sent(sim, client.ToolCallOutput)) == 1
                assert len(sim.conversations) == 1
        replays(second.journal)


async def nothing_else_is_sent(to, peer):
    to.clerk.realtime_llm_session.set_external_id("last")
    await peer.expect(client.SetExternalId)


async def resumed(server):
    """Phonic goes on with the conversation."""
    peer = await server.accept()
    assert "reconnect_conv_id=conv_1" in peer.path
    await peer.send(phonic.ConversationReconnected())
    return peer


async def test_killed_and_its_successor_too_while_it_resumes(tmp_path, server):
    with first_process(tmp_path, server.url) as first:
        await first.says("started")
        peer = await server.accept()
        await peer.open_conversation()
        await peer.speak(*(["We are at the old harbour. "] * 4), audio=SECOND)
        await first.says("a second was played")
        name = await first.killed()
    with first_process(tmp_path, server.url, AFTER + name) as second:
        await second.says("started")
        await server.accept()  # it is resumed, and Phonic does not answer
        await second.has_written('"type":"connection_opened"', times=2)
        await second.killed()
    async with goes_on(tmp_path, name, server.url) as third:
        peer = await resumed(server)
        told = await peer.expect(client.AddSystemMessage)
        assert "The line was interrupted" in told.system_message
        await peer.expect(client.GenerateReply)
        await peer.speak("As I was saying.", audio=SECOND)
        await third.is_heard()
        await nothing_else_is_sent(third, peer)
    replays(third.journal, processes=3)


async def test_a_tool_that_may_be_repeated_and_is_killed_twice(tmp_path, server):
    with first_process(tmp_path, server.url) as first:
        await first.says("started")
        peer = await server.accept()
        await peer.open_conversation()
        await peer.send(phonic.ToolCall("call_1", "find_table", {"guests": 2}))
        await first.says("a tool runs")
        name = await first.killed()
    with first_process(tmp_path, server.url, AFTER + name) as second:
        await second.says("started")
        await resumed(server)
        await second.says("a tool runs")
        await second.killed()
    async with goes_on(tmp_path, name, server.url) as third:
        peer = await resumed(server)
        output = await peer.expect(client.ToolCallOutput)
        assert (output.tool_call_id, output.output) == ("call_1", "table seven")
        assert third.clerk.runs == ["find_table"]
        await nothing_else_is_sent(third, peer)
    replays(third.journal, processes=3)


async def test_killed_during_an_outage_of_phonics(tmp_path):
    doubts = Doubts(early_resume="refused_once")
    async with (
        PhonicSimulator(Scenario(replies=("Here we are.",)), doubts=doubts) as sim,
        Cable(sim.url) as cable,
    ):
        with first_process(tmp_path, cable.url, WELCOME) as first:
            await first.has_played_a_second()
            cable.cut()
            await first.says("state reconnecting")
            name = await first.killed()
            async with goes_on(tmp_path, name, sim.url) as second:
                await second.is_heard()
                assert len(sent(sim, client.Config)) == 1
        replays(second.journal)


async def test_an_agent_that_forgets_what_was_said_goes_on_all_the_same(tmp_path):
    async with PhonicSimulator(Scenario(replies=("As I was saying, welcome.",))) as sim:
        with first_process(tmp_path, sim.url, WELCOME) as first:
            await first.has_played_a_second()
            name = await first.killed()
            async with goes_on(tmp_path, name, sim.url, forgets=True) as second:
                await second.is_heard()
                assert second.past.interrupted is not None
                said = [item for item in second.clerk.chat_ctx.items if item.type == "message"]
                assert said[0].text_content == second.past.interrupted
                assert len(sent(sim, client.Config)) == 1
        replays(second.journal)


async def test_an_option_that_was_changed_stays_changed(tmp_path):
    async with PhonicSimulator(Scenario()) as sim:
        with first_process(tmp_path, sim.url) as first:
            await first.says("state ready")
            first.ask("faster")
            await sim.wait_for(lambda: bool(speeds(sim)))
            await first.has_written('"audio_speed":1.2')
            name = await first.killed()
            async with goes_on(tmp_path, name, sim.url) as second:
                second.model.update_options(voice="ben")

                def last() -> tuple[Any, Any] | None:
                    """What was told last: the change above may be told again before this one."""
                    resets = sent(sim, client.Reset)
                    config = resets[-1].config if resets else None
                    return (config.voice_id, config.audio_speed) if config else None

                with anyio.fail_after(LONGEST):
                    await sim.wait_for(lambda: last() == ("ben", 1.2))
        replays(second.journal)


def speeds(sim: PhonicSimulator) -> list[Any]:
    told = [sent(sim, client.Config), [reset.config for reset in sent(sim, client.Reset)]]
    return [config.audio_speed for configs in told for config in configs if config.audio_speed]


@pytest.mark.parametrize("damage", ["a newer version", "a damaged line"])
async def test_a_call_whose_journal_cannot_be_read_goes_on_by_its_conversation(
    tmp_path, caplog, damage
):
    async with PhonicSimulator(Scenario(replies=("As I was saying, welcome.",))) as sim:
        with first_process(tmp_path, sim.url, WELCOME) as first:
            await first.has_played_a_second()
            name = await first.killed()
        journal = tmp_path / name / "journal.jsonl"
        text = journal.read_text()
        if damage == "a newer version":
            version = f'"version":{VERSION},'
            assert version in text
            journal.write_text(text.replace(version, f'"version":{VERSION + 1},', 1))
        else:
            journal.write_text(text + '{"event":\n')
        async with goes_on(tmp_path, name, sim.url) as second:
            assert second.past.conversation_id == sim.conversations[0].conversation_id
            assert (second.past.chat_ctx.items, second.past.state) == ([], None)
            await second.is_heard()
            assert len(sim.conversations) == 1
            assert len(sent(sim, client.Config)) == 1, "nobody is greeted again"
            assert sent(sim, client.Reset) == [], "which would clear Phonic's memory"
            assert len(sent(sim, client.GenerateReply)) == 1
        assert f"the journal {name} cannot be read" in caplog.text
        [rest] = [path for path in tmp_path.glob("*/journal.jsonl") if path != journal]
        steps = list(replay(rest))
        assert [step.difference for step in steps if step.difference is not None] == []
        assert steps[0].line.event["type"] == "take_over"
        store = journals(tmp_path)
        # The writer's thread ends it, perhaps after the session.
        await until(lambda: {one.held for one in store.statuses(ended=True)} == {"ended"})
        assert make_report(rest).html


async def test_a_call_that_has_ended_is_not_taken_over(tmp_path):
    async with PhonicSimulator(Scenario()) as sim:
        used = model(str(tmp_path), sim.url)
        session: AgentSession[None] = AgentSession(llm=used)
        await session.start(Clerk())
        await sim.received(client.Config)
        await session.aclose()
        [folder] = tmp_path.iterdir()
        with pytest.raises(CallTakenOver, match="is over"):
            await used.recover(folder.name)
        assert TraceReader(folder / "journal.jsonl").header.settings
