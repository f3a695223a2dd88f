"""Records the calls in ``tests/traces/kinds``: those that go wrong, each in its own way, and those
in which nothing is wrong::

    PYTHONPATH=tests python -m support.record_kinds [NAME ...]

``kinds`` says what is to be found in each. Recording takes as long as the calls do. ``moved`` needs
a LiveKit server, as the tests in ``tests/room`` do.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import numpy as np
from livekit import rtc
from livekit.agents import Agent, ToolError, function_tool
from soak.fault_proxy import Delay, FaultProxy, Plan, Stall, at
from support.durable_calls import first_process, goes_on
from support.ports import free_port
from support.rooms import PATIENCE, ask, greeted
from support.scripted import PhonicServer
from support.stage import RATE, Room, Stage, audio, on_stage
from support.takeovers import SCENARIO, House

from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.simulator import PhonicSimulator, Scenario
from phonic_fsm.testing import Caller, LiveKitServer, Playback, RoomCall

KINDS = Path(__file__).parent.parent / "traces" / "kinds"

AT_ONCE = 4
"""So many calls are recorded at the same time: more of them would hold each other up."""

Script = Callable[[Stage], Awaitable[None]]


class Concierge(Agent):
    """Has a tool for everything that can become of a tool."""

    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="You are a concierge.", **options)

    @function_tool
    async def get_order(self, number: int) -> str:
        """Look an order up."""
        return f"Order {number} is on its way."

    @function_tool
    async def find_table(self, hour: int) -> str:
        """Find a table, in a book that is not quick."""
        await asyncio.sleep(6.0)
        return f"A table at {hour}."

    @function_tool
    async def check_weather(self) -> str:
        """Look the weather up, which takes a while."""
        await asyncio.sleep(3.5)
        return "Sunny."

    @function_tool
    async def call_taxi(self) -> str:
        """Call a taxi, which fails."""
        raise ToolError("no taxi")

    @function_tool
    async def read_file(self) -> str:
        """Read a file, in a way that holds everything up."""
        time.sleep(1.5)  # noqa: ASYNC251 - what a blocked event loop is
        return "Read."

    @function_tool
    async def ask_the_cook(self) -> str:
        """Ask the cook, who takes his time."""
        await asyncio.sleep(9.0)
        return "Yes."

    @function_tool
    async def close_door(self) -> None:
        """Close the door, and say nothing of it."""

    @function_tool
    async def transfer(self) -> Agent:
        """Hand the caller over."""
        return Agent(instructions="You do the billing.")

    @function_tool
    async def transfer_politely(self) -> Agent:
        """Hand the caller over to somebody who speaks first."""
        return Greeter(instructions="You do the billing.")

    @function_tool
    async def ask_reception(self) -> Agent:
        """Hand the caller over to somebody who may hand over again."""
        return Reception(instructions="You are the reception.")


class Greeter(Agent):
    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the caller.")


class LateGreeter(Agent):
    async def on_enter(self) -> None:
        await asyncio.sleep(4.0)
        self.session.generate_reply(instructions="Greet the caller.")


class Reception(Greeter):
    @function_tool
    async def transfer_politely(self) -> Agent:
        """Hand the caller over to somebody who speaks first."""
        return Greeter(instructions="You do the billing.")


# -- the caller's audio ---------------------------------------------------------------------------


async def no_frames(s: Stage) -> None:
    s.session.input.set_audio_enabled(False)
    await s.open()
    await s.answer("Welcome.")
    await s.pause(15.0)


async def digital_silence(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.pause(15.0)


async def silent_until_phonic_hangs_up(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.pause(15.0)
    await s.peer.close(1000, "no input")
    await s.pause(1.0)


async def too_quiet(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.say("I should like a table for two at eight tonight. " * 4, loudness=0.002)


async def muted_throughout(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.say("I should like a table for two at eight tonight. " * 4)


async def not_understood(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.say("I should like a table for two at eight tonight. " * 4)


async def hum(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.pause(15.0)


async def overdriven(s: Stage) -> None:
    await s.open()
    await s.turn("I should like a table for two at eight tonight, please.")
    await s.answer("Sorry?")


async def unnoticed(s: Stage) -> None:
    await s.open()
    await s.turn("Hello.")
    await s.answer("What can I do for you?")
    await s.say("I should like a table for two at eight tonight. " * 2)
    await s.pause(2.0)


async def interruption_noticed_late(s: Stage) -> None:
    await s.open()
    await s.turn("Tell me everything.")
    await s.stream("We have a table by the window, and one in the garden.", 9.0)
    await s.pause(2.2)
    await s.say("Stop, please, I only want to know the price.")
    await interrupt(s, "The price.")
    await s.answer("Yes?")


async def end_noticed_late(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.peer.send(phonic.UserStartedSpeaking())
    await s.say("When do you open?")
    await s.pause(4.0)
    await s.peer.send(phonic.UserFinishedSpeaking(), phonic.InputText("When do you open?", "en"))
    await s.answer("At nine.")


async def noise_taken_for_speech(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.peer.send(phonic.UserStartedSpeaking())
    await s.say("When do you open?")
    await s.pause(14.0)


async def never_committed(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    s.phonic.start_user_activity()
    await s.turn("When do you open?")
    await s.pause(5.0)


async def wrong_rate(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    for words in ("Hello?", "Is anybody there?"):
        await s.turn(words)
        await s.answer("Sorry?")
    await s.pause(6.0)


async def lost_frames(s: Stage) -> None:
    await s.open()
    await s.turn("I should like a table for two at eight tonight, please.")
    await s.answer("Sorry?")
    await s.turn("I said: a table for two.")
    await s.answer("Pardon?")


async def microphone_gone(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.turn("One moment.")
    await s.answer("Take your time.")
    s.session.input.set_audio_enabled(False)
    await s.pause(7.0)
    s.session.input.set_audio_enabled(True)
    await s.turn("Here I am.")
    await s.answer("Good.")


# -- answers --------------------------------------------------------------------------------------


async def late_answer(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.pause(5.0)
    await s.answer("At nine.")


async def slow_answers(s: Stage) -> None:
    await s.open()
    for words in ("When do you open?", "And on Sunday?", "And when do you close?"):
        await s.turn(words)
        await s.pause(2.3)
        await s.answer("At nine.")


async def answer_without_a_sound(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.peer.send(phonic.AssistantStartedSpeaking())
    await s.pause(4.5)
    await s.peer.send(audio("At nine.", 1.0), phonic.AssistantFinishedSpeaking())
    await s.pause(1.2)


async def gap_in_an_answer(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.begin("We open ", 0.6)
    await s.pause(3.0)
    await s.peer.send(audio("at nine.", 0.8), phonic.AssistantFinishedSpeaking())
    await s.pause(1.0)


async def stalled_answer(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.begin("We open ", 0.8)
    await s.pause(22.0)


async def empty_answer(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.peer.send(phonic.AssistantStartedSpeaking(), phonic.AssistantFinishedSpeaking())
    await s.pause(4.0)
    await s.turn("Hello?")
    await s.answer("At nine.")


async def not_played(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.turn("When do you open?")
    await s.answer("At nine.", 2.0)
    await s.pause(5.0)


async def silent_answer(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.turn("When do you open?")
    await s.peer.send(
        phonic.AssistantStartedSpeaking(),
        phonic.AudioChunk(bytes(2 * RATE), "We open at nine."),
        phonic.AssistantFinishedSpeaking(),
    )
    await s.pause(1.5)
    await s.turn("Hello?")
    await s.answer("We open at nine.")


async def choppy_answer(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.peer.send(phonic.AssistantStartedSpeaking())
    for word in ("We ", "open ", "at ", "nine."):
        await s.peer.send(audio(word, 0.2))
        await s.pause(0.8)
    await s.peer.send(phonic.AssistantFinishedSpeaking())


async def answered_twice(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    for _ in range(2):
        await s.answer("We open at nine.", 1.2)


async def voicemail(s: Stage) -> None:
    await s.open()
    for _ in range(3):
        await s.turn("Please leave a message.")
        await s.answer("Hello, may I speak to Mr Smith?", 1.2)


async def first_reply_late(s: Stage) -> None:
    await s.open()
    while not isinstance(await s.peer.receive(), client.GenerateReply):
        pass
    await s.answer("Welcome.")


async def reply_swallowed(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    s.session.generate_reply(instructions="Offer a table.")
    await s.pause(11.0)


async def reply_declined(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    s.session.generate_reply(instructions="Offer a table.")
    await s.peer.expect(client.GenerateReply)
    await s.peer.send(phonic.AssistantChoseNotToRespond())
    await s.pause(0.5)


async def no_welcome(s: Stage) -> None:
    await s.open()
    await s.pause(5.0)
    await s.turn("Hello?")
    await s.answer("Hello.")


# -- interruptions --------------------------------------------------------------------------------


async def interrupt(s: Stage, words: str) -> None:
    """The caller cuts the answer off."""
    await s.peer.send(phonic.UserStartedSpeaking(), phonic.InterruptedResponse("We"))
    await s.say(words)
    await s.peer.send(phonic.UserFinishedSpeaking(), phonic.InputText(words, "en"))


async def echo(s: Stage) -> None:
    await s.open()
    await s.stream("Our kitchen is open until ten tonight.", 4.0)
    await s.pause(2.0)
    await interrupt(s, "kitchen is open until ten")
    await s.answer("Pardon?")


async def many_interruptions(s: Stage) -> None:
    await s.open()
    for _ in range(5):
        await s.stream("We have a table by the window, and one in the garden.", 6.0)
        await s.pause(1.2)
        await interrupt(s, "Hm.")
        await s.pause(0.3)
    await s.answer("Yes?")


async def cut_off_at_the_start(s: Stage) -> None:
    await s.open()
    for _ in range(3):
        await s.stream("We have a table by the window.", 4.0)
        await s.pause(0.4)
        await interrupt(s, "Hm.")
        await s.pause(0.3)
    await s.answer("Yes?")


async def cut_off_by_the_agent(s: Stage) -> None:
    await s.open()
    for words in ("When do you open?", "Hello?", "Is anybody there?"):
        await s.turn(words)
        await s.begin("We open at nine, every day of the week.", 3.0)
        await s.pause(0.3)
        await s.session.interrupt()
        await s.pause(0.5)


async def reset_in_an_answer(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.begin("We open at nine, ", 1.5)
    await s.pause(0.5)
    await s.agent.update_instructions("{{name}} is calling.")
    await s.peer.send(audio("every day of the week.", 1.0), phonic.AssistantFinishedSpeaking())
    await s.pause(5.0)
    await s.turn("Hello?")
    await s.answer("Yes?")


async def turn_taken_back(s: Stage) -> None:
    await s.open()
    await s.stream("We have a table by the window, and one in the garden.", 6.0)
    await s.pause(1.5)
    await s.peer.send(phonic.UserStartedSpeaking())
    await s.pause(0.3)
    await s.peer.send(phonic.InputCancelled())
    await s.pause(5.0)
    await s.turn("Hello?")
    await s.answer("Yes?")


async def assistant_cuts_in(s: Stage) -> None:
    await s.open()
    await s.peer.send(phonic.UserStartedSpeaking())
    await s.say("I should like")
    await s.peer.send(phonic.AssistantStartedSpeaking(), audio("We have many tables free.", 2.5))
    await s.say("a table for two at eight tonight, please.")
    await s.peer.send(
        phonic.AssistantFinishedSpeaking(),
        phonic.UserFinishedSpeaking(),
        phonic.InputText("I should like a table for two at eight tonight, please.", "en"),
    )
    await s.answer("At eight, then.")


# -- tools ----------------------------------------------------------------------------------------


async def slow_tool(s: Stage) -> None:
    await s.open()
    await s.turn("A table at eight, please.")
    await s.call("find_table", hour=8)
    await s.pause(5.5)
    await s.output()
    await s.answer("At eight.")


async def failed_tool(s: Stage) -> None:
    await s.open()
    await s.turn("A taxi, please.")
    await s.call("call_taxi")
    await s.output()
    await s.answer("Sorry, there is none.")


async def bad_arguments(s: Stage) -> None:
    await s.open()
    await s.turn("A table in the evening, please.")
    await s.call("find_table", hour="in the evening")
    await s.output()
    await s.answer("Sorry, at what time?")


async def unknown_tool(s: Stage) -> None:
    await s.open()
    await s.turn("A boat, please.")
    await s.call("rent_boat", hours=2)
    await s.output()
    await s.answer("Sorry, I cannot.")


async def tool_called_again(s: Stage) -> None:
    await s.open()
    await s.turn("Where is order seven?")
    for call_id in ("call_1", "call_2"):
        await s.call("get_order", call_id, number=7)
        await s.output()
        await s.answer("One moment.")


async def tool_timed_out(s: Stage) -> None:
    await s.open()
    await s.turn("A table at eight, please.")
    await s.call("find_table", hour=8)
    await s.pause(5.0)
    await s.peer.send(phonic.ToolCallOutputProcessed(tool_call_id="call_1", timed_out=True))
    await s.answer("Sorry, that takes too long.")


async def tool_without_output(s: Stage) -> None:
    await s.open()
    await s.turn("Is there soup?")
    await s.call("ask_the_cook")
    await s.pause(6.5)
    await s.phonic.aclose()


async def empty_output(s: Stage) -> None:
    await s.open()
    await s.turn("Close the door, please.")
    await s.call("close_door")
    await s.output()
    await s.pause(4.0)
    await s.turn("Hello?")
    await s.answer("It is closed.")


async def no_answer_to_an_output(s: Stage) -> None:
    await s.open()
    await s.turn("Where is order seven?")
    await s.call("get_order", number=7)
    await s.output()
    await s.pause(11.0)


# -- the process ----------------------------------------------------------------------------------


async def blocked_event_loop(s: Stage) -> None:
    await s.open()
    await s.turn("Read it to me.")
    await s.call("read_file")
    await s.output()
    await s.answer("I have read it.")


async def starved_process(s: Stage) -> None:
    await s.open()
    await s.turn("Read it to me.")
    await s.stream("Here is what it says, from the beginning.", 3.0)
    for _ in range(8):
        time.sleep(0.25)  # noqa: ASYNC251 - what a process that gets too little CPU does
        await s.pause(0.05)
    await s.pause(1.0)


# -- the connection -------------------------------------------------------------------------------


async def config_refused(s: Stage) -> None:
    peer = await s.server.accept()
    await peer.expect(client.Config)
    await peer.send(phonic.Error(phonic.Problem("bad config"), {"voice_id": "unknown voice"}))
    await s.pause(0.5)


async def wrong_key(s: Stage) -> None:
    await s.pause(0.5)


async def nobody_there(s: Stage) -> None:
    await s.pause(6.0)


async def too_many_calls(s: Stage) -> None:
    s.server.refuse, s.server.retry_after = 429, "4"
    while not s.server.handshakes:
        await s.pause(0.05)
    s.server.refuse = None
    with anyio.fail_after(10):
        while s.server.handshakes < 2:
            await s.pause(0.05)
    await s.open()
    await s.answer("Welcome.")


async def slow_to_be_ready(s: Stage) -> None:
    s.peer = await s.server.accept()
    await s.peer.expect(client.Config)
    await s.pause(4.0)
    await s.peer.send(phonic.ConversationCreated("conv_1"), phonic.ReadyToStartConversation())
    await s.answer("Welcome.")


async def late_to_be_ready(s: Stage) -> None:
    s.peer = await s.server.accept()
    await s.peer.expect(client.Config)
    await s.say("Hello? I should like a table for two at eight tonight, by the window, please. ")
    await s.pause(4.0)
    await s.peer.send(
        phonic.ConversationCreated("conv_1"),
        phonic.ReadyToStartConversation(),
        phonic.UserStartedSpeaking(),
    )
    await s.pause(8.0)
    await s.peer.send(phonic.UserFinishedSpeaking(), phonic.InputText("A table, please.", "en"))
    await s.answer("Of course.")


async def phonic_restarts(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.peer.close(1012, "restarting")
    s.peer = await s.server.accept()
    await s.peer.send(phonic.ConversationReconnected())
    await s.turn("Hello?")
    await s.answer("Hello.")


async def begun_afresh(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    s.peer.cut()
    refusing = await s.server.accept()
    await refusing.close(4800, "conversation not found")
    await s.open("conv_2")
    await s.turn("Hello?")
    await s.answer("Hello.")


async def away_for_a_while(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    s.server.refuse = 503
    s.peer.cut()
    await s.pause(2.7)
    s.server.refuse = None
    s.peer = await s.server.accept()
    await s.peer.send(phonic.ConversationReconnected())
    await s.answer("At nine.")


async def away_for_good(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    s.server.refuse = 401
    s.peer.cut()
    await s.pause(2.0)


async def slow_network(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.answer("At nine.")
    await s.turn("Thanks.")
    await s.answer("You are welcome.")
    await s.pause(9.0)


async def frozen_network(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.answer("At nine.")
    with anyio.fail_after(30):
        while s.server.handshakes < 2:
            await s.pause(0.1)
    s.peer = await s.server.accept()
    await s.peer.send(phonic.ConversationReconnected())
    await s.turn("Hello?")
    await s.answer("Hello.")


async def phonic_hangs_up(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.answer("At nine.")
    await s.peer.close(1000, "out of credit")
    await s.pause(1.0)


async def hung_up_on(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.turn("When do you open?")
    await s.peer.send(phonic.AssistantEndedConversation())
    await s.pause(1.0)


async def phonic_fails(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.peer.send(phonic.Error(phonic.Problem("internal error", "internal")))
    await s.peer.close(1011, "internal error")
    await s.pause(1.0)


async def phonic_warns(s: Stage) -> None:
    await s.open()
    await s.peer.send(phonic.Warning(phonic.Problem("the model is overloaded", "overloaded")))
    await s.turn("When do you open?")
    await s.answer("At nine.")


# -- handoffs and the end -------------------------------------------------------------------------


async def silent_handoff(s: Stage) -> None:
    await s.open()
    await s.turn("Billing, please.")
    await s.call("transfer")
    await s.pause(4.5)
    await s.turn("Hello?")
    await s.answer("Billing here.")


async def handoff_without_a_reply(s: Stage) -> None:
    await s.open()
    await s.turn("Billing, please.")
    await s.call("transfer_politely")
    await s.pause(4.5)
    await s.answer("Billing here.")


async def process_killed(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.answer("At nine.")


async def goodbye_cut_off(s: Stage) -> None:
    await s.open()
    await s.turn("That is all.")
    await s.stream("Goodbye, and thank you for calling.", 3.0)
    await s.peer.send(phonic.AssistantEndedConversation())
    await s.pause(0.8)


# -- nothing is wrong -----------------------------------------------------------------------------


async def small_talk(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    for words in ("When do you open?", "And on Sunday?"):
        await s.turn(words)
        await s.pause(0.6)
        await s.answer("At nine.")


async def ordinary_tool(s: Stage) -> None:
    await s.open()
    await s.turn("Where is order seven?")
    await s.pause(0.5)
    await s.call("get_order", number=7)
    await s.output()
    await s.pause(0.5)
    await s.answer("On its way.")


async def long_but_ordinary_tool(s: Stage) -> None:
    await s.open()
    await s.turn("What is the weather like?")
    await s.pause(0.5)
    await s.call("check_weather")
    await s.pause(3.0)
    await s.output()
    await s.answer("Sunny.")


async def line_before_a_tool(s: Stage) -> None:
    await s.open()
    await s.turn("What is the weather like?")
    await s.pause(0.5)
    await s.stream("Let me look that up for you.", 2.0)
    await s.call("check_weather")
    await s.pause(5.0)
    await s.output()
    await s.answer("Sunny.")


async def async_tool(s: Stage) -> None:
    await s.open()
    await s.turn("A table at eight, please.")
    await s.pause(0.5)
    await s.call("find_table", hour=8)
    await s.answer("I am looking; go on, please.", 1.5)
    await s.turn("For two, by the window.")
    await s.pause(0.5)
    await s.answer("Of course.")
    await s.output()
    await s.answer("There is one.")


async def two_tools(s: Stage) -> None:
    await s.open()
    await s.turn("Where are my orders?")
    await s.call("get_order", "call_1", number=7)
    await s.call("get_order", "call_2", number=8)
    await s.output()
    await s.output()
    await s.answer("On their way.")


async def thinking_caller(s: Stage) -> None:
    await s.open()
    await s.answer("Which table?")
    await s.pause(11.0)
    await s.turn("The one by the window.")
    await s.answer("Good.")


async def one_interruption(s: Stage) -> None:
    await s.open()
    await s.stream("We have a table by the window, and one in the garden.", 6.0)
    await s.pause(2.0)
    await interrupt(s, "The garden, please.")
    await s.pause(0.5)
    await s.answer("The garden.")


async def overlapping_speech(s: Stage) -> None:
    await s.open()
    await s.peer.send(phonic.AssistantStartedSpeaking())
    for word in ("We ", "have ", "a ", "table ", "by ", "the ", "window."):
        await s.peer.send(audio(word, 0.3))
        await s.pause(0.3)
        if word == "a ":
            await s.peer.send(phonic.UserStartedSpeaking())
        elif word == "by ":
            await s.peer.send(phonic.UserFinishedSpeaking(), phonic.InputText("Mm-hmm.", "en"))
    await s.peer.send(phonic.AssistantFinishedSpeaking())
    await s.pause(0.5)
    await s.turn("That one.")
    await s.answer("Good.")


async def withdrawn_turn(s: Stage) -> None:
    await s.open()
    await s.answer("Which table?")
    await s.peer.send(phonic.UserStartedSpeaking())
    await s.pause(0.4)
    await s.peer.send(phonic.InputCancelled())
    await s.pause(2.0)
    await s.turn("The one by the window.")
    await s.answer("Good.")


async def asked_to_wait(s: Stage) -> None:
    await s.open()
    await s.turn("One moment, I look for my card.")
    await s.peer.send(phonic.AssistantChoseNotToRespond())
    await s.pause(6.0)
    await s.turn("Here it is.")
    await s.answer("Thank you.")


async def polite_handoff(s: Stage) -> None:
    await s.open()
    await s.turn("Billing, please.")
    await s.call("transfer_politely")
    while not isinstance(await s.peer.receive(), client.GenerateReply):
        pass
    await s.answer("Billing here.")


async def two_handoffs(s: Stage) -> None:
    await s.open()
    for number, tool in enumerate(("ask_reception", "transfer_politely")):
        await s.turn("Somebody else, please.")
        await s.call(tool, f"call_{number}")
        while not isinstance(await s.peer.receive(), client.GenerateReply):
            pass
        await s.pause(0.3)
        await s.answer("How can I help?")


async def dialled_digits(s: Stage) -> None:
    await s.open()
    await s.turn("Put me through to the kitchen.")
    await s.peer.send(
        phonic.AssistantStartedSpeaking(), phonic.Dtmf("12#"), phonic.AssistantFinishedSpeaking()
    )
    await s.pause(4.0)
    await s.turn("Kitchen here.")
    await s.answer("A guest would like to speak to you.")


async def long_pauses(s: Stage) -> None:
    await s.open()
    await s.answer("Which table?")
    for words in ("Hm. The one by the window.", "Or the garden."):
        await s.pause(9.0)
        await s.turn(words)
        await s.pause(0.7)
        await s.answer("Good.")


async def goodbye(s: Stage) -> None:
    await s.open()
    await s.turn("That is all.")
    await s.pause(0.4)
    await s.answer("Goodbye.")
    await s.peer.send(phonic.AssistantEndedConversation())
    await s.pause(1.5)


async def typed(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    s.session.generate_reply(user_input="When do you open?")
    while not isinstance(await s.peer.receive(), client.GenerateReply):
        pass
    await s.answer("At nine.")
    await s.pause(12.0)


async def interrupted_by_the_agent(s: Stage) -> None:
    await s.open()
    await s.begin("We have a table by the window, ", 3.0)
    await s.pause(1.0)
    await s.session.interrupt()
    await s.peer.send(audio("and one in the garden.", 2.0), phonic.AssistantFinishedSpeaking())
    await s.turn("The garden, please.")
    await s.answer("Good.")


async def push_to_talk(s: Stage) -> None:
    await s.open()
    await s.answer("Welcome.")
    await s.session.interrupt()
    s.session.clear_user_turn()
    s.phonic.start_user_activity()
    await s.turn("When do you open?")
    s.session.commit_user_turn()
    await s.pause(0.3)
    await s.answer("At nine.")
    await s.pause(1.0)


async def words_repeated(s: Stage) -> None:
    await s.open()
    await s.turn("A table, please.")
    await s.answer("A table for two by the window?", 2.0)
    await s.pause(0.3)
    await s.turn("A table for two by the window.")
    await s.answer("Good.")


async def noisy_line(s: Stage) -> None:
    await s.open()
    await s.answer("Which table?")
    await s.turn("The one by the window, please.")
    await s.pause(0.4)
    await s.answer("Good.")
    await s.pause(5.0)
    await s.turn("And one for tomorrow.")
    await s.answer("Good.")


async def asked_again(s: Stage) -> None:
    await s.open()
    for call_id in ("call_1", "call_2"):
        await s.turn("Where is order seven now?")
        await s.call("get_order", call_id, number=7)
        await s.output()
        await s.answer("On its way.")


async def caller_hangs_up(s: Stage) -> None:
    await s.open()
    await s.turn("When do you open?")
    await s.stream("We open at nine, and we close at ten, on Sundays at eight.", 5.0)
    await s.pause(1.0)


SCRIPTS: dict[str, Script] = {
    script.__name__: script
    for script in (
        blocked_event_loop,
        starved_process,
        no_frames,
        digital_silence,
        silent_until_phonic_hangs_up,
        too_quiet,
        muted_throughout,
        not_understood,
        wrong_rate,
        hum,
        overdriven,
        unnoticed,
        interruption_noticed_late,
        end_noticed_late,
        noise_taken_for_speech,
        never_committed,
        lost_frames,
        microphone_gone,
        late_answer,
        slow_answers,
        answer_without_a_sound,
        gap_in_an_answer,
        stalled_answer,
        empty_answer,
        silent_answer,
        choppy_answer,
        answered_twice,
        voicemail,
        first_reply_late,
        not_played,
        reply_swallowed,
        reply_declined,
        no_welcome,
        echo,
        many_interruptions,
        cut_off_at_the_start,
        cut_off_by_the_agent,
        reset_in_an_answer,
        turn_taken_back,
        assistant_cuts_in,
        slow_tool,
        failed_tool,
        bad_arguments,
        unknown_tool,
        tool_called_again,
        tool_timed_out,
        tool_without_output,
        empty_output,
        no_answer_to_an_output,
        config_refused,
        wrong_key,
        nobody_there,
        too_many_calls,
        slow_to_be_ready,
        late_to_be_ready,
        phonic_restarts,
        begun_afresh,
        away_for_a_while,
        away_for_good,
        slow_network,
        frozen_network,
        phonic_hangs_up,
        hung_up_on,
        phonic_fails,
        phonic_warns,
        silent_handoff,
        handoff_without_a_reply,
        goodbye_cut_off,
        process_killed,
        small_talk,
        ordinary_tool,
        long_but_ordinary_tool,
        line_before_a_tool,
        async_tool,
        two_tools,
        thinking_caller,
        one_interruption,
        overlapping_speech,
        withdrawn_turn,
        asked_to_wait,
        polite_handoff,
        two_handoffs,
        dialled_digits,
        long_pauses,
        goodbye,
        typed,
        interrupted_by_the_agent,
        push_to_talk,
        words_repeated,
        asked_again,
        noisy_line,
        caller_hangs_up,
    )
}

OPTIONS: dict[str, dict[str, Any]] = {
    "no_welcome": {"welcome_message": "Welcome aboard."},
    "muted_throughout": {"manual": True},
    "push_to_talk": {"manual": True},
    "never_committed": {"manual": True},
    "overlapping_speech": {"stream_ahead_of_real_time": False},
    "assistant_cuts_in": {"stream_ahead_of_real_time": False},
    "async_tool": {"configs_for_tools": [{"name": "find_table", "execution_mode": "async"}]},
    "nobody_there": {"url": "ws://127.0.0.1:9"},
}
"""What a call's model is made with, beside the usual."""


class Mislabelled(Room):
    """Its frames say half of their sample rate, so they seem twice as long."""

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        rate = frame.sample_rate // 2
        return rtc.AudioFrame(bytes(frame.data), rate, 1, frame.samples_per_channel)


class Lossy(Room):
    """Two of five of its frames do not arrive."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate)
        self._frames = itertools.cycle((True, False, True, False, True))

    async def __anext__(self) -> rtc.AudioFrame:
        while True:
            frame = await super().__anext__()
            if next(self._frames):
                return frame


class Noisy(Room):
    """There is a noise all the time, as loud as speech."""

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        noise = self._noise.normal(0, 2500, frame.samples_per_channel)
        return _changed(frame, np.frombuffer(frame.data, np.int16) + noise)


class Bursty(Noisy):
    """Its frames come half a second late, all at once."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate)
        self._held: list[rtc.AudioFrame] = []

    async def __anext__(self) -> rtc.AudioFrame:
        if not self._held:
            self._held = [await super(Bursty, self).__anext__() for _ in range(25)]
        return self._held.pop(0)


class Humming(Room):
    """Nothing but the hum of the mains comes through."""

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        number = frame.samples_per_channel  # 20 ms of it: a whole period
        return _changed(frame, 8000 * np.sin(2 * np.pi * np.arange(number) / number))


class Overdriven(Room):
    """Its amplifier turns everything that is said into a square."""

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        return _changed(frame, np.frombuffer(frame.data, np.int16) * 60.0)


def _changed(frame: rtc.AudioFrame, samples: np.ndarray[Any, Any]) -> rtc.AudioFrame:
    pcm = np.clip(samples, -32768, 32767).astype(np.int16).tobytes()
    return rtc.AudioFrame(pcm, frame.sample_rate, 1, frame.samples_per_channel)


CALLERS: dict[str, type[Caller]] = {
    "digital_silence": Caller,
    "silent_until_phonic_hangs_up": Caller,
    "wrong_rate": Mislabelled,
    "lost_frames": Lossy,
    "hum": Humming,
    "overdriven": Overdriven,
    "noise_taken_for_speech": Noisy,
    "noisy_line": Bursty,
}
"""Callers who are not just in a room that is never quite silent."""


class Jammed(Playback):
    """Plays the first answer, and takes nothing of the next."""

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        if self.segments and not self.playing:
            await anyio.sleep_forever()
        await super().capture_frame(frame)


async def taken_over(path: Path) -> None:
    """The process of a call is killed while its answer is played, and another one goes on."""
    scenario = Scenario(replies=("As I was saying, where would you like to sit?",))
    welcome = "Welcome to the harbour restaurant. Would you like to sit at the window?"
    with TemporaryDirectory() as directory:
        journals = Path(directory)
        async with PhonicSimulator(scenario) as sim:
            with first_process(journals, sim.url, welcome) as first:
                await first.says("a second was played")
                name = await first.killed()
                async with goes_on(journals, name, sim.url) as second:
                    await second.is_heard()
                path.write_bytes(second.journal.read_bytes())  # noqa: ASYNC240


async def moved(path: Path) -> None:
    """A call in a LiveKit room moves from one worker to the other while nobody speaks."""
    with TemporaryDirectory() as directory:
        folder, port = Path(directory), free_port()
        async with AsyncExitStack() as stack:
            livekit = await stack.enter_async_context(LiveKitServer())
            place = str(folder / "journals")
            house = await stack.enter_async_context(House(livekit, place, folder, port))
            await house.open()
            await stack.enter_async_context(PhonicSimulator(SCENARIO, port=port))
            room: dict[str, Any] = {
                **livekit.credentials,
                "patience": PATIENCE,
                "agent_name": "clerk",
            }
            async with RoomCall(livekit.url, **room) as call:
                await greeted(call)
                status = house.status(call)
                house.store.ask(status.name, status.number, "move")
                await house.until_taken_over(call)
                await ask(call, "Where can we sit?")
            with anyio.fail_after(PATIENCE):
                while house.store.statuses():  # noqa: ASYNC110 - nobody tells of it
                    await anyio.sleep(0.1)
            path.write_bytes(b"".join(house.store.read(status.name)))  # noqa: ASYNC240


PROCESSES = {"taken_over": taken_over, "moved": moved}
"""Calls that more than one process has; each leaves its journal at a path."""

NAMES = (*SCRIPTS, *PROCESSES)

BLOCKING = ("blocked_event_loop", "starved_process")
"""Calls that hold the event loop up."""

NETWORKS: dict[str, Plan] = {
    "slow_network": lambda passing: Delay(0.8) if passing.kind == "pong" else None,
    "frozen_network": at("ping", Stall(), way="to_server"),
}


async def record(name: str, path: Path) -> None:
    """Play one script and leave the call's trace at the path."""
    if name in PROCESSES:
        await PROCESSES[name](path)
        return
    options = dict(OPTIONS.get(name, {}))
    async with AsyncExitStack() as props:
        if name in CALLERS:
            options["caller"] = CALLERS[name](RATE)
        elif name == "not_played":
            options["playback"] = Jammed(RATE)
        elif name == "wrong_key":
            options["server"] = await props.enter_async_context(PhonicServer())
            options["server"].refuse = 401
        elif name in NETWORKS:
            options["server"] = await props.enter_async_context(PhonicServer())
            network = await props.enter_async_context(FaultProxy())
            network.connect(options["server"].url, NETWORKS[name])
            options["url"] = network.url
        agent = LateGreeter(instructions="Greet.") if name == "first_reply_late" else Concierge()
        async with on_stage(agent, path, **options) as stage:
            await SCRIPTS[name](stage)
            if name == "process_killed":
                await stage.pause(1.5)  # until it is written
                left = path.read_bytes()  # noqa: ASYNC240
                props.callback(path.write_bytes, left)


async def main(names: list[str]) -> None:
    wanted = names or list(NAMES)
    limit = anyio.CapacityLimiter(AT_ONCE)

    async def run(name: str) -> None:
        async with limit:
            with anyio.fail_after(60):
                await record(name, KINDS / f"{name}.jsonl")

    # They hold up all that runs beside them.
    blocking = [name for name in wanted if name in BLOCKING]
    for name in blocking:
        await run(name)
    async with anyio.create_task_group() as group:
        for name in wanted:
            if name not in blocking:
                group.start_soon(partial(run, name))


if __name__ == "__main__":
    for old in sys.argv[1:] or NAMES:
        (KINDS / f"{old}.jsonl").unlink(missing_ok=True)
    anyio.run(main, sys.argv[1:])
