"""What the server and LiveKit do, scenario by scenario; no script asks which package it drives."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from livekit import rtc
from livekit.agents import function_tool, llm
from parity.differential import KEY, RATE, SURROGATE, Run, Script

# -- what the server says ------------------------------------------------------------------------

STARTED = {"type": "assistant_started_speaking"}
FINISHED = {"type": "assistant_finished_speaking"}
USER_STARTED = {"type": "user_started_speaking"}
USER_FINISHED = {"type": "user_finished_speaking"}
AUDIO = b"ab"


def chunk(text: str = "", audio: bytes = AUDIO) -> dict[str, Any]:
    return {"type": "audio_chunk", "text": text, "audio": base64.b64encode(audio).decode()}


def turn(*words: str) -> tuple[dict[str, Any], ...]:
    return (STARTED, *map(chunk, words), FINISHED)


def transcript(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text, "language": "en"}


def call(call_id: str = "call_1", **parameters: Any) -> dict[str, Any]:
    return {
        "type": "tool_call",
        "tool_call_id": call_id,
        "tool_name": "get_weather",
        "parameters": parameters or {"city": "Århus", "days": 2},
    }


# -- what LiveKit says ---------------------------------------------------------------------------


@function_tool
async def get_weather(city: str, days: int = 1) -> str:
    """The weather somewhere.

    Args:
        city: Where.
        days: How far ahead.
    """
    return ""


@function_tool
async def hang_up() -> None:
    """End the call."""


def message(role: Any, text: str, item_id: str = "added") -> llm.ChatMessage:
    return llm.ChatMessage(role=role, content=[text], id=item_id)


def output(call_id: str = "call_1", text: str = "sunny") -> llm.FunctionCallOutput:
    return llm.FunctionCallOutput(
        id=f"output_{call_id}", name="get_weather", call_id=call_id, output=text, is_error=False
    )


# -- the scripts ---------------------------------------------------------------------------------


@dataclass
class Scenario:
    name: str
    script: Script
    options: dict[str, Any] = field(default_factory=dict)
    releases: tuple[str, ...] = ("former", "current")
    """The plugin's releases that can run it."""
    speed: float = 1.0
    """How many times faster than the wall's clock it may run, where it waits for something."""


SCENARIOS: list[Scenario] = []


def scenario(*, speed: float = 1.0, **options: Any) -> Callable[[Script], Script]:
    """Put the script on the list, under the name that it has."""

    def put(script: Script) -> Script:
        name = script.__name__.replace("_", " ")
        SCENARIOS.append(Scenario(name, script, options, speed=speed))
        return script

    return put


def scenario_of_the_current(**options: Any) -> Callable[[Script], Script]:
    """One that the plugin's former release lacks an option or a method for."""

    def put(script: Script) -> Script:
        scenario(**options)(script)
        SCENARIOS[-1].releases = ("current",)
        return script

    return put


@scenario()
async def config_without_options(run: Run) -> None:
    await run.open()


@scenario(
    phonic_agent="an-agent",
    voice="grant",
    welcome_message="Hello!",
    generate_welcome_message=False,
    project="main",
    languages=["en", "da", "de"],
    audio_speed=1.25,
    phonic_tools=["keypad_input", "web_search"],
    boosted_keywords=["Phonic", "LiveKit"],
    generate_no_input_poke_text=False,
    no_input_poke_sec=20,
    no_input_poke_text="Still there?",
    no_input_end_conversation_sec=120,
)
async def config_with_every_option(run: Run) -> None:
    await run.open()


@scenario(welcome_message=None, project=None)
async def config_with_options_that_are_none(run: Run) -> None:
    await run.open()


@scenario()
async def history_before_the_config(run: Run) -> None:
    history = llm.ChatContext.empty()
    history.items += [
        message("user", "Is it open?", "m1"),
        message("assistant", "Until five.", "m2"),
        message("system", "Be brief.", "m3"),
        message("user", "  ", "m4"),
    ]
    await run.open(history)


@scenario()
async def history_with_a_tool_call(run: Run) -> None:
    history = llm.ChatContext.empty()
    history.items += [
        message("user", "Is it sunny?", "m1"),
        llm.FunctionCall(id="c1", call_id="call_0", name="get_weather", arguments="{}"),
        output("call_0"),
        message("assistant", "It is.", "m2"),
    ]
    await run.open(history)


@scenario()
async def tools_before_instructions(run: Run) -> None:
    await run.call("update_tools", [hang_up])
    await run.configure()
    await run.become_ready()


@scenario()
async def instructions_given_twice_before_the_config(run: Run) -> None:
    await run.call("update_instructions", "Be quick.")
    await run.configure()
    await run.become_ready()


@scenario(phonic_tools=["keypad_input"])
async def tool_definitions(run: Run) -> None:
    await run.open(tools=[get_weather, hang_up])


@scenario()
async def a_turn(run: Run) -> None:
    await run.open()
    await run.hear(*turn("Good ", "morning."))


@scenario(welcome_message="Hello!")
async def a_welcome(run: Run) -> None:
    await run.open()
    await run.hear(*turn("Hello!"))
    await run.hear(USER_STARTED, USER_FINISHED, transcript("Hi."), *turn("What can I do?"))


@scenario()
async def a_chunk_with_text_and_no_open_turn(run: Run) -> None:
    await run.open()
    await run.hear(chunk("Mm-hmm."), chunk("", AUDIO * 2), FINISHED)


@scenario()
async def a_chunk_without_text_and_no_open_turn(run: Run) -> None:
    await run.open()
    await run.hear(chunk(), *turn("Yes."), chunk())


@scenario()
async def a_chunk_of_audio_only_and_one_of_text_only(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Yes.", b""), chunk("", AUDIO), FINISHED)


@scenario()
async def two_starts_in_a_row(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("One"), STARTED, chunk("Two"), FINISHED)


@scenario()
async def two_starts_with_nothing_between(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, STARTED, chunk("Two"), FINISHED)


@scenario()
async def two_ends_in_a_row(run: Run) -> None:
    await run.open()
    await run.hear(*turn("One"), FINISHED)


@scenario()
async def a_turn_without_a_word(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, FINISHED)


@scenario()
async def an_interruption_by_the_caller(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Once "), chunk("upon"), USER_STARTED)
    await run.hear(FINISHED, USER_FINISHED, transcript("Stop."), *turn("All right."))


@scenario()
async def an_assistant_that_speaks_on_after_an_interruption(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Once "), USER_STARTED, chunk("upon a time"), FINISHED)
    await run.hear(USER_FINISHED)


@scenario()
async def an_interruption_with_what_was_really_spoken(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Once upon a time"), USER_STARTED)
    await run.hear({"type": "interrupted_response", "text": "Once upon"}, USER_FINISHED)


@scenario()
async def a_transcript(run: Run) -> None:
    await run.open()
    await run.hear(USER_STARTED, USER_FINISHED, transcript("Is it open?"))


@scenario()
async def a_cancelled_input(run: Run) -> None:
    await run.open()
    await run.hear(USER_STARTED, {"type": "input_cancelled"})


@scenario()
async def a_tool_call_its_output_and_the_next_turn(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, chunk("Let me see."), call())
    await run.change_chat(output())
    await run.hear(*turn("It is sunny."))


@scenario()
async def a_tool_call_without_a_turn(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(call())


@scenario()
async def a_tool_call_behind_its_turn(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(*turn("Let me see."), call(), chunk("Hm."), FINISHED)


@scenario()
async def a_tool_output_while_the_caller_speaks(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, call(), USER_STARTED)
    await run.change_chat(output())
    await run.hear(USER_FINISHED, transcript("Well?"), *turn("It is sunny."))


@scenario()
async def fields_that_are_null(run: Run) -> None:
    await run.open()
    await run.hear(
        {**transcript("Hi."), "language": None},
        STARTED,
        {**chunk("No "), "audio": None},
        {**chunk(), "text": None, "timings": None},
        FINISHED,
    )


@scenario()
async def fields_that_are_missing(run: Run) -> None:
    await run.open()
    await run.hear(
        {"type": "input_text", "text": "Hi."},
        STARTED,
        {"type": "audio_chunk", "text": "No "},
        {"type": "audio_chunk", "audio": chunk()["audio"]},
        FINISHED,
    )


@scenario()
async def a_chunk_whose_audio_cannot_be_read(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, {**chunk("One "), "audio": "AA"}, chunk("two."), FINISHED)


@scenario()
async def a_tool_call_without_parameters(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, {**call(), "parameters": None})


@scenario()
async def an_interrupted_tool_call(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, chunk("Let me see."), call())
    await run.hear(
        USER_STARTED,
        {"type": "tool_call_interrupted", "tool_call_id": "call_1", "tool_name": "get_weather"},
        USER_FINISHED,
    )
    await run.change_chat(output())


@scenario()
async def two_tool_calls_answered_together(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, chunk("Let me see."), call("call_1"), call("call_2"))
    await run.change_chat(output("call_1"), output("call_2"))


@scenario()
async def two_tool_calls_answered_one_by_one(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, chunk("Let me see."), call("call_1"), call("call_2"))
    await run.change_chat(output("call_1"))
    await run.change_chat(output("call_2"))
    await run.hear(*turn("It is sunny."))


@scenario()
async def the_output_of_an_unknown_call(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.change_chat(output("call_9"))


@scenario()
async def the_same_output_twice(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, call())
    await run.change_chat(output())
    await run.change_chat(
        llm.FunctionCallOutput(
            id="again", name="get_weather", call_id="call_1", output="rainy", is_error=False
        )
    )


@scenario()
async def a_system_message(run: Run) -> None:
    await run.open()
    await run.change_chat(message("system", "The caller is angry.", "one"))
    await run.change_chat(message("developer", "And tired.", "two"))


@scenario()
async def a_message_of_the_user(run: Run) -> None:
    await run.open()
    await run.change_chat(message("user", "I typed this."))


@scenario()
async def a_message_of_the_user_before_the_caller_speaks(run: Run) -> None:
    await run.open()
    await run.change_chat(message("user", "I typed this."))
    await run.hear({"type": "user_started_speaking"}, {"type": "user_finished_speaking"})


@scenario()
async def a_message_of_the_user_and_a_reply(run: Run) -> None:
    await run.open()
    await run.change_chat(message("user", "I typed this."))
    await run.generate_reply()
    await run.hear(*turn("I read it."))


@scenario()
async def a_message_of_the_assistant(run: Run) -> None:
    await run.open()
    await run.change_chat(message("assistant", "I never said this."))


@scenario()
async def a_message_taken_out(run: Run) -> None:
    await run.open()
    await run.hear(*turn("One."))
    await run.call("update_chat_ctx", llm.ChatContext.empty())
    await run.settle()


@scenario()
async def a_reply_asked_for_before_the_server_is_ready(run: Run) -> None:
    await run.configure()
    await run.generate_reply(instructions="Greet.")
    await run.become_ready()
    await run.hear(*turn("Hello."))


@scenario()
async def a_reply_asked_for(run: Run) -> None:
    await run.open()
    await run.generate_reply(instructions="Greet.")
    await run.settle()
    await run.hear(*turn("Hello."))


@scenario()
async def a_reply_asked_for_without_instructions(run: Run) -> None:
    await run.open()
    await run.generate_reply()
    await run.settle()
    await run.hear(*turn("Hello."))


@scenario()
async def a_reply_asked_for_while_the_assistant_speaks(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Once "))
    await run.generate_reply(instructions="Greet.")
    await run.hear(chunk("upon"), FINISHED)
    await run.hear(*turn("Hello."))


@scenario(welcome_message="Welcome.")
async def a_reply_asked_for_before_the_welcome(run: Run) -> None:
    await run.configure()
    await run.generate_reply(instructions="Greet.")
    await run.become_ready()
    await run.hear(*turn("Welcome."))
    await run.settle()
    await run.hear(*turn("Hello."))


@scenario()
async def a_transcript_after_the_answer_to_it(run: Run) -> None:
    await run.open()
    await run.hear(USER_STARTED, USER_FINISHED, *turn("It is sunny."))
    await run.hear(transcript("How is the weather?"))


@scenario()
async def two_replies_asked_for_in_a_row(run: Run) -> None:
    await run.open()
    await run.generate_reply(instructions="Greet.")
    await run.settle()
    await run.generate_reply(instructions="Bow.")
    await run.settle()
    await run.hear(*turn("Hello."))


@scenario()
async def a_reply_that_never_comes(run: Run) -> None:
    await run.open()
    await run.generate_reply(instructions="Greet.")
    await run.settle()


@scenario()
async def a_reply_asked_for_and_declined(run: Run) -> None:
    await run.open()
    await run.generate_reply(instructions="Greet.")
    await run.hear({"type": "assistant_chose_not_to_respond"})


@scenario()
async def a_reply_asked_for_after_a_tool_output(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, call())
    await run.change_chat(output())
    await run.generate_reply(instructions="Say it.")
    await run.settle()
    await run.hear(*turn("It is sunny."))


@scenario()
async def interrupt_while_the_assistant_speaks(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Once "))
    await run.call("interrupt")
    await run.hear(chunk("upon"), FINISHED)
    await run.hear(*turn("Now then."))


@scenario()
async def interrupt_while_nobody_speaks(run: Run) -> None:
    await run.open()
    await run.call("interrupt")
    await run.hear(*turn("Yes?"))


@scenario()
async def new_instructions(run: Run) -> None:
    await run.open()
    await run.call("update_instructions", "Be strict.")
    await run.settle()


@scenario()
async def the_same_instructions_again(run: Run) -> None:
    await run.open()
    await run.call("update_instructions", "Be kind.")
    await run.settle()


@scenario()
async def new_tools(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.call("update_tools", [])
    await run.settle()


@scenario()
async def new_instructions_and_tools(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(*turn("Hello."))
    await run.call("update_instructions", "Be strict.")
    await run.call("update_tools", [])
    await run.settle()


@scenario()
async def a_warning(run: Run) -> None:
    await run.open()
    await run.hear({"type": "warning", "warning": {"message": "Slow down.", "code": "slow"}})


@scenario()
async def an_error(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("One"))
    await run.hear({"type": "error", "error": {"message": "It broke.", "code": "broken"}})
    await run.hear(chunk(" two"), FINISHED)


@scenario()
async def an_error_about_parameters(run: Run) -> None:
    await run.open()
    await run.hear(
        {"type": "error", "error": {"message": "Bad."}, "param_errors": {"voice_id": "none such"}}
    )


@scenario(voice="nobody")
async def a_config_that_is_refused(run: Run) -> None:
    await run.configure()
    await run.server.say({"type": "error", "error": {"message": "No such voice."}})
    await run.server.close(1000, "")
    await run.lose_connection()


@scenario()
async def an_assistant_that_ends_the_conversation(run: Run) -> None:
    await run.open()
    await run.hear(*turn("Goodbye."))
    await run.server.say({"type": "assistant_ended_conversation"})
    await run.server.close(1000, "")
    await run.lose_connection()


@scenario()
async def a_goodbye_that_is_streamed_ahead(run: Run) -> None:
    await run.open()
    goodbye = (STARTED, chunk("Goodbye."), chunk("", bytes(RATE)), FINISHED)
    await run.server.say(*goodbye, {"type": "assistant_ended_conversation"})
    await run.server.close(1000, "")
    await run.lose_connection()


@scenario()
async def messages_without_meaning_for_livekit(run: Run) -> None:
    await run.open()
    await run.hear(
        {"type": "dtmf", "digits": "12#"},
        {"type": "assistant_chose_not_to_respond"},
        {"type": "something_new", "and": {"more": 1}},
        *turn("Go on."),
    )


@scenario()
async def a_close_by_the_server(run: Run) -> None:
    await run.open()
    # The barriers are errors, and a close after an error is another story until a turn has ended.
    await run.server.say(*turn("Hello."), STARTED, chunk("Once "))
    await run.server.close(1000, "bye")
    await run.lose_connection()


@scenario()
async def a_close_by_the_server_for_a_reason(run: Run) -> None:
    await run.open()
    await run.server.say(*turn("Hello."))
    await run.server.close(4000, "no credit")
    await run.lose_connection()


@scenario()
async def a_connection_that_is_cut(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Once "))
    run.server.cut()
    await run.lose_connection()
    await run.hear(*turn("Where was I?"))


@scenario()
async def aclose_while_the_caller_speaks(run: Run) -> None:
    await run.open()
    await run.hear(USER_STARTED)


@scenario()
async def aclose_before_the_config(run: Run) -> None:
    await run.call("update_instructions", "Be kind.")
    await run.call("aclose")


@scenario()
async def an_error_before_the_server_is_ready(run: Run) -> None:
    await run.configure()
    await run.server.say({"type": "error", "error": {"message": "No such voice."}})
    await run.become_ready()
    await run.hear(*turn("Hello."))


@scenario()
async def aclose_in_the_middle_of_a_turn(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Once "))
    await run.call("aclose")
    await run.call("aclose")


@scenario()
async def calls_that_phonic_does_not_support(run: Run) -> None:
    await run.open()
    video = rtc.VideoFrame(2, 2, rtc.VideoBufferType.RGBA, bytes(16))
    await run.call("push_video", video)
    await run.call("commit_audio")
    await run.call("clear_audio")
    await run.call("truncate", message_id="m", modalities=["audio"], audio_end_ms=0)
    await run.call("update_options", tool_choice="required")
    await run.call("start_user_activity")
    await run.settle()


@scenario()
async def audio_before_the_server_is_ready(run: Run) -> None:
    await run.configure()
    # As much as is sent at once when the server is ready; more is sent at its pace.
    for _ in range(8):
        run.push_audio()
    await run.become_ready()
    await run.speak(200)


@scenario()
async def audio(run: Run) -> None:
    await run.open()
    await run.speak(500)


@scenario()
async def audio_at_48_khz(run: Run) -> None:
    await run.open()
    await run.speak(1000, rate=48_000)


@scenario()
async def audio_at_24_khz(run: Run) -> None:
    await run.open()
    await run.speak(1000, rate=24_000)


@scenario()
async def stereo_audio(run: Run) -> None:
    await run.open()
    await run.speak(1000, channels=2)


@scenario()
async def audio_whose_rate_changes(run: Run) -> None:
    await run.open()
    for _ in range(10):
        await run.speak(100, rate=48_000)
        await run.speak(100, rate=16_000)
    await run.speak(100)


@scenario(languages=["da"])
async def one_deprecated_language(run: Run) -> None:
    await run.open()


@scenario()
async def a_reply_given_up_before_it_is_sent(run: Run) -> None:
    await run.configure()
    await run.generate_reply(instructions="Greet.")
    run.give_up_reply()
    await run.become_ready()


@scenario()
async def a_reply_given_up_after_it_was_sent(run: Run) -> None:
    await run.open()
    await run.generate_reply(instructions="Greet.")
    await run.settle()
    run.give_up_reply()
    await run.hear(*turn("Hello."))


@scenario()
async def two_replies_asked_for_before_the_server_is_ready(run: Run) -> None:
    await run.configure()
    await run.generate_reply(instructions="Greet.")
    await run.generate_reply(instructions="Bow.")
    await run.become_ready()
    await run.hear(*turn("Hello."))


@scenario()
async def a_message_of_the_user_and_a_reply_with_instructions(run: Run) -> None:
    await run.open()
    await run.change_chat(message("user", "I typed this."))
    await run.generate_reply(instructions="Be brief.")
    await run.settle()
    await run.hear(*turn("I read it."))
    await run.generate_reply()
    await run.settle()
    await run.hear(*turn("Go on."))


@scenario()
async def two_messages_of_the_user_and_a_reply(run: Run) -> None:
    await run.open()
    await run.change_chat(message("user", "I typed this.", "one"))
    await run.change_chat(message("user", "And this.", "two"))
    await run.generate_reply(instructions="Be brief.")
    await run.settle()
    await run.hear(*turn("I read it."))


@scenario()
async def a_reply_asked_for_after_the_end(run: Run) -> None:
    await run.open()
    await run.call("aclose")
    await run.generate_reply()


@scenario()
async def a_message_of_the_user_in_the_middle_of_the_chat(run: Run) -> None:
    await run.open()
    await run.change_chat(message("user", "I typed this.", "one"), message("assistant", "Hm.", "x"))
    await run.generate_reply()
    await run.settle()
    await run.hear(*turn("Yes?"))


@scenario()
async def a_tool_output_that_wants_no_reply(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, chunk("Let me see."), call())
    silent = output()
    silent.reply_required = False
    await run.change_chat(silent)
    await run.hear(USER_STARTED, USER_FINISHED, transcript("And?"), *turn("It is sunny."))


# -- what the plugin's current release brought ---------------------------------------------------


async def words(*parts: str) -> AsyncIterator[str]:
    for part in parts:
        yield part


@scenario_of_the_current(
    phonic_agent="an-agent",
    voice="grant",
    welcome_message="Hello!",
    generate_welcome_message=False,
    project="main",
    default_language="en",
    additional_languages=["da", "de"],
    multilingual_mode="request",
    audio_speed=1.25,
    phonic_tools=["keypad_input", "web_search"],
    boosted_keywords=["Phonic", "LiveKit"],
    min_words_to_interrupt=2,
    generate_no_input_poke_text=False,
    no_input_poke_sec=20,
    no_input_poke_text="Still there?",
    no_input_end_conversation_sec=120,
    websocket_timeout_sec=60,
    intelligence_level="high",
    phonic_model="phonic_v1_1",
    is_welcome_message_interruptible=False,
    vad_prebuffer_duration_ms=1500,
    vad_min_speech_duration_ms=40,
    vad_min_silence_duration_ms=400,
    vad_threshold=0.4,
    enable_assistant_backchannel=True,
    assistant_backchannel_aggressiveness=0.3,
    pronunciation_dictionary=[{"word": "Aarhus", "pronunciation": "OR-hoos"}],
    template_variables={"name": "Ada"},
    enable_redaction=True,
    enable_watermarking=True,
    mcp_servers=["calendar"],
    observability_integrations=["braintrust"],
    configuration_endpoint={
        "url": "https://config.example",
        "headers": {"X-Tenant": "1"},
        "timeout_ms": 2000,
    },
    additional_params={"beta": True},
    external_id="call-1",
    configs_for_tools=[
        {"name": "keypad_input", "speech_before_tool_call": "suppressed"},
        {"name": "get_weather", "require_speech_before_tool_call": True},
    ],
)
async def config_with_every_option_of_today(run: Run) -> None:
    await run.open(tools=[get_weather])


@scenario_of_the_current(
    configuration_endpoint=None, default_language="en", additional_languages=[], mcp_servers=[]
)
async def config_with_options_that_are_empty(run: Run) -> None:
    await run.open()


@scenario_of_the_current(
    configs_for_tools=[
        {
            "name": "get_weather",
            "require_speech_before_tool_call": True,
            "forbid_speech_after_tool_call": True,
            "forbid_tool_call_after_speech": True,
            "allow_tool_chaining": True,
        }
    ]
)
async def configs_for_own_tools(run: Run) -> None:
    await run.open(tools=[get_weather, hang_up])


@scenario_of_the_current(
    phonic_tools=[
        "choose_not_to_respond",
        "keypad_input",
        "natural_conversation_ending",
        "a-webhook",
    ],
    configs_for_tools=[
        {"name": "choose_not_to_respond", "respond_after_sec": 5},
        {"name": "keypad_input", "speech_before_tool_call": "required"},
    ],
)
async def configs_for_built_in_tools(run: Run) -> None:
    await run.open()


@scenario_of_the_current(forbid_speech_after_tool_call=["hang_up"])
async def the_deprecated_list_of_tools_without_speech(run: Run) -> None:
    await run.open(tools=[get_weather, hang_up])


@scenario_of_the_current(
    forbid_speech_after_tool_call=["hang_up", "get_weather"],
    configs_for_tools=[
        {"name": "hang_up", "forbid_speech_after_tool_call": False},
        {"name": "get_weather", "allow_tool_chaining": True},
    ],
)
async def the_deprecated_list_beside_configs(run: Run) -> None:
    await run.open(tools=[get_weather, hang_up])


@scenario_of_the_current(default_language="en", languages=["da", "de"])
async def deprecated_languages_beside_a_default(run: Run) -> None:
    await run.open()


@scenario_of_the_current()
async def words_with_their_times(run: Run) -> None:
    await run.open()
    second = bytes(2 * RATE)
    await run.hear(
        STARTED,
        chunk("One ", second),
        chunk("", second[: RATE // 2 * 2]),
        chunk("two.", second),
        FINISHED,
    )


@scenario_of_the_current()
async def saying_something(run: Run) -> None:
    await run.open()
    await run.say("Hold the line.")
    await run.settle()
    await run.hear(*turn("Hold the line."))


@scenario_of_the_current()
async def saying_nothing(run: Run) -> None:
    await run.open()
    await run.say(" ")
    await run.settle()


@scenario_of_the_current()
async def saying_a_stream(run: Run) -> None:
    await run.open()
    await run.say(words("Hold ", "the line."))
    await run.server.until(lambda: any(said["type"] == "say" for said in run.server.sent))
    await run.hear(*turn("Hold the line."))


@scenario_of_the_current()
async def saying_something_before_the_server_is_ready(run: Run) -> None:
    await run.configure()
    await run.say("Hold the line.")
    await run.become_ready()
    await run.hear(*turn("Hold the line."))


@scenario_of_the_current()
async def saying_something_while_the_assistant_speaks(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Once "))
    await run.say("Hold the line.")
    await run.hear(chunk("upon"), FINISHED)
    await run.hear(*turn("Hold the line."))


@scenario_of_the_current()
async def saying_something_instead_of_a_reply(run: Run) -> None:
    await run.configure()
    await run.generate_reply(instructions="Greet.")
    await run.say("Hold the line.")
    await run.become_ready()
    await run.hear(*turn("Hold the line."))


@scenario_of_the_current()
async def a_reply_instead_of_saying_something(run: Run) -> None:
    await run.configure()
    await run.say("Hold the line.")
    await run.generate_reply(instructions="Greet.")
    await run.become_ready()
    await run.hear(*turn("Hello."))


@scenario_of_the_current()
async def saying_something_after_a_message_of_the_user(run: Run) -> None:
    await run.open()
    await run.change_chat(message("user", "I typed this."))
    await run.say("Hold the line.")
    await run.settle()
    await run.hear(*turn("Hold the line."))
    await run.generate_reply()
    await run.settle()


@scenario_of_the_current()
async def something_said_and_given_up(run: Run) -> None:
    await run.configure()
    await run.say("Hold the line.")
    run.give_up_reply()
    await run.become_ready()


@scenario_of_the_current(
    configs_for_tools=[{"name": "get_weather", "forbid_speech_after_tool_call": True}]
)
async def the_output_of_a_tool_without_speech(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, chunk("Let me see."), call())
    await run.change_chat(output())
    await run.hear(USER_STARTED, USER_FINISHED, transcript("And?"), *turn("It is sunny."))


@scenario_of_the_current()
async def chained_tool_calls(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, call("call_1"))
    await run.change_chat(output("call_1"))
    await run.hear(call("call_2"))
    await run.change_chat(output("call_2"))
    await run.hear(*turn("It is sunny."))


@scenario_of_the_current(voice="grant")
async def one_option_changed(run: Run) -> None:
    await run.open()
    await run.hear(*turn("Hello."))
    await run.call("update_options", voice="sabrina")
    await run.settle()
    await run.hear(*turn("It is me."))


@scenario_of_the_current(voice="grant")
async def an_option_set_to_what_it_is(run: Run) -> None:
    await run.open()
    await run.call("update_options", voice="grant")
    await run.settle()


@scenario_of_the_current(default_language="en", additional_languages=["da", "de"])
async def another_default_language(run: Run) -> None:
    await run.open()
    await run.call("update_options", default_language="da")
    await run.settle()
    await run.call("update_options", default_language="en")
    await run.settle()


@scenario_of_the_current(default_language="en")
async def another_default_language_and_additional_ones(run: Run) -> None:
    await run.open()
    await run.call("update_options", default_language="da", additional_languages=["fr"])
    await run.settle()


@scenario_of_the_current()
async def a_default_language_where_none_was(run: Run) -> None:
    await run.open()
    await run.call("update_options", default_language="da")
    await run.settle()


@scenario_of_the_current(phonic_tools=["keypad_input"])
async def options_of_tools_changed(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.call(
        "update_options",
        phonic_tools=["natural_conversation_ending"],
        configs_for_tools=[
            {"name": "get_weather", "allow_tool_chaining": True},
            {"name": "natural_conversation_ending", "speech_before_tool_call": "optional"},
        ],
    )
    await run.settle()


@scenario_of_the_current()
async def two_options_changed_one_after_the_other(run: Run) -> None:
    await run.open()
    await run.call("update_options", voice="sabrina")
    await run.call("update_options", audio_speed=1.5)
    await run.settle()


@scenario_of_the_current(welcome_message="Hello!", external_id="call-1", project="main")
async def an_option_changed_after_a_welcome(run: Run) -> None:
    await run.open()
    await run.hear(*turn("Hello!"))
    await run.call("update_options", voice="sabrina")
    await run.settle()


@scenario_of_the_current(welcome_message="Hello!")
async def another_welcome(run: Run) -> None:
    await run.open()
    await run.call("update_options", welcome_message="Welcome back!")
    await run.settle()


@scenario_of_the_current()
async def an_option_changed_after_a_message_of_the_user(run: Run) -> None:
    await run.open()
    await run.change_chat(message("user", "I typed this."))
    await run.call("update_options", voice="sabrina")
    await run.settle()
    await run.generate_reply(instructions="Be brief.")
    await run.settle()
    await run.hear(*turn("I read it."))


@scenario_of_the_current()
async def an_option_changed_while_a_call_is_pending(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, chunk("Let me see."), call())
    await run.call("update_options", voice="sabrina")
    await run.settle()
    await run.change_chat(output())
    await run.hear(*turn("It is sunny."))


@scenario_of_the_current()
async def an_option_changed_while_the_assistant_speaks(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Once "))
    await run.call("update_options", voice="sabrina")
    await run.settle()
    await run.hear(*turn("Where was I?"))


@scenario_of_the_current()
async def an_option_changed_before_the_config(run: Run) -> None:
    await run.call("update_options", voice="sabrina")
    await run.open()


@scenario_of_the_current()
async def an_option_changed_before_the_server_is_ready(run: Run) -> None:
    await run.configure()
    await run.call("update_options", voice="sabrina")
    await run.become_ready()


@scenario_of_the_current()
async def an_option_of_the_model_changed(run: Run) -> None:
    await run.open()
    model: Any = run.session.realtime_model
    model.update_options(voice="sabrina")
    await run.settle()


@scenario_of_the_current()
async def an_option_changed_and_a_reply_asked_for(run: Run) -> None:
    await run.open()
    await run.call("update_options", default_language="da")
    await run.generate_reply(instructions="Greet.")
    await run.settle()
    await run.hear(*turn("Goddag."))


@scenario_of_the_current()
async def another_agent(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(*turn("Good morning."))
    await run.hear(USER_STARTED, USER_FINISHED, transcript("A bill."))
    await run.call(
        "_update_session",
        instructions="You do the billing.",
        chat_ctx=run.session.chat_ctx,
        tools=[hang_up],
    )
    await run.settle()
    await run.generate_reply(instructions="Greet.")
    await run.settle()
    await run.hear(*turn("Billing."))


@scenario_of_the_current()
async def another_agent_with_an_empty_chat(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(*turn("Good morning."))
    await run.call(
        "_update_session",
        instructions="You do the billing.",
        chat_ctx=llm.ChatContext.empty(),
        tools=[],
    )
    await run.settle()


@scenario_of_the_current()
async def another_agent_after_a_tool_call(run: Run) -> None:
    await run.open(tools=[get_weather, hang_up])
    await run.hear(STARTED, chunk("One moment."), call())
    await run.change_chat(output())
    await run.call(
        "_update_session",
        instructions="You do the billing.",
        chat_ctx=run.session.chat_ctx,
        tools=[get_weather, hang_up],
    )
    await run.settle()
    await run.hear(*turn("Billing."))


@scenario_of_the_current()
async def another_agent_while_the_assistant_speaks(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Once "))
    await run.call(
        "_update_session",
        instructions="You do the billing.",
        chat_ctx=run.session.chat_ctx,
        tools=[hang_up],
    )
    await run.settle()
    await run.hear(*turn("Billing."))


@scenario_of_the_current()
async def another_agent_before_the_config(run: Run) -> None:
    history = llm.ChatContext.empty()
    history.items.append(message("user", "Is it open?", "m1"))
    await run.call("_update_session", instructions="Be quick.", chat_ctx=history, tools=[hang_up])
    await run.server.until(lambda: len(run.server.sent) == 1)
    await run.become_ready()


@scenario_of_the_current()
async def another_agent_with_other_instructions_only(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.call("_update_session", instructions="You do the billing.")
    await run.settle()


@scenario_of_the_current()
async def another_agent_while_a_call_is_pending(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, chunk("Let me see."), call())
    await run.call(
        "_update_session",
        instructions="You do the billing.",
        chat_ctx=llm.ChatContext.empty(),
        tools=[get_weather],
    )
    await run.settle()
    await run.change_chat(output())
    await run.hear(*turn("Billing."))


@scenario()
async def a_listener_that_raises_a_cancellation(run: Run) -> None:
    def ask_a_superseded_reply(_: object) -> None:
        raise asyncio.CancelledError

    await run.open()
    run.session.once("input_speech_started", ask_a_superseded_reply)
    await run.hear(USER_STARTED)
    await run.hear(USER_FINISHED, transcript("Hello?"), *turn("Hi."))


@scenario(door="redirect")
async def a_redirect_to_another_address(run: Run) -> None:
    await run.end_or_connection()


@scenario(door="refuse")
async def a_key_that_is_refused(run: Run) -> None:
    await run.end_or_connection()


@scenario(api_key=f"{KEY}\n")
async def a_key_with_a_line_break_at_its_end(run: Run) -> None:
    await run.call("update_instructions", "Be kind.")
    await run.call("update_tools", [])
    await run.end_or_connection()


@scenario(door="proxy")
async def a_proxy(run: Run) -> None:
    await run.end_or_connection()


@scenario()
async def a_message_that_lacks_a_field(run: Run) -> None:
    await run.open()
    await run.hear(*turn("Hello."))
    await run.hear({"type": "warning"})
    await run.hear(*turn("Hello again."))


@scenario()
async def a_message_that_is_no_object(run: Run) -> None:
    await run.open()
    await run.hear(*turn("Hello."))
    await run.hear([1, 2])
    await run.hear(*turn("Hello again."))


@scenario()
async def a_message_with_more_values_than_any_has(run: Run) -> None:
    await run.open()
    await run.hear(call(cities=[[]] * 200_000))


@scenario()
async def a_warning_of_half_a_megabyte(run: Run) -> None:
    await run.open()
    await run.hear({"type": "warning", "warning": {"message": "w" * 500_000}})


@scenario()
async def an_answer_that_never_ends(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, *[chunk("w" * 1000, b"")] * 60)


@scenario()
async def a_server_that_reads_too_slowly(run: Run) -> None:
    await run.open()
    await run.speak_to_a_stalled_socket(seconds=100)


@scenario()
async def half_a_character_in_a_tool_output(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, chunk("Let me see."), call())
    await run.change_chat(output(text=f"sunny {SURROGATE}"))


@scenario_of_the_current()
async def half_a_character_in_an_option(run: Run) -> None:
    await run.open()
    await run.call("update_options", welcome_message=f"Hello {SURROGATE}")
    await run.settle()


# -- what Phonic publishes about itself ----------------------------------------------------------


@scenario()
async def a_caller_without_a_microphone(run: Run) -> None:
    await run.open()
    await run.wait(0.5)


@scenario()
async def a_microphone_that_is_switched_off_in_mid_word(run: Run) -> None:
    await run.open()
    await run.speak(200)
    await run.wait(0.5)


@scenario_of_the_current(turn_detection_disabled=True)
async def a_caller_who_holds_a_button(run: Run) -> None:
    await run.open()
    await run.call("start_user_activity")
    await run.speak(100)
    await run.call("commit_audio")
    await run.hear(transcript("Hello?"), *turn("Yes?"))
    await run.wait(0.5)


@scenario()
async def a_tool_with_a_schema_of_its_own(run: Run) -> None:
    @function_tool(
        raw_schema={
            "name": "get_weather",
            "description": "The weather somewhere.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        }
    )
    async def get_weather(raw_arguments: dict[str, object]) -> str:
        return ""

    await run.open(tools=[get_weather])


@scenario(speed=20)
async def an_answer_that_stalls(run: Run) -> None:
    await run.open()
    await run.hear(STARTED, chunk("Well"))
    await run.until_generations_end(25)
    await run.hear(transcript("Hello?"))


@scenario_of_the_current()
async def a_chunk_on_its_way_at_a_handoff(run: Run) -> None:
    await run.open(tools=[get_weather])
    await run.hear(STARTED, chunk("Once"))
    await run.call(
        "_update_session",
        instructions="You do the billing.",
        chat_ctx=llm.ChatContext.empty(),
        tools=[],
    )
    await run.hear(chunk(" upon"))
    await run.hear(*turn("Billing."))


@scenario_of_the_current()
async def a_value_that_is_no_number(run: Run) -> None:
    await run.open()
    await run.call("update_options", vad_threshold=float("inf"))
    await run.settle()


@scenario_of_the_current()
async def a_value_that_phonic_does_not_know(run: Run) -> None:
    await run.open()
    await run.call("update_options", multilingual_mode="sometimes")
    await run.settle()


@scenario_of_the_current(no_input_poke_sec=20)
async def pokes_switched_off(run: Run) -> None:
    await run.open()
    await run.call("update_options", no_input_poke_sec=None)
    await run.settle()


@scenario()
async def transcripts_of_two_turns_after_both_answers(run: Run) -> None:
    await run.open()
    await run.hear(USER_STARTED, USER_FINISHED, *turn("It is sunny."))
    await run.hear(USER_STARTED, USER_FINISHED, *turn("It will rain."))
    await run.hear(transcript("How is the weather?"), transcript("And tomorrow?"))


@scenario()
async def a_transcript_without_words(run: Run) -> None:
    await run.open()
    await run.hear(USER_STARTED, USER_FINISHED, transcript(""), *turn("Pardon?"))


@scenario()
async def tools_that_are_not_to_be_called(run: Run) -> None:
    await run.open(tools=[hang_up])
    await run.call("update_options", tool_choice="none")
    await run.settle()
