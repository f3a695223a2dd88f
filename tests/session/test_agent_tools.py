"""Tools of a real AgentSession: whatever becomes of a call, Phonic learns its result."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from livekit.agents import AgentTask, RunContext, ToolError, function_tool
from livekit.agents.beta.tools import EndCallTool
from msgspec import UNSET
from support.receptionist import Billing, Receptionist, call
from support.scripted import PATIENCE

from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio


class Searcher(Receptionist):
    """Its tool reports, goes on, and gives its result when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.found = asyncio.Event()

    @function_tool
    async def search(self, ctx: RunContext[Any]) -> str:
        """Search for a table."""
        await ctx.update("I am searching.")
        await self.found.wait()
        return "a table at eight"


class Slow(Receptionist):
    """Its tool takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.searching = asyncio.Event()
        self.found = asyncio.Event()

    @function_tool
    async def search(self) -> str:
        """Search for a table."""
        self.searching.set()
        await self.found.wait()
        return "a table at eight"


class Reporter(Receptionist):
    """Its tool reports twice, once for the model alone, and fails in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()
        self.fails = asyncio.Event()

    @function_tool
    async def search(self, ctx: RunContext[Any]) -> str:
        """Search for a table."""
        await ctx.update("I am searching.")
        await self.goes_on.wait()
        await ctx.update("Still searching.")
        await ctx.update("The third restaurant.", silent=True)
        await self.fails.wait()
        raise ToolError("no table is free")


class AskName(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="You ask for the caller's name.")

    @function_tool
    async def note_name(self, name: str) -> None:
        """Note the caller's name.

        Args:
            name: The name.
        """
        self.complete(name)


class AskWho(AgentTask[str]):
    """Has another one ask."""

    def __init__(self) -> None:
        super().__init__(instructions="You ask who is calling.")

    @function_tool
    async def ask_name(self) -> None:
        """Ask for the caller's name."""
        self.complete(f"it is {await AskName()}")


class Booker(Receptionist):
    """Its tool has another agent ask for something before it goes on."""

    @function_tool
    async def book(self) -> str:
        """Book a table."""
        return f"booked for {await AskName()}"

    @function_tool
    async def identify(self) -> str:
        """Find out who is calling."""
        return f"known: {await AskWho()}"


async def after(peer, kind):
    """The next message of a kind; others are passed over."""
    while not isinstance(message := await peer.receive(), kind):
        assert message is not None
    return message


async def spoken(seen, text):
    while (await seen.message("assistant")).text_content != text:
        pass


async def begin_to_search(peer, seen):
    """Call a tool that reports, up to what is said about its first report."""
    await peer.send(phonic.ToolCall("call_1", "search"))
    assert "I am searching." in (await peer.expect(client.ToolCallOutput)).output
    await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="call_1"))
    await peer.speak("Just a moment.")
    await spoken(seen, "Just a moment.")


async def test_the_final_result_of_a_tool_that_reports_is_told_and_spoken_about(make_model, server):
    agent = Searcher()
    async with call(make_model(), server, agent) as (_, peer, seen):
        await begin_to_search(peer, seen)
        agent.found.set()
        assert "a table at eight" in (await after(peer, client.AddSystemMessage)).system_message
        assert "Summarize" in (await after(peer, client.GenerateReply)).system_message
        await peer.speak("There is a table at eight.")
        await spoken(seen, "There is a table at eight.")


async def told(peer, words):
    """Return when Phonic has been told these words of a tool."""
    while words not in (await after(peer, client.AddSystemMessage)).system_message:
        pass


async def test_each_report_of_a_tool_is_told_and_so_is_its_failure(make_model, server):
    agent = Reporter()
    async with call(make_model(), server, agent) as (session, peer, seen):
        await begin_to_search(peer, seen)
        agent.goes_on.set()
        await told(peer, "Still searching.")
        await told(peer, "The third restaurant.")
        await after(peer, client.GenerateReply)
        await peer.speak("I am still at it.")
        await spoken(seen, "I am still at it.")
        agent.fails.set()
        await told(peer, "no table is free")
        await after(peer, client.GenerateReply)
        await peer.speak("There is none.")
        await spoken(seen, "There is none.")
        await until(session, "listening")


async def reset_to(peer, instructions):
    """The next reset, which is to these instructions."""
    reset = await after(peer, client.Reset)
    assert reset.config.system_prompt.startswith(instructions)
    return reset


async def test_agents_that_wait_for_each_other_each_get_their_result(make_model, server):
    async with call(make_model(), server, Booker()) as (session, peer, seen):
        await peer.send(phonic.ToolCall("call_1", "identify"))
        await reset_to(peer, "You ask who is calling.")
        await peer.send(phonic.ToolCall("call_2", "ask_name"))
        await reset_to(peer, "You ask for the caller's name.")
        await peer.send(phonic.ToolCall("call_3", "note_name", {"name": "Ada"}))
        await reset_to(peer, "You ask who is calling.")
        await reset_to(peer, "You are a receptionist.")
        await told(peer, "known: it is Ada")
        await peer.expect(client.GenerateReply)
        await peer.speak("Hello, Ada.")
        await spoken(seen, "Hello, Ada.")
        await until(session, "listening")


class Leaver(Receptionist):
    """It hands over when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.leaving = asyncio.Event()
        self.may_leave = asyncio.Event()

    async def on_exit(self) -> None:
        self.leaving.set()
        await self.may_leave.wait()


async def test_a_call_that_comes_while_its_agent_leaves_is_answered(make_model, server):
    """LiveKit passes over what Phonic says then, and so over the call."""
    agent = Leaver()
    async with call(make_model(), server, agent) as (_, peer, _):
        await peer.send(phonic.ToolCall("call_1", "transfer"))
        with anyio.fail_after(PATIENCE):
            await agent.leaving.wait()
        realtime: Any = agent.realtime_llm_session
        announced = asyncio.Event()
        realtime.on("generation_created", lambda _: announced.set())
        await peer.send(phonic.ToolCall("call_2", "opening_hours", {"day": "Monday"}))
        with anyio.fail_after(PATIENCE):
            await announced.wait()
        agent.may_leave.set()
        assert (await peer.expect(client.ToolCallOutput)).tool_call_id == "call_1"
        output = await peer.expect(client.ToolCallOutput)
        assert (output.tool_call_id, output.output[:24]) == ("call_2", "The tool was not run: th")
        await peer.expect(client.Reset)
    assert agent.asked == []


@pytest.mark.parametrize("reset", ["forgets the call", "keeps the call"])
async def test_a_tool_may_await_another_agent(reset, make_model, server, caplog):
    async with call(make_model(), server, Booker()) as (session, peer, seen):
        await peer.send(phonic.ToolCall("call_1", "book"))
        assert (await peer.expect(client.ToolCallOutput)).tool_call_id == "call_1"
        prompt = (await peer.expect(client.Reset)).config.system_prompt
        assert prompt.startswith("You ask for the caller's name.")
        if reset == "keeps the call":
            await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="call_1"))
        await peer.send(phonic.ToolCall("call_2", "note_name", {"name": "Ada"}))
        prompt = (await after(peer, client.Reset)).config.system_prompt
        assert prompt.startswith("You are a receptionist.")
        assert '"id":"call_1","arguments":"{}","status":"no output yet"' in prompt
        assert "booked for Ada" in (await after(peer, client.AddSystemMessage)).system_message
        await peer.expect(client.GenerateReply)
        await peer.speak("It is booked.")
        await spoken(seen, "It is booked.")
        await until(session, "listening")
    assert "does not support resuming function calls" not in caplog.text


async def until(session, state):
    """Return when the agent is in this state."""
    reached = asyncio.Event()
    session.on("agent_state_changed", lambda e: reached.set() if e.new_state == state else None)
    if session.agent_state != state:
        with anyio.fail_after(PATIENCE):
            await reached.wait()


class Greeter(Billing):
    """Has something to say when it takes over."""

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Offer help.")


class Operator(Receptionist):
    """Its tool hands over, and has words for the caller."""

    def __init__(self, next_agent: type[Billing]) -> None:
        super().__init__()
        self._next_agent = next_agent

    @function_tool
    async def connect(self) -> tuple[Billing, str]:
        """Connect the caller with billing."""
        return self._next_agent(self.chat_ctx.copy()), "You are being connected."


@pytest.mark.parametrize("output", ["is not taken", "is taken"])
@pytest.mark.parametrize("next_agent", [Billing, Greeter])
async def test_what_a_handoff_has_to_say_is_answered_by_the_next_agent(
    next_agent, output, make_model, server
):
    """LiveKit interrupts the answer, and the reset has Phonic forget that one was due."""
    async with call(make_model(), server, Operator(next_agent)) as (session, peer, seen):
        await peer.send(phonic.ToolCall("call_1", "connect"))
        assert (await peer.expect(client.ToolCallOutput)).output == "You are being connected."
        if output == "is taken":
            await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="call_1"))
        await reset_to(peer, "You do the billing.")
        asked = await peer.expect(client.GenerateReply)
        assert asked == client.GenerateReply(
            system_message="Offer help." if next_agent is Greeter else UNSET
        )
        await peer.speak("Billing here.")
        await spoken(seen, "Billing here.")
        await until(session, "listening")
    assert await peer.receive() is None, "nothing else was asked for"


class Changer(Receptionist):
    """Its tool changes the conversation that it is called in."""

    @function_tool
    async def speak_slowly(self) -> str:
        """Speak slowly."""
        realtime: Any = self.realtime_llm_session
        realtime.update_options(audio_speed=0.8)
        await asyncio.sleep(0)
        return "changed"


async def test_a_tool_may_change_the_options(make_model, server):
    async with call(make_model(), server, Changer()) as (session, peer, seen):
        await peer.send(phonic.ToolCall("call_1", "speak_slowly"))
        assert (await after(peer, client.Reset)).config.audio_speed == 0.8
        assert '"changed"' in (await after(peer, client.AddSystemMessage)).system_message
        await peer.expect(client.GenerateReply)
        await peer.speak("Very well.")
        await spoken(seen, "Very well.")
        await until(session, "listening")


@pytest.mark.parametrize("output", ["is taken", "is answered", "is refused", "is not waited for"])
async def test_a_call_that_the_agent_ends_is_over_after_the_goodbye(
    output, make_model, server, caplog
):
    agent = Receptionist(tools=[EndCallTool(delete_room=False)])
    async with call(make_model(), server, agent) as (_, peer, seen):
        await peer.send(phonic.ToolCall("call_1", "end_call"))
        if output == "is not waited for":
            await peer.send(phonic.ToolCallInterrupted("call_1", "end_call"))
            await told(peer, "say goodbye to the user")
        else:
            assert (await peer.expect(client.ToolCallOutput)).output == "say goodbye to the user"
        if output == "is taken":
            await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="call_1"))
        elif output == "is refused":
            await peer.send(phonic.Error(phonic.Problem("no call 'call_1' is waiting")))
        if output in ("is refused", "is not waited for"):
            await after(peer, client.GenerateReply)
        await peer.speak("Goodbye.")
        await spoken(seen, "Goodbye.")
        await seen.close()
    assert "tool reply timed out" not in caplog.text


@pytest.mark.parametrize("says", ["say goodbye to the user", None])
async def test_a_call_that_the_agent_ends_is_over_where_no_goodbye_comes(says, make_model, server):
    agent = Receptionist(tools=[EndCallTool(delete_room=False, end_instructions=says)])
    async with call(make_model(), server, agent) as (_, peer, seen):
        await peer.send(phonic.ToolCall("call_1", "end_call"))
        await peer.expect(client.ToolCallOutput)
        await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="call_1"))
        if says is not None:
            await peer.send(phonic.AssistantChoseNotToRespond())
        await seen.close()


@pytest.mark.parametrize(
    "why", ["is silent", "is not waited for", "was interrupted", "is given up"]
)
async def test_the_agent_does_not_think_for_good(why, make_model, server):
    fields: dict[str, dict[str, Any]] = {
        "is silent": {"forbid_speech_after_tool_call": True},
        "is not waited for": {"execution_mode": "async"},
    }
    configs = [{"name": "search", **fields.get(why, {})}]
    agent = Slow()
    async with call(make_model(configs_for_tools=configs), server, agent) as (session, peer, seen):
        await peer.send(phonic.ToolCall("call_1", "search"))
        with anyio.fail_after(PATIENCE):
            await agent.searching.wait()
        if why == "was interrupted":
            await peer.send(
                phonic.UserStartedSpeaking(),
                phonic.ToolCallInterrupted("call_1", "search"),
                phonic.UserFinishedSpeaking(),
                phonic.InputText("Wait."),
            )
            await peer.speak("Yes?")
            await spoken(seen, "Yes?")
        elif why == "is given up":
            await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="call_1", timed_out=True))
            await peer.speak("That took too long.")
            await spoken(seen, "That took too long.")
        try:
            if why != "was interrupted":
                await until(session, "thinking")
        finally:
            agent.found.set()
        if why in fields:
            await peer.expect(client.ToolCallOutput)
        elif why == "was interrupted":
            # LiveKit wants no answer to it: the caller has got one.
            await after(peer, client.AddSystemMessage)
        else:
            await after(peer, client.AddSystemMessage)
            await peer.expect(client.GenerateReply)
            await peer.speak("A table at eight.")
            await spoken(seen, "A table at eight.")
        await until(session, "listening")


async def test_a_call_that_livekit_drops_behind_an_interrupted_answer_is_answered(
    make_model, server
):
    """It begins a tool only when the answer in front has been played."""
    agent = Receptionist()
    async with call(make_model(), server, agent) as (session, peer, _):
        playing = asyncio.Event()
        session.output.audio.on("playback_started", lambda _: playing.set())
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(bytes(48_000 * 5), "One moment."),
            phonic.AssistantFinishedSpeaking(),
            phonic.ToolCall("call_1", "opening_hours", {"day": "Monday"}),
        )
        with anyio.fail_after(PATIENCE):
            await playing.wait()
        session.interrupt()
        output = await peer.expect(client.ToolCallOutput)
        assert output.tool_call_id == "call_1"
        assert output.output == "The tool was not run: the answer that it belonged to was cut off."
        await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="call_1"))
        await peer.send(phonic.ToolCall("call_2", "opening_hours", {"day": "Monday"}))
        assert (await peer.expect(client.ToolCallOutput)).tool_call_id == "call_2"
    assert agent.asked == ["Monday"]


class Talker(Receptionist):
    """Its tool has the agent say something before it gives its output."""

    @function_tool
    async def announce(self) -> str:
        """Announce something."""
        await self.session.generate_reply(instructions="Announce it.")
        return "announced"


async def test_a_reply_within_a_tool_has_no_tools(make_model, server):
    """LiveKit asks for it with the tool choice "none", and drops calls in it."""
    async with call(make_model(), server, Talker()) as (_, peer, seen):
        await peer.send(phonic.ToolCall("call_1", "announce"))
        assert (await peer.expect(client.UpdateToolsSubset)).tools == []
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.ToolCall("call_2", "announce"))
        assert (await peer.expect(client.ToolCallOutput)).tool_call_id == "call_2"
        await peer.speak("Attention.")
        await spoken(seen, "Attention.")
        assert len((await after(peer, client.UpdateToolsSubset)).tools) == 3


async def test_a_tool_that_was_asked_for_may_await_another_agent(make_model, server):
    """LiveKit names the tool for its own reply alone. The other agent has tools of its own."""
    async with call(make_model(), server, Booker()) as (session, peer, seen):
        session.generate_reply(tool_choice={"type": "function", "function": {"name": "book"}})
        assert [tool.name for tool in (await peer.expect(client.UpdateToolsSubset)).tools] == [
            "book"
        ]
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.ToolCall("call_1", "book"))
        reset = await after(peer, client.Reset)
        assert [tool.name for tool in reset.config.tools] == ["note_name"]
        await peer.send(phonic.ToolCall("call_2", "note_name", {"name": "Ada"}))
        reset = await after(peer, client.Reset)
        assert len(reset.config.tools) == 4
        await after(peer, client.GenerateReply)
        await peer.speak("It is booked.")
        await spoken(seen, "It is booked.")
