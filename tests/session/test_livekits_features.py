"""What LiveKit offers around a realtime session, as public reports say that it broke elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from livekit.agents import Agent, AgentSession, AgentTask, RunContext, function_tool
from livekit.agents.beta import workflows
from livekit.agents.llm import ToolFlag
from support.receptionist import Receptionist, Seen, call
from support.scripted import PATIENCE, SILENCE

from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.testing import Playback

pytestmark = pytest.mark.anyio


async def after(peer, kind):
    """The next message of a kind; others are passed over."""
    while not isinstance(message := await peer.receive(), kind):
        assert message is not None
    return message


async def answer(peer, call_id, words):
    """Take a tool's output, say so, and speak about it."""
    output = await after(peer, client.ToolCallOutput)
    assert output.tool_call_id == call_id
    await peer.send(phonic.ToolCallOutputProcessed(tool_call_id=call_id))
    await peer.speak(words)
    return output.output


async def spoken(seen, text):
    while (await seen.message("assistant")).text_content != text:
        pass


async def test_a_run_ends_with_the_answer_to_its_tool(make_model, server):
    async with call(make_model(), server) as (session, peer, _):

        async def serve():
            await peer.expect(client.GenerateReply)
            await peer.send(phonic.ToolCall("call_1", "opening_hours", {"day": "Monday"}))
            await answer(peer, "call_1", "Nine to five.")

        serving = asyncio.create_task(serve())
        with anyio.fail_after(PATIENCE):
            result = await session.run(user_input="When are you open?")
        await serving
        result.expect.next_event().is_function_call(name="opening_hours")
        result.expect.next_event().is_function_call_output(output="nine to five")
        result.expect.next_event().is_message(role="assistant")
        result.expect.no_more_events()


class AskName(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="You ask for the caller's name.")

    async def on_enter(self) -> None:
        await self.session.generate_reply(instructions="Ask for the name.")

    @function_tool
    async def note_name(self, name: str) -> None:
        """Note the caller's name."""
        self.complete(name)


class AsksFirst(Receptionist):
    async def on_enter(self) -> None:
        name = await AskName()
        await self.session.generate_reply(instructions=f"Greet {name}.")


class AsksInATool(Receptionist):
    async def on_enter(self) -> None:
        await self.session.generate_reply(instructions="Collect the name.")

    @function_tool
    async def collect(self) -> str:
        """Collect the caller's name."""
        return f"this is {await AskName()}"


async def test_a_task_may_be_awaited_before_the_agent_says_anything(make_model, server):
    async with call(make_model(), server, AsksFirst()) as (_, peer, seen):
        assert (await after(peer, client.GenerateReply)).system_message == "Ask for the name."
        await peer.speak("Your name?")
        await spoken(seen, "Your name?")
        await peer.send(phonic.ToolCall("call_1", "note_name", {"name": "Ada"}))
        assert (await after(peer, client.GenerateReply)).system_message == "Greet Ada."
        await peer.speak("Hello, Ada.")
        await spoken(seen, "Hello, Ada.")


async def test_the_first_reply_may_call_a_tool_that_awaits_a_task(make_model, server):
    async with call(make_model(), server, AsksInATool()) as (_, peer, seen):
        await after(peer, client.GenerateReply)
        await peer.send(phonic.ToolCall("call_1", "collect"))
        await after(peer, client.Reset)
        await after(peer, client.GenerateReply)
        await peer.speak("Your name?")
        await spoken(seen, "Your name?")
        await peer.send(phonic.ToolCall("call_2", "note_name", {"name": "Ada"}))
        while "this is Ada" not in (await after(peer, client.AddSystemMessage)).system_message:
            pass
        await after(peer, client.GenerateReply)
        await peer.speak("Thank you, Ada.")
        await spoken(seen, "Thank you, Ada.")


class Specialist(Agent):
    def __init__(self, sender: Agent) -> None:
        super().__init__(instructions="You know more.")
        self._sender = sender

    @function_tool
    async def give_back(self) -> Agent:
        """Give the caller back."""
        return self._sender


class Sender(Receptionist):
    @function_tool
    async def pass_on(self) -> Agent:
        """Pass the caller on."""
        return Specialist(self)


async def test_agents_may_pass_the_caller_to_and_fro(make_model, server):
    async with call(make_model(), server, Sender()) as (_, peer, seen):
        for turn in range(2):
            await peer.send(phonic.ToolCall(f"there_{turn}", "pass_on"))
            reset = await after(peer, client.Reset)
            assert reset.config.system_prompt.startswith("You know more.")
            await peer.speak(f"Yes {turn}?")
            await spoken(seen, f"Yes {turn}?")
            await peer.send(phonic.ToolCall(f"back_{turn}", "give_back"))
            reset = await after(peer, client.Reset)
            assert reset.config.system_prompt.startswith("You are a receptionist.")
            await peer.speak(f"Back {turn}.")
            await spoken(seen, f"Back {turn}.")
    assert server.handshakes == 1


async def test_an_agent_with_a_model_of_its_own_has_a_session_of_its_own(make_model, server):
    other = make_model(audio_speed=1.2)
    async with call(make_model(), server) as (session, peer, seen):
        session.update_agent(Agent(instructions="You speak fast.", llm=other))
        second = await server.accept()
        config = await second.open_conversation("conv_2")
        assert config.audio_speed == 1.2
        await second.speak("Quick.")
        await spoken(seen, "Quick.")
        assert await peer.receive() is None, "the former session is closed"


class Finder(Receptionist):
    def __init__(self) -> None:
        super().__init__()
        self.found = asyncio.Event()

    @function_tool(on_duplicate="replace", flags=ToolFlag.CANCELLABLE)
    async def find(self, ctx: RunContext[Any], seats: int) -> str:
        """Find a table."""
        await ctx.update("I am looking.")
        await self.found.wait()
        return f"a table for {seats}"


async def test_a_tool_that_runs_on_is_listed_and_replaced_by_a_newer_call(make_model, server):
    agent = Finder()
    async with call(make_model(), server, agent) as (_, peer, seen):
        for number in (2, 4):
            await peer.send(phonic.ToolCall(f"call_{number}", "find", {"seats": number}))
            assert "I am looking." in await answer(peer, f"call_{number}", f"For {number}.")
            await spoken(seen, f"For {number}.")
        await peer.send(phonic.ToolCall("list", "lk_agents_get_running_tasks"))
        running = await answer(peer, "list", "One.")
        assert "call_4" in running
        assert "call_2" not in running
        await spoken(seen, "One.")
        agent.found.set()
        assert "a table for 4" in (await after(peer, client.AddSystemMessage)).system_message
        await after(peer, client.GenerateReply)


@pytest.mark.parametrize(
    "task",
    [
        workflows.GetEmailTask,
        workflows.GetAddressTask,
        workflows.GetNameTask,
        workflows.GetDOBTask,
        workflows.GetPhoneNumberTask,
        workflows.GetCreditCardTask,
        lambda: workflows.GetDtmfTask(num_digits=4),
    ],
)
async def test_phonic_can_have_the_tools_of_livekits_own_tasks(task, make_model):
    session = make_model().session()
    try:
        await session.update_tools(list(task().tools))
    finally:
        await session.aclose()


async def test_a_caller_may_be_away_again_and_again(make_model, server):
    session = AgentSession(llm=make_model(), user_away_timeout=0.05)
    session.output.audio = Playback(24_000)
    seen, states = Seen(session), asyncio.Queue[str]()
    session.on("user_state_changed", lambda event: states.put_nowait(event.new_state))
    try:
        await session.start(Receptionist())
        peer = await server.accept()
        await peer.open_conversation()
        with anyio.fail_after(PATIENCE):
            for turn in range(2):
                while await states.get() != "away":
                    pass
                await peer.send(
                    phonic.UserStartedSpeaking(),
                    phonic.UserFinishedSpeaking(),
                    phonic.InputText("I am here."),
                )
                await peer.speak(f"Fine {turn}.")
                await spoken(seen, f"Fine {turn}.")
            while await states.get() != "away":
                pass
    finally:
        await session.aclose()


async def test_the_agents_voice_may_be_switched_off_and_on(make_model, server):
    async with call(make_model(), server) as (session, peer, seen):
        for voiced in (False, True, False):
            session.output.set_audio_enabled(voiced)
            await peer.speak(f"Voice: {voiced}.", audio=SILENCE)
            await spoken(seen, f"Voice: {voiced}.")
