"""What livekit-plugins-phonic 1.4.5 sends and emits, this package sends and emits too.

Both run the same scripts against the same server, at the level of the realtime session. Where
they differ, ``INTENDED_DIFFERENCES`` says how and why; a difference that is not there fails, and
so does one that is there and does not exist any more.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import phonic.environment
import pytest
from differential import ABSENT, PACKAGES, Run, Script, run
from livekit import rtc
from livekit.agents import function_tool, llm

pytestmark = pytest.mark.anyio


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


SCENARIOS: list[Scenario] = []


def scenario(**options: Any) -> Callable[[Script], Script]:
    """Put the script on the list, under the name that it has."""

    def put(script: Script) -> Script:
        SCENARIOS.append(Scenario(script.__name__.replace("_", " "), script, options))
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
    await run.hear(STARTED, chunk("Once "))
    await run.server.close(1000, "bye")
    await run.lose_connection()


@scenario()
async def a_close_by_the_server_for_a_reason(run: Run) -> None:
    await run.open()
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
    for _ in range(10):
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


# -- what differs, and why -----------------------------------------------------------------------

EVERYWHERE = "everywhere"


class Difference(NamedTuple):
    plugin: Any
    ours: Any
    reason: str


FASTER = "LiveKit plays at its own pace: what comes early does not stutter"
NO_EMPTY = "an empty last piece of text says nothing that the end of the stream does not say"
LANGUAGES = (
    "the SDK's config has no recognized_languages any more: the first language is the default "
    "one, the others are additional"
)
AS_JSON = "one JSON object a line: nothing that was said can forge a turn or an instruction"
CALLS_TOO = "tool calls and their outputs are part of the history"
REUSED = "an open, still empty generation is reused, not closed and replaced"
REALLY_SPOKEN = "interrupted_response says what was really spoken of the message"
SPEECH_ENDS = (
    "each input_speech_started gets its input_speech_stopped, or LiveKit takes the caller for "
    "speaking for ever"
)
CALL_KEPT = (
    "the context holds the call as well as its output: a reset or a fresh conversation carries both"
)
ONE_REPLY = (
    "a reply is the generation that the assistant's answer opens, announced once, as asked for; "
    "none is made up at once"
)
SUPERSEDED = "one request is pending at a time: a newer one supersedes it"
NEVER_HANGS = "a reply that does not come fails: there is no generation to read"
TURN_GOES_ON = "asking for a reply does not cut the turn in two that is being spoken"
NO_NULL = "a field that is not given is not sent; null says the same"
TYPED = "what the user typed goes out with the request for a reply"
WAITS_FOR_ALL = "a generation is opened once, when the last pending call is answered"
CALLER_SPEAKS = (
    "while the caller speaks no generation is opened: the assistant's answer will open it"
)
INTERRUPTS = "interrupt() ends the generation at once; the rest of the turn is dropped"
MID_SESSION = "changes in mid-session are really sent: the smallest message that says them all"
DETAILS = "param_errors say what is wrong"
ENDED = "the end of the conversation has a type and words of its own"
ENDS_ALOUD = (
    "a close by the server is announced as unrecoverable, so that the AgentSession ends instead "
    "of going silent"
)
ONE_ERROR = "a deliberate close is one unrecoverable error; nothing is tried again"
CUT_OFF = "the turn was cut off, so its message is marked as interrupted"
RESUMED = "a lost connection is resumed"
REFUSED = (
    "an error before the server is ready refuses the config; the session ends, as the "
    "AgentSession does on hearing of it"
)
DOWNMIX = "channels are mixed down; sent as they are, they play at half speed"
NO_ARGUMENTS = "a call without parameters has no arguments: LiveKit reads an object"
UNREADABLE = "a message that cannot be read is dropped whole, and the log says which field is bad"
NO_LOSS = "a change of the rate loses no audio"
SOONER = "what the resampler holds back is a few ms, not a block"

INTENDED_DIFFERENCES: dict[tuple[str, str], Difference] = {
    (EVERYWHERE, "empty_text"): Difference(True, False, NO_EMPTY),
    (EVERYWHERE, "config.stream_ahead_of_real_time"): Difference(ABSENT, True, FASTER),
    ("config with every option", "config.recognized_languages"): Difference(
        ["en", "da", "de"], ABSENT, LANGUAGES
    ),
    ("config with every option", "config.default_language"): Difference(ABSENT, "en", LANGUAGES),
    ("config with every option", "config.additional_languages"): Difference(
        ABSENT, ["da", "de"], LANGUAGES
    ),
    ("history before the config", "config.history_as"): Difference(
        ["plain lines"], ["JSON lines"], AS_JSON
    ),
    ("history with a tool call", "config.history"): Difference(
        ["user: Is it sunny?", "assistant: It is."],
        [
            "user: Is it sunny?",
            {"tool_call": "get_weather", "id": "call_0", "arguments": "{}"},
            {"tool_output": "get_weather", "id": "call_0", "output": "sunny"},
            "assistant: It is.",
        ],
        CALLS_TOO,
    ),
    ("history with a tool call", "config.history_as"): Difference(
        ["plain lines"], ["JSON lines"], AS_JSON
    ),
    ("two starts with nothing between", "events"): Difference(
        ["generation 1", "generation 2"], ["generation 1"], REUSED
    ),
    ("two starts with nothing between", "generations"): Difference(
        ["'' b''", "'Two' b'ab'"], ["'Two' b'ab'"], REUSED
    ),
    ("two starts with nothing between", "chat"): Difference(
        ["assistant (generation 2): Two"], ["assistant (generation 1): Two"], REUSED
    ),
    ("an interruption with what was really spoken", "chat"): Difference(
        ["assistant (generation 1, interrupted): Once upon a time"],
        ["assistant (generation 1, interrupted): Once upon"],
        REALLY_SPOKEN,
    ),
    ("a cancelled input", "events"): Difference(
        ["input_speech_started"],
        ["input_speech_started", "input_speech_stopped, a transcript follows"],
        SPEECH_ENDS,
    ),
    ("a tool call its output and the next turn", "events"): Difference(
        ["generation 1", "generation 2", "generation 3"], ["generation 1", "generation 2"], REUSED
    ),
    ("a tool call its output and the next turn", "generations"): Difference(
        [
            '\'Let me see.\' b\'ab\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'' b''",
            "'It is sunny.' b'ab'",
        ],
        [
            '\'Let me see.\' b\'ab\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'It is sunny.' b'ab'",
        ],
        REUSED,
    ),
    ("a tool call its output and the next turn", "chat"): Difference(
        [
            "assistant (generation 1): Let me see.",
            "output call_1: sunny",
            "assistant (generation 3): It is sunny.",
        ],
        [
            "assistant (generation 1): Let me see.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "assistant (generation 2): It is sunny.",
        ],
        CALL_KEPT,
    ),
    ("a tool call without a turn", "chat"): Difference(
        [], ['call call_1: get_weather {"city":"Århus","days":2}'], CALL_KEPT
    ),
    ("a tool call behind its turn", "chat"): Difference(
        ["assistant (generation 1): Let me see.", "assistant (generation 3): Hm."],
        [
            "assistant (generation 1): Let me see.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            "assistant (generation 3): Hm.",
        ],
        CALL_KEPT,
    ),
    ("a tool output while the caller speaks", "events"): Difference(
        [
            "generation 1",
            "input_speech_started",
            "generation 2",
            "input_speech_stopped, a transcript follows",
            "final: Well?",
            "generation 3",
        ],
        [
            "generation 1",
            "input_speech_started",
            "input_speech_stopped, a transcript follows",
            "final: Well?",
            "generation 2",
        ],
        CALLER_SPEAKS,
    ),
    ("a tool output while the caller speaks", "generations"): Difference(
        [
            '\'\' b\'\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'' b''",
            "'It is sunny.' b'ab'",
        ],
        [
            '\'\' b\'\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'It is sunny.' b'ab'",
        ],
        CALLER_SPEAKS,
    ),
    ("a tool output while the caller speaks", "chat"): Difference(
        [
            "output call_1: sunny",
            "user (its transcript): Well?",
            "assistant (generation 3): It is sunny.",
        ],
        [
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "user (its transcript): Well?",
            "assistant (generation 2): It is sunny.",
        ],
        CALL_KEPT,
    ),
    ("an interrupted tool call", "chat"): Difference(
        ["assistant (generation 1): Let me see.", "output call_1: sunny"],
        [
            "assistant (generation 1): Let me see.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
        ],
        CALL_KEPT,
    ),
    ("two tool calls answered together", "chat"): Difference(
        ["assistant (generation 1): Let me see.", "output call_1: sunny", "output call_2: sunny"],
        [
            "assistant (generation 1): Let me see.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            'call call_2: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "output call_2: sunny",
        ],
        CALL_KEPT,
    ),
    ("two tool calls answered one by one", "events"): Difference(
        ["generation 1", "generation 2", "generation 3", "generation 4", "generation 5"],
        ["generation 1", "generation 2", "generation 3"],
        WAITS_FOR_ALL,
    ),
    ("two tool calls answered one by one", "generations"): Difference(
        [
            '\'Let me see.\' b\'ab\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            '\'\' b\'\' get_weather call_2 {"city": "\\u00c5rhus", "days": 2}',
            "'' b''",
            "'' b''",
            "'It is sunny.' b'ab'",
        ],
        [
            '\'Let me see.\' b\'ab\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            '\'\' b\'\' get_weather call_2 {"city": "\\u00c5rhus", "days": 2}',
            "'It is sunny.' b'ab'",
        ],
        WAITS_FOR_ALL,
    ),
    ("two tool calls answered one by one", "chat"): Difference(
        [
            "assistant (generation 1): Let me see.",
            "output call_1: sunny",
            "output call_2: sunny",
            "assistant (generation 5): It is sunny.",
        ],
        [
            "assistant (generation 1): Let me see.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            'call call_2: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "output call_2: sunny",
            "assistant (generation 3): It is sunny.",
        ],
        CALL_KEPT,
    ),
    ("the same output twice", "chat"): Difference(
        ["output call_1: sunny", "output call_1: rainy"],
        [
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "output call_1: rainy",
        ],
        CALL_KEPT,
    ),
    ("a message of the user and a reply", "sent"): Difference(
        [{"type": "generate_reply", "system_message": None}],
        [{"type": "generate_reply", "user_message": "I typed this."}],
        TYPED,
    ),
    ("a message of the user and a reply", "events"): Difference(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("a message of the user and a reply", "generations"): Difference(
        ["'' b'' asked for", "'I read it.' b'ab'"], ["'I read it.' b'ab' asked for"], ONE_REPLY
    ),
    ("a message of the user and a reply", "chat"): Difference(
        ["user (added): I typed this.", "assistant (generation 2): I read it."],
        ["user (added): I typed this.", "assistant (generation 1): I read it."],
        ONE_REPLY,
    ),
    ("a message of the user and a reply", "replies"): Difference(
        ["generation 1 at once"], ["generation 1 later"], ONE_REPLY
    ),
    ("a reply asked for before the server is ready", "events"): Difference(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("a reply asked for before the server is ready", "generations"): Difference(
        ["'' b'' asked for", "'Hello.' b'ab'"], ["'Hello.' b'ab' asked for"], ONE_REPLY
    ),
    ("a reply asked for before the server is ready", "chat"): Difference(
        ["assistant (generation 2): Hello."], ["assistant (generation 1): Hello."], ONE_REPLY
    ),
    ("a reply asked for before the server is ready", "replies"): Difference(
        ["generation 1 at once"], ["generation 1 later"], ONE_REPLY
    ),
    ("a reply asked for", "events"): Difference(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("a reply asked for", "generations"): Difference(
        ["'' b'' asked for", "'Hello.' b'ab'"], ["'Hello.' b'ab' asked for"], ONE_REPLY
    ),
    ("a reply asked for", "chat"): Difference(
        ["assistant (generation 2): Hello."], ["assistant (generation 1): Hello."], ONE_REPLY
    ),
    ("a reply asked for", "replies"): Difference(
        ["generation 1 at once"], ["generation 1 later"], ONE_REPLY
    ),
    ("a reply asked for without instructions", "sent"): Difference(
        [{"type": "generate_reply", "system_message": None}], [{"type": "generate_reply"}], NO_NULL
    ),
    ("a reply asked for without instructions", "events"): Difference(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("a reply asked for without instructions", "generations"): Difference(
        ["'' b'' asked for", "'Hello.' b'ab'"], ["'Hello.' b'ab' asked for"], ONE_REPLY
    ),
    ("a reply asked for without instructions", "chat"): Difference(
        ["assistant (generation 2): Hello."], ["assistant (generation 1): Hello."], ONE_REPLY
    ),
    ("a reply asked for without instructions", "replies"): Difference(
        ["generation 1 at once"], ["generation 1 later"], ONE_REPLY
    ),
    ("a reply asked for while the assistant speaks", "events"): Difference(
        ["generation 1", "generation 2", "generation 3"],
        ["generation 1", "generation 2"],
        ONE_REPLY,
    ),
    ("a reply asked for while the assistant speaks", "generations"): Difference(
        ["'Once ' b'ab'", "'upon' b'ab' asked for", "'Hello.' b'ab'"],
        ["'Once upon' b'abab'", "'Hello.' b'ab' asked for"],
        TURN_GOES_ON,
    ),
    ("a reply asked for while the assistant speaks", "chat"): Difference(
        [
            "assistant (generation 1): Once ",
            "assistant (generation 2): upon",
            "assistant (generation 3): Hello.",
        ],
        ["assistant (generation 1): Once upon", "assistant (generation 2): Hello."],
        TURN_GOES_ON,
    ),
    ("a reply asked for while the assistant speaks", "replies"): Difference(
        ["generation 2 at once"], ["generation 2 later"], ONE_REPLY
    ),
    ("two replies asked for in a row", "events"): Difference(
        ["generation 1", "generation 2", "generation 3"], ["generation 1"], ONE_REPLY
    ),
    ("two replies asked for in a row", "generations"): Difference(
        ["'' b'' asked for", "'' b'' asked for", "'Hello.' b'ab'"],
        ["'Hello.' b'ab' asked for"],
        ONE_REPLY,
    ),
    ("two replies asked for in a row", "chat"): Difference(
        ["assistant (generation 3): Hello."], ["assistant (generation 1): Hello."], ONE_REPLY
    ),
    ("two replies asked for in a row", "replies"): Difference(
        ["generation 1 at once", "generation 2 at once"],
        ["cancelled later", "generation 1 later"],
        SUPERSEDED,
    ),
    ("a reply that never comes", "events"): Difference(["generation 1"], [], NEVER_HANGS),
    ("a reply that never comes", "generations"): Difference(["'' b'' asked for"], [], NEVER_HANGS),
    ("a reply that never comes", "replies"): Difference(
        ["generation 1 at once"], ["ReplyFailed (closed) later"], NEVER_HANGS
    ),
    ("a reply asked for and declined", "events"): Difference(["generation 1"], [], NEVER_HANGS),
    ("a reply asked for and declined", "generations"): Difference(
        ["'' b'' asked for"], [], NEVER_HANGS
    ),
    ("a reply asked for and declined", "replies"): Difference(
        ["generation 1 at once"], ["ReplyFailed (declined) later"], NEVER_HANGS
    ),
    ("a reply asked for after a tool output", "events"): Difference(
        ["generation 1", "generation 2", "generation 3", "generation 4"],
        ["generation 1", "generation 2", "generation 3"],
        ONE_REPLY,
    ),
    ("a reply asked for after a tool output", "generations"): Difference(
        [
            '\'\' b\'\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'' b''",
            "'' b'' asked for",
            "'It is sunny.' b'ab'",
        ],
        [
            '\'\' b\'\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'' b''",
            "'It is sunny.' b'ab' asked for",
        ],
        ONE_REPLY,
    ),
    ("a reply asked for after a tool output", "chat"): Difference(
        ["output call_1: sunny", "assistant (generation 4): It is sunny."],
        [
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "assistant (generation 3): It is sunny.",
        ],
        CALL_KEPT,
    ),
    ("a reply asked for after a tool output", "replies"): Difference(
        ["generation 3 at once"], ["generation 3 later"], ONE_REPLY
    ),
    ("interrupt while the assistant speaks", "generations"): Difference(
        ["'Once upon' b'abab'", "'Now then.' b'ab'"],
        ["'Once ' b'ab'", "'Now then.' b'ab'"],
        INTERRUPTS,
    ),
    ("interrupt while the assistant speaks", "chat"): Difference(
        ["assistant (generation 1): Once upon", "assistant (generation 2): Now then."],
        ["assistant (generation 1, interrupted): Once ", "assistant (generation 2): Now then."],
        INTERRUPTS,
    ),
    ("new instructions", "sent"): Difference(
        [], [{"type": "update_system_prompt", "system_prompt": "Be strict."}], MID_SESSION
    ),
    ("new tools", "sent"): Difference(
        [], [{"type": "update_tools_subset", "tools": []}], MID_SESSION
    ),
    ("new instructions and tools", "sent"): Difference(
        [],
        [
            {
                "type": "reset",
                "config": {
                    "system_prompt": "Be strict.",
                    "generate_welcome_message": False,
                    "welcome_message": None,
                    "input_format": "pcm_44100",
                    "output_format": "pcm_44100",
                    "stream_ahead_of_real_time": True,
                    "tools": [],
                    "history": ["assistant: Hello."],
                    "history_as": ["JSON lines"],
                },
            }
        ],
        MID_SESSION,
    ),
    ("a tool call without parameters", "generations"): Difference(
        ["'' b'' get_weather call_1 null"],
        ["'' b'' get_weather call_1 {}"],
        NO_ARGUMENTS,
    ),
    ("a tool call without parameters", "chat"): Difference(
        [], ["call call_1: get_weather {}"], CALL_KEPT
    ),
    ("a chunk whose audio cannot be read", "generations"): Difference(
        ["'One two.' b'ab'"], ["'two.' b'ab'"], UNREADABLE
    ),
    ("a chunk whose audio cannot be read", "chat"): Difference(
        ["assistant (generation 1): One two."], ["assistant (generation 1): two."], UNREADABLE
    ),
    ("an error about parameters", "events"): Difference(
        ["unrecoverable error: Bad."], ["unrecoverable error: Bad. (voice_id: none such)"], DETAILS
    ),
    ("an assistant that ends the conversation", "events"): Difference(
        [
            "generation 1",
            "unrecoverable error: assistant_ended_conversation is not supported by "
            "the Phonic realtime model with LiveKit Agents.",
        ],
        ["generation 1", "unrecoverable error: the assistant ended the conversation"],
        ENDED,
    ),
    ("a close by the server", "events"): Difference(
        ["generation 1"],
        ["generation 1", "unrecoverable error: Phonic closed the connection (code 1000: bye)"],
        ENDS_ALOUD,
    ),
    ("a close by the server", "chat"): Difference(
        ["assistant (generation 1): Once "],
        ["assistant (generation 1, interrupted): Once "],
        CUT_OFF,
    ),
    ("a close by the server for a reason", "events"): Difference(
        [
            "recoverable error: "
            "received 4000 (private use) no credit; then sent 4000 (private use) no credit",
            "unrecoverable error: "
            "received 4000 (private use) no credit; then sent 4000 (private use) no credit",
        ],
        ["unrecoverable error: Phonic closed the connection (code 4000: no credit)"],
        ONE_ERROR,
    ),
    ("a connection that is cut", "resumes"): Difference([], ["conv_1"], RESUMED),
    ("a connection that is cut", "events"): Difference(
        [
            "generation 1",
            "recoverable error: no close frame received or sent",
            "unrecoverable error: no close frame received or sent",
        ],
        [
            "generation 1",
            "recoverable error: the connection to Phonic broke off (no close frame); resuming",
            "session_reconnected",
            "generation 2",
        ],
        RESUMED,
    ),
    ("a connection that is cut", "generations"): Difference(
        ["'Once ' b'ab'"], ["'Once ' b'ab'", "'Where was I?' b'ab'"], RESUMED
    ),
    ("a connection that is cut", "chat"): Difference(
        ["assistant (generation 1): Once "],
        ["assistant (generation 1, interrupted): Once ", "assistant (generation 2): Where was I?"],
        RESUMED,
    ),
    ("aclose while the caller speaks", "events"): Difference(
        ["input_speech_started"],
        ["input_speech_started", "input_speech_stopped, a transcript follows"],
        SPEECH_ENDS,
    ),
    ("an error before the server is ready", "events"): Difference(
        ["unrecoverable error: No such voice.", "generation 1"],
        ["unrecoverable error: No such voice."],
        REFUSED,
    ),
    ("an error before the server is ready", "generations"): Difference(
        ["'Hello.' b'ab'"], [], REFUSED
    ),
    ("an error before the server is ready", "chat"): Difference(
        ["assistant (generation 1): Hello."], [], REFUSED
    ),
    ("aclose in the middle of a turn", "chat"): Difference(
        ["assistant (generation 1): Once "],
        ["assistant (generation 1, interrupted): Once "],
        CUT_OFF,
    ),
    ("stereo audio", "audio_ms"): Difference(2000.0, 1000.0, DOWNMIX),
    ("audio at 24 khz", "audio_ms"): Difference(960.0, 980.0, SOONER),
    ("audio whose rate changes", "audio_ms"): Difference(1500.0, 2100.0, NO_LOSS),
}
"""(scenario, aspect) → what the plugin does, what this package does, and why."""


def differences(plugin: dict[str, Any], ours: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Aspect → its value in either outcome, where they are not the same."""
    return {
        aspect: (plugin.get(aspect, ABSENT), ours.get(aspect, ABSENT))
        for aspect in {**plugin, **ours}
        if plugin.get(aspect, ABSENT) != ours.get(aspect, ABSENT)
    }


def intended(where: str) -> dict[str, tuple[Any, Any]]:
    return {
        aspect: (difference.plugin, difference.ours)
        for (name, aspect), difference in INTENDED_DIFFERENCES.items()
        if name == where
    }


def complaints(found: dict[str, tuple[Any, Any]], listed: dict[str, tuple[Any, Any]]) -> str:
    """What is found and not listed, and what is listed and not found."""
    return "\n".join(
        f"{what}: {aspect}\n  plugin: {plugin!r}\n  ours:   {ours!r}"
        for what, has, lacks in (
            ("not intended", found, listed),
            ("intended, but not so any more", listed, found),
        )
        for aspect, (plugin, ours) in has.items()
        if lacks.get(aspect) != (plugin, ours)
    )


@pytest.fixture
def compare(monkeypatch):
    """Runs a scenario on both packages; the result is where they differ."""
    environment = phonic.environment.PhonicEnvironment.DEFAULT

    async def compare(scenario: Scenario) -> dict[str, tuple[Any, Any]]:
        plugin, ours = [
            await run(
                package,
                scenario.script,
                scenario.options,
                lambda url: monkeypatch.setattr(environment, "production", url),
            )
            for package in PACKAGES
        ]
        return differences(plugin, ours)

    return compare


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_differs_from_the_plugin_only_as_intended(scenario, compare):
    everywhere = intended(EVERYWHERE).items()
    found = dict(item for item in (await compare(scenario)).items() if item not in everywhere)

    problems = complaints(found, intended(scenario.name))
    assert not problems, problems


async def test_what_is_said_to_differ_everywhere_differs_in_a_plain_turn(compare):
    problems = complaints(await compare(Scenario("a turn", a_turn)), intended(EVERYWHERE))
    assert not problems, problems


def test_every_intended_difference_belongs_to_a_scenario_and_has_a_reason():
    names = {scenario.name for scenario in SCENARIOS} | {EVERYWHERE}
    for (name, aspect), difference in INTENDED_DIFFERENCES.items():
        assert name in names, (name, aspect)
        assert difference.reason, (name, aspect)
        assert difference.plugin != difference.ours, (name, aspect)
