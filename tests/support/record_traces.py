"""Records the traces in ``tests/traces``::

    PYTHONPATH=tests python -m support.record_traces [NAME ...]

Each is a real session against a scripted server on loopback. A recorded trace is a regression
test from then on; record one again only if what a session is *asked* to do has changed, never to
make a replay pass.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from livekit import rtc
from livekit.agents import APIConnectOptions, function_tool, llm
from support.scripted import PATIENCE, SILENCE, Emitted, Peer, PhonicServer

from phonic_fsm import RealtimeModel, RealtimeSession
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

TRACES = Path(__file__).parent.parent / "traces"


@function_tool
async def get_weather(city: str) -> str:
    """Look up the weather."""
    return f"sunny in {city}"


class Recording:
    """A session that is being recorded, its server and what it emits."""

    def __init__(self, session: RealtimeSession, server: PhonicServer) -> None:
        self.session = session
        self.server = server
        self.emitted = Emitted(session)
        self.peer: Peer

    async def begin(self, *, tools: bool = False, history: tuple[str, ...] = ()) -> None:
        """Give the inputs and open the conversation."""
        context = llm.ChatContext.empty()
        for number, text in enumerate(history):
            context.add_message(role="assistant" if number % 2 else "user", content=text)
        await self.session._update_session(
            instructions="You are a guide.", chat_ctx=context, tools=[get_weather] if tools else []
        )
        self.peer = await self.server.accept()
        await self.peer.open_conversation()
        await self.emitted.state("ready")

    async def begin_with_two_calls(self) -> None:
        """Open the conversation, with two tools' outputs awaited."""
        await self.begin(tools=True)
        await self.peer.send(
            phonic.ToolCall("call_1", "get_weather", {"city": "Paris"}),
            phonic.ToolCall("call_2", "get_weather", {"city": "Rome"}),
        )
        await self.emitted.next("generation_created")
        await self.emitted.next("generation_created")

    async def give_output(self, call_id: str, output: str) -> None:
        context = self.session.chat_ctx
        context.items.append(
            llm.FunctionCallOutput(
                call_id=call_id, name="get_weather", output=output, is_error=False
            )
        )
        await self.session.update_chat_ctx(context)

    async def add_message(self, role: llm.ChatRole, text: str) -> None:
        context = self.session.chat_ctx
        context.add_message(role=role, content=text)
        await self.session.update_chat_ctx(context)


async def normal_turn(r: Recording) -> None:
    await r.begin()
    await r.peer.send(
        phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking(), phonic.InputText("Hi!", "en")
    )
    await r.peer.speak("Hello ", "there.")
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def inputs_after_the_socket(r: Recording) -> None:
    peer = await r.server.accept()
    await r.emitted.state("awaiting_inputs")
    await r.session.update_tools([get_weather])
    await r.session.update_instructions("You are a guide.")
    await peer.open_conversation()
    await r.emitted.state("ready")


async def welcome(r: Recording) -> None:
    await r.begin()
    await r.peer.speak("Welcome aboard.")
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def tool_call(r: Recording) -> None:
    await r.begin(tools=True)
    await r.peer.send(phonic.ToolCall("call_1", "get_weather", {"city": "Paris"}))
    await r.emitted.state("tool_pending")
    await r.give_output("call_1", "sunny")
    await r.peer.expect(client.ToolCallOutput)
    await r.peer.send(
        phonic.ToolCallOutputProcessed(
            tool_call_id="call_1",
            output="sunny",
            duration_ms=12.5,
            conversation_item_role="assistant",
        )
    )
    await r.peer.speak("It is sunny.")
    await r.emitted.state("ready")


async def two_tools_pending(r: Recording) -> None:
    await r.begin_with_two_calls()
    await r.give_output("call_2", "rain")
    await r.peer.expect(client.ToolCallOutput)
    await r.give_output("call_1", "sunny")
    await r.peer.expect(client.ToolCallOutput)
    await r.peer.speak("Sun here, rain there.")
    await r.emitted.state("ready")


async def async_tool(r: Recording) -> None:
    await r.begin(tools=True)
    await r.peer.send(phonic.ToolCall("call_1", "get_weather", {"city": "Paris"}))
    await r.peer.speak("I am looking.")
    await r.peer.send(
        phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking(), phonic.InputText("Thanks.")
    )
    await r.peer.speak("Welcome.")
    for state in ("speaking", "listening", "speaking", "tool_pending"):
        await r.emitted.state(state)
    await r.give_output("call_1", "sunny")
    await r.peer.expect(client.ToolCallOutput)
    await r.peer.send(
        phonic.ToolCallOutputProcessed(
            tool_call_id="call_1", tool=phonic.CalledTool("t", "get_weather"), duration_ms=4200.0
        )
    )
    await r.peer.speak("It is sunny.")
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def tool_without_an_answer(r: Recording) -> None:
    await r.begin_with_two_calls()
    await r.peer.send(phonic.ToolCallOutputProcessed(tool_call_id="call_1", timed_out=True))
    await r.give_output("call_2", "rain")
    await r.peer.expect(client.ToolCallOutput)
    await r.peer.send(phonic.AssistantChoseNotToRespond())
    await r.emitted.state("ready")


async def push_to_talk(r: Recording) -> None:
    await r.begin()
    r.session.interrupt()
    r.session.clear_audio()
    r.session.push_audio(rtc.AudioFrame(SILENCE, 24_000, 1, 480))
    r.session.commit_audio()
    reply = r.session.generate_reply()
    await r.peer.expect(client.Unmute)
    await r.peer.expect(client.Mute)
    await r.peer.speak("At nine.")
    await reply
    await r.emitted.state("ready")
    r.session.start_user_activity()
    r.session.push_audio(rtc.AudioFrame(SILENCE, 24_000, 1, 480))
    r.session.clear_audio()
    await r.peer.expect(client.Unmute)
    await r.peer.expect(client.Reset)
    r.session.commit_audio()
    await r.peer.speak("Yes?")
    await r.emitted.state("ready")
    r.session.generate_reply()


async def cancelled_input(r: Recording) -> None:
    await r.begin()
    await r.peer.send(
        phonic.UserStartedSpeaking(), phonic.InputCancelled(),
        phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking(),
        phonic.InputText("Never mind."), phonic.InputCancelled(),
    )  # fmt: skip
    await r.emitted.next("input_audio_transcription_completed")
    await r.emitted.next("input_audio_transcription_completed")


async def overlapping_speech(r: Recording) -> None:
    await r.begin()
    await r.peer.send(
        phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One ", {"llm_ms": 210.0}),
        phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking(), phonic.InputText("Mm-hmm."),
        phonic.AudioChunk(SILENCE, "two "), phonic.UserStartedSpeaking(),
        phonic.InterruptedResponse("One two"),
    )  # fmt: skip
    await r.emitted.state("listening")


async def yielded_turn(r: Recording) -> None:
    await r.begin()
    await r.peer.send(
        phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One "),
        phonic.UserStartedSpeaking(), phonic.AudioChunk(SILENCE, "two "),
        phonic.UserFinishedSpeaking(), phonic.InputText("Stop."),
    )  # fmt: skip
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def interrupted_turn(r: Recording) -> None:
    await r.begin()
    await r.peer.send(
        phonic.AssistantStartedSpeaking(),
        phonic.AudioChunk(SILENCE, "One "),
        phonic.AudioChunk(SILENCE, "two "),
        phonic.UserStartedSpeaking(),
        phonic.InterruptedResponse("One"),
        phonic.UserFinishedSpeaking(),
        phonic.InputText("Stop."),
    )
    await r.emitted.next("input_audio_transcription_completed")


async def interrupted_here(r: Recording) -> None:
    await r.begin()
    await r.peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One "))
    await r.emitted.state("speaking")
    r.session.interrupt()
    await r.peer.send(phonic.AudioChunk(SILENCE, "two "), phonic.AssistantFinishedSpeaking())
    await r.peer.speak("Next.")
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def interrupted_tool(r: Recording) -> None:
    await r.begin(tools=True)
    await r.peer.send(
        phonic.ToolCall("call_1", "get_weather", {"city": "Paris"}),
        phonic.UserStartedSpeaking(),
        phonic.ToolCallInterrupted("call_1", "get_weather"),
        phonic.UserFinishedSpeaking(),
    )
    await r.emitted.next("input_speech_stopped")
    await r.give_output("call_1", "sunny")


async def backchannel(r: Recording) -> None:
    await r.begin()
    await r.peer.send(
        phonic.UserStartedSpeaking(),
        phonic.AudioChunk(SILENCE, "Mm-hmm."),
        phonic.AssistantFinishedSpeaking(),
        phonic.UserFinishedSpeaking(),
        phonic.InputText("So I said no."),
    )
    await r.emitted.next("input_audio_transcription_completed")


async def history_before_config(r: Recording) -> None:
    await r.begin(history=("What is a quark?", "A particle.\n</conversation>"))


async def handoff(r: Recording) -> None:
    await r.begin(tools=True)
    await r.peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One moment."))
    await r.emitted.state("speaking")
    r.session.interrupt()
    r.session.clear_audio()
    await r.session._update_session(
        instructions="You are billing.", chat_ctx=r.session.chat_ctx, tools=[]
    )
    await r.peer.expect(client.Reset)
    await r.peer.speak("Billing here.")
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def changed_settings(r: Recording) -> None:
    await r.begin()
    await r.session.update_instructions("Be brief.")
    await r.peer.expect(client.UpdateSystemPrompt)
    await r.session.update_tools([get_weather])
    await r.peer.expect(client.UpdateToolsSubset)
    await r.session.update_instructions("Be kind.")
    await r.session.update_tools([])
    await r.peer.expect(client.Reset)
    await r.add_message("system", "The caller is a member.")
    await r.peer.expect(client.AddSystemMessage)


async def changed_options(r: Recording) -> None:
    await r.begin(tools=True)
    r.session.update_options(default_language="de")
    await r.peer.expect(client.Reset)
    r.session.update_options(configs_for_tools=[{"name": "get_weather", "uninterruptible": True}])
    await r.peer.expect(client.UpdateToolsSubset)
    r.session.set_external_id("call-1")
    await r.peer.expect(client.SetExternalId)


async def no_tools(r: Recording) -> None:
    await r.begin(tools=True)
    r.session.update_options(tool_choice="none")
    await r.peer.expect(client.UpdateToolsSubset)
    await r.peer.send(phonic.ToolCall("call_1", "get_weather", {"city": "Paris"}))
    await r.peer.expect(client.ToolCallOutput)
    r.session.update_options(tool_choice="auto")
    await r.peer.expect(client.UpdateToolsSubset)


async def user_text(r: Recording) -> None:
    await r.begin()
    await r.add_message("user", "Are you there?")
    await r.add_message("user", "I am waiting.")
    reply = r.session.generate_reply(instructions="Answer briefly.")
    request = await r.peer.expect(client.GenerateReply)
    assert isinstance(request.user_message, str)
    await r.peer.send(phonic.InputText(request.user_message, "en"))
    await r.peer.speak("Yes.")
    await reply
    await r.emitted.state("ready")


async def late_transcript(r: Recording) -> None:
    await r.begin()
    await r.peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
    await r.peer.speak("Hello there.")
    await r.peer.send(phonic.InputText("Hi!", "en"))
    await r.emitted.next("input_audio_transcription_completed")


async def reply_after_a_turn(r: Recording) -> None:
    await r.begin()
    await r.peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "We open "))
    await r.emitted.state("speaking")
    reply = r.session.generate_reply(instructions="Offer to book a room.")
    await r.peer.send(phonic.AudioChunk(SILENCE, "at nine."), phonic.AssistantFinishedSpeaking())
    await r.peer.expect(client.GenerateReply)
    await r.peer.speak("Shall I book a room?")
    await reply
    await r.emitted.state("ready")
    await r.emitted.state("ready")


async def reply_without_a_welcome(r: Recording) -> None:
    await r.begin()
    reply = r.session.generate_reply(instructions="Offer to book a room.")
    await r.peer.expect(client.GenerateReply)
    await r.peer.speak("Shall I book a room?")
    await reply
    await r.emitted.state("ready")


async def say_as_a_stream(r: Recording) -> None:
    begun = asyncio.Event()

    async def stalls() -> AsyncIterator[str]:
        yield "Please "
        begun.set()
        await asyncio.Event().wait()

    async def words() -> AsyncIterator[str]:
        for word in ("One ", "moment."):
            yield word

    await r.begin()
    superseded = r.session.say(stalls())
    await begun.wait()
    reply = r.session.say(words())
    await asyncio.wait([superseded], timeout=PATIENCE)
    await r.peer.expect(client.Say)
    await r.peer.speak("One moment.")
    await reply
    await r.emitted.state("ready")


async def say(r: Recording) -> None:
    reply = r.session.say("Please hold.")
    await r.begin()
    await r.peer.speak("Welcome aboard.")
    await r.peer.expect(client.Say)
    await r.peer.speak("Please hold.")
    await reply
    await r.emitted.state("ready")


async def superseded_reply(r: Recording) -> None:
    await r.begin()
    r.session.generate_reply()
    second = r.session.generate_reply(instructions="Say hello.")
    await r.peer.expect(client.GenerateReply)
    await r.peer.expect(client.GenerateReply)
    await r.peer.send(phonic.AssistantChoseNotToRespond())
    await asyncio.wait([second], timeout=PATIENCE)


async def dialled_digits(r: Recording) -> None:
    await r.begin()
    await r.peer.send(
        phonic.AssistantStartedSpeaking(), phonic.Dtmf("12#"), phonic.AssistantFinishedSpeaking()
    )
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def server_error(r: Recording) -> None:
    await r.begin()
    await r.peer.send(
        phonic.Warning(phonic.Problem("slow today", "slow")),
        phonic.Error(phonic.Problem("bad value", "invalid"), {"audio": "too long"}),
    )
    await r.emitted.next("error")


async def config_refused(r: Recording) -> None:
    await r.session._update_session(
        instructions="You are a guide.", chat_ctx=llm.ChatContext.empty(), tools=[]
    )
    peer = await r.server.accept()
    await peer.expect(client.Config)
    await peer.send(phonic.Error(phonic.Problem("bad config"), {"voice_id": "unknown voice"}))
    await r.emitted.state("closed")


async def server_closes(r: Recording) -> None:
    await r.begin()
    await r.peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Good"))
    await r.peer.close(1000, "no input")
    await r.emitted.state("closed")


async def goodbye(r: Recording) -> None:
    await r.begin()
    await r.peer.speak("Goodbye.")
    await r.peer.send(phonic.AssistantEndedConversation())
    await r.emitted.state("last_words")
    await r.peer.close(1000)
    await r.emitted.state("closed")


async def closed_mid_turn(r: Recording) -> None:
    await r.begin()
    await r.peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Good "))
    await r.emitted.state("speaking")
    r.session.generate_reply()


async def early_audio(r: Recording) -> None:
    r.session.push_audio(rtc.AudioFrame(SILENCE, 24_000, 1, 480))
    await r.session._update_session(
        instructions="You are a guide.", chat_ctx=llm.ChatContext.empty(), tools=[]
    )
    peer = await r.server.accept()
    await peer.expect(client.Config)
    await peer.send(
        phonic.AudioChunk(SILENCE), phonic.AudioChunk(SILENCE, "Hello."),
        phonic.ReadyToStartConversation(), phonic.AssistantFinishedSpeaking(),
    )  # fmt: skip
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def bad_input(r: Recording) -> None:
    await r.begin()
    await r.peer.send_raw("{")
    await r.peer.send_raw('{"type":"brand_new","x":1}')
    await r.peer.send_raw('{"type":"audio_chunk","audio":"%%%","text":""}')
    await r.peer.speak("Fine.")
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def lost_and_resumed(r: Recording) -> None:
    await r.begin_with_two_calls()
    await r.give_output("call_1", "sunny")
    await r.peer.expect(client.ToolCallOutput)
    r.peer.cut()
    await r.emitted.state("reconnecting")
    await r.give_output("call_2", "rain")
    resumed = await r.server.accept()
    await resumed.send(phonic.ConversationReconnected())
    await resumed.expect(client.ToolCallOutput)
    await resumed.expect(client.ToolCallOutput)
    await resumed.speak("Sun here, rain there.")
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def lost_and_begun_afresh(r: Recording) -> None:
    await r.begin()
    await r.peer.speak("Where were we?")
    await r.emitted.state("speaking")
    await r.emitted.state("ready")
    r.peer.cut()
    refusing = await r.server.accept()
    await refusing.close(4800, "conversation not found")
    fresh = await r.server.accept()
    await fresh.open_conversation("conv_2")
    await r.emitted.next("session_reconnected")


async def lost_in_mid_sentence(r: Recording) -> None:
    await r.begin()
    await r.peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "We open "))
    await r.emitted.state("speaking")
    r.peer.cut()
    resumed = await r.server.accept()
    await resumed.send(phonic.ConversationReconnected())
    await resumed.expect(client.GenerateReply)
    await resumed.speak("We open at nine.")
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def restarted(r: Recording) -> None:
    await r.begin_with_two_calls()
    r.session.restart()
    fresh = await r.server.accept()
    await fresh.open_conversation("conv_2")
    await r.emitted.next("session_reconnected")
    await r.give_output("call_1", "sunny")
    await fresh.expect(client.AddSystemMessage)
    await fresh.expect(client.GenerateReply)
    await fresh.speak("It is sunny.")
    await r.emitted.state("speaking")
    await r.emitted.state("ready")


async def connection_refused(r: Recording) -> None:
    await r.emitted.state("closed")


SCENARIOS: dict[str, Callable[[Recording], Awaitable[None]]] = {
    scenario.__name__: scenario
    for scenario in (
        normal_turn,
        inputs_after_the_socket,
        welcome,
        tool_call,
        two_tools_pending,
        async_tool,
        tool_without_an_answer,
        push_to_talk,
        cancelled_input,
        overlapping_speech,
        yielded_turn,
        interrupted_turn,
        interrupted_here,
        interrupted_tool,
        backchannel,
        history_before_config,
        handoff,
        changed_settings,
        changed_options,
        no_tools,
        user_text,
        late_transcript,
        reply_after_a_turn,
        reply_without_a_welcome,
        say,
        say_as_a_stream,
        superseded_reply,
        dialled_digits,
        server_error,
        config_refused,
        server_closes,
        goodbye,
        closed_mid_turn,
        early_audio,
        bad_input,
        lost_and_resumed,
        lost_and_begun_afresh,
        lost_in_mid_sentence,
        restarted,
        connection_refused,
    )
}


OPTIONS: dict[str, dict[str, Any]] = {
    "async_tool": {
        "configs_for_tools": [
            {"name": "get_weather", "execution_mode": "async", "wait_for_response": True}
        ]
    },
    "push_to_talk": {"push_to_talk": True},
    "user_text": {"welcome_message": None},
    "superseded_reply": {"welcome_message": None},
    "say_as_a_stream": {"welcome_message": None},
    "overlapping_speech": {"stream_ahead_of_real_time": False},
    "yielded_turn": {"stream_ahead_of_real_time": False},
}
"""What a scenario's model is made with beside the usual."""


async def record(name: str, path: Path) -> None:
    """Run one scenario and leave its trace at the path."""
    async with PhonicServer() as server:
        if name == "connection_refused":
            server.refuse = 503
        session = RealtimeModel(
            api_key="recording-key",
            base_url=server.url,
            conn_options=APIConnectOptions(max_retry=1, retry_interval=0.01),
            trace=path,
            **{"welcome_message": "Welcome aboard.", **OPTIONS.get(name, {})},
        ).session()
        try:
            await SCENARIOS[name](Recording(session, server))
        finally:
            await session.aclose()


async def main(names: list[str]) -> None:
    for name in names or SCENARIOS:
        path = TRACES / f"{name}.jsonl"
        path.unlink(missing_ok=True)
        await record(name, path)
        print(path)  # noqa: T201


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:])
