"""Where this package differs from the plugin, and why: one table for both of its releases.

An entry's first word says for which release it holds: ``former`` (1.4.5), ``current`` (1.8),
``both``, or ``each`` where the two do not do the same either. A release that an entry leaves out
does there what this package does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from phonic_fsm._core.history import Message
from phonic_fsm._core.prompt import render_additions

EVERYWHERE = "everywhere"

ABSENT = "—"
"""An aspect that one of the two outcomes does not have."""

OFF = (
    "require_speech_before_tool_call",
    "forbid_speech_after_tool_call",
    "forbid_tool_call_after_speech",
)
"""Settings of a tool whose ``False`` is noted apart, once for all tools."""

AS_WE_DO = object()
"""In place of what the plugin does: no difference."""


class Reason(NamedTuple):
    """Why there is a difference; both texts complete a sentence that begins with a package."""

    topic: str
    plugin: str
    """What ``livekit-plugins-phonic`` does."""
    ours: str
    """What this package does instead, and why where that is not plain."""


class Difference(NamedTuple):
    former: Any
    current: Any
    ours: Any
    reason: Reason


def both(plugin: Any, ours: Any, reason: Reason) -> Difference:
    return Difference(plugin, plugin, ours, reason)


def former(plugin: Any, ours: Any, reason: Reason) -> Difference:
    return Difference(plugin, AS_WE_DO, ours, reason)


def current(plugin: Any, ours: Any, reason: Reason) -> Difference:
    return Difference(AS_WE_DO, plugin, ours, reason)


def each(former: Any, current: Any, ours: Any, reason: Reason) -> Difference:
    return Difference(former, current, ours, reason)


TOPICS = CONNECTION, TURNS, REPLIES, TOOLS, CHANGES, AUDIO, OPTIONS = (
    "Connection",
    "Turns",
    "Replies",
    "Tools",
    "Changes during a call",
    "Audio and measurements",
    "Options",
)

RESUMED = Reason(
    CONNECTION,
    "ends the session with an error when the connection is lost",
    "resumes the conversation on a new connection",
)
ENDS_ALOUD = Reason(
    CONNECTION,
    "says nothing when Phonic closes the connection, so the agent stays silent",
    "emits an unrecoverable `ConversationEnded`, so the `AgentSession` closes",
)
ONE_ERROR = Reason(
    CONNECTION,
    "emits two errors when Phonic closes the connection on purpose: first a recoverable one, as if "
    "it would go on, then an unrecoverable one",
    "emits one unrecoverable error",
)
ENDED = Reason(
    CONNECTION,
    "reports the end of the conversation as a message that it does not support",
    "reports it as `ConversationEnded`",
)
CUTS_GOODBYE = Reason(
    CONNECTION,
    "reports the end of the conversation as soon as it hears of it, so the `AgentSession` cuts off "
    "the goodbye that is still played",
    "reports it once the goodbye can have been heard",
)
REFUSED = Reason(
    CONNECTION,
    "emits an unrecoverable error if Phonic refuses the configuration, and goes on all the same",
    "ends with `ConfigurationRefused`, as the `AgentSession` does when it hears of such an error",
)
GOES_ON = Reason(
    CONNECTION,
    "emits every error that Phonic reports as unrecoverable, so the `AgentSession` closes in the "
    "middle of a call",
    "emits it as recoverable; the call ends only if Phonic closes the connection",
)
DETAILS = Reason(
    CONNECTION,
    "leaves out what Phonic says about single parameters",
    "puts Phonic's `param_errors` into the error's message and body",
)
UNREADABLE = Reason(
    CONNECTION,
    "uses the text of an audio chunk whose audio it cannot read",
    "drops a message that it cannot read as a whole, and logs which field is bad",
)

NO_REDIRECTS = Reason(
    CONNECTION,
    "follows a redirect, so another server can get the key or the conversation",
    "follows none; the error names the host that it points to",
)
KEPT_SECRET = Reason(
    CONNECTION,
    "writes the API key into the log and into the error if Phonic refuses the connection, or if "
    "the key ends in a line break",
    "tells the key nowhere, and strips white space around it",
)
PROXIES = Reason(
    CONNECTION,
    "goes past the proxy that `http_proxy` or `https_proxy` names",
    "goes through it, except to loopback and to what `no_proxy` names",
)
ODD_MESSAGE = Reason(
    CONNECTION,
    "ends the session with an error if a message lacks a field, or is no JSON object",
    "drops the message, and logs what is wrong with it",
)
SHORT_LINES = Reason(
    CONNECTION,
    "writes a warning of Phonic's into the log whole, however long it is",
    "cuts it",
)
MANY_VALUES = Reason(
    CONNECTION,
    "takes a message with any number of values in it; one of 1 MiB held up all calls of the "
    "process for 0.1 s",
    "drops a message of more than 20,000 values, with a warning",
)
LISTENERS = Reason(
    CONNECTION,
    "hears nothing more of Phonic, and says nothing, after a listener has raised a "
    "`CancelledError`, as `result()` of a superseded reply does",
    "logs whatever a listener raises, and loses nothing for it",
)

REUSED = Reason(
    TURNS,
    "closes a generation that is still empty and opens another one",
    "uses the empty generation for what the assistant says next",
)
INTERRUPTS = Reason(
    TURNS,
    "ignores `interrupt()`",
    "ends the generation at once and drops the rest of the turn",
)
REALLY_SPOKEN = Reason(
    TURNS,
    "keeps the whole text of an interrupted message",
    "cuts the message to the words that were really spoken, as Phonic reports them",
)
CUT_OFF = Reason(
    TURNS,
    "leaves a message unmarked if its turn was cut off",
    "marks the message as interrupted",
)
SPEECH_ENDS = Reason(
    TURNS,
    "can leave an `input_speech_started` without its `input_speech_stopped`",
    "always emits the second one; without it LiveKit believes that the caller still speaks",
)
CALLER_SPEAKS = Reason(
    TURNS,
    "opens a generation for a tool's output while the caller speaks",
    "waits: the assistant's answer opens the generation",
)
LONG_ANSWER = Reason(
    TURNS,
    "keeps all the text of an answer, however long it is",
    "cuts an answer off after 50,000 characters, or 10 minutes of audio, with a warning",
)
NO_EMPTY = Reason(
    TURNS,
    "ends each text stream with an empty piece of text",
    "leaves that piece out; the end of the stream says the same",
)

ONE_REPLY = Reason(
    REPLIES,
    "makes up a generation when you ask for a reply, and opens a second one for the answer",
    "opens one generation when the answer comes; your future resolves to it, and it is announced "
    "with `user_initiated=True`",
)
NEVER_HANGS = Reason(
    REPLIES,
    "leaves you with an empty generation, or cancels the future, if the reply does not come",
    "fails the future with `ReplyFailed`, which says why",
)
SUPERSEDED = Reason(
    REPLIES,
    "gives each of several requests a generation of its own, although one answer comes",
    "keeps one request: a newer one takes its place, and the older future is cancelled",
)
LATE_TRANSCRIPT = Reason(
    TURNS,
    "puts a transcript that comes after the answer behind that answer",
    "puts it before the answer",
)
NO_WORDS = Reason(
    TURNS,
    "takes a transcript without words for a message of the user's",
    "leaves it out",
)
TOOL_CHOICE = Reason(
    TOOLS,
    "ignores LiveKit's tool choice, so Phonic waits for the outputs of calls that LiveKit drops",
    "takes the tools from Phonic that are not to be called, as long as that holds",
)
TURN_GOES_ON = Reason(
    REPLIES,
    "cuts a turn in two if you ask for a reply while the assistant speaks",
    "leaves the turn whole; the next turn is the reply",
)
AFTER_WELCOME = Reason(
    REPLIES,
    "takes the welcome for the reply that you asked for before Phonic was ready, and asks for the "
    "reply while the welcome is spoken, which Phonic drops or cuts the welcome off for",
    "asks for the reply when the welcome is over; your future resolves to the reply",
)
NOTHING_SAID = Reason(
    REPLIES,
    "sends a text to say that has no words, and waits for an answer to it",
    "fails the future at once, and sends nothing",
)
WITHDRAWN = Reason(
    REPLIES,
    "sends a request although you cancelled it before it was sent",
    "does not send it",
)
TYPED = Reason(
    REPLIES,
    "does not send the text of a user's message (1.4.5), or hides it in an instruction (1.8)",
    "sends it as the user's own words, with the request for the reply",
)
KEPT_TYPED = Reason(
    REPLIES,
    "moves what the user typed into the history if an option changes before the reply",
    "sends it once, with the request for the reply, whatever changed before",
)
NO_NULL = Reason(
    REPLIES,
    "sends `null` for a field that you did not give",
    "leaves the field out, which means the same",
)

STALLED = Reason(
    TURNS,
    "waits for ever for the rest of an answer that stalls",
    "closes the answer with a warning once what has come can have been played, and 10 s more",
)
STALE = Reason(
    CHANGES,
    "takes a chunk of the former agent's answer, which was on its way at a handoff, for an answer "
    "of the new agent",
    "drops it: a reset has cut that turn off",
)

CALL_KEPT = Reason(
    TOOLS,
    "keeps only the output of a tool call in the chat context",
    "keeps the call as well, so a changed configuration or a new conversation carries both",
)
CALLS_TOO = Reason(
    TOOLS,
    "leaves tool calls and their outputs out of the history that it sends",
    "sends them as part of the history",
)
WAITS_FOR_ALL = Reason(
    TOOLS,
    "opens a generation for each output of several pending calls",
    "opens one when the last pending call is answered",
)
CLOSED_SCHEMA = Reason(
    TOOLS,
    "sends a raw schema, or that of an MCP server, as it is",
    "closes it, as Phonic requires for strict tools: every property is required, an optional one "
    "may be null, nothing else is allowed; your function still gets what its own schema says",
)
IN_WORDS = Reason(
    TOOLS,
    "drops the output of a call that Phonic no longer waits for",
    "tells Phonic of it in words, and has it answered where LiveKit does not ask for that itself",
)
NO_ARGUMENTS = Reason(
    TOOLS,
    "passes `null` as the arguments of a call without parameters",
    "passes `{}`, because LiveKit expects an object",
)
NO_ANSWER_DUE = Reason(
    TOOLS,
    "opens a generation for an output that wants no reply",
    "opens none",
)
SILENT_TOOL = Reason(
    TOOLS,
    "opens no generation after the output of a tool that forbids speech; LiveKit waits for one, "
    "and leaves the agent's state at `thinking`",
    "gives LiveKit an empty one",
)
SAID_TO_BE_OFF = Reason(
    TOOLS,
    "leaves settings of a tool unsent that it means to be off",
    "sends `false`; Phonic's default would make the assistant speak before every call",
)

MID_SESSION = Reason(
    CHANGES,
    "ignores new instructions or tools during a call, or sends the whole configuration again",
    "sends the smallest message that holds all changes",
)
TOLD = Reason(
    CHANGES,
    "keeps to itself what you add to the chat context, unless it is a tool's output, a system "
    "message or what the user typed last",
    "tells it in a system message, and so it does what the user typed if the caller speaks, or the "
    "agent says something, before you ask for a reply",
)
TRUE_PAST = Reason(
    CHANGES,
    "does not tell Phonic what you take out of the chat context",
    "sends a `reset` with the true history, once nobody speaks and no answer is due",
)
ONE_WELCOME = Reason(
    CHANGES,
    "sends the welcome message again with every changed option",
    "switches it off in that message; use `say()` to greet the caller again",
)
AS_JSON = Reason(
    CHANGES,
    "writes the history into the prompt as plain lines",
    "writes it as one JSON object a line, so nothing that was said can pass for another turn, for "
    "an instruction or for a template variable",
)
NO_TOOLS = Reason(
    CHANGES,
    "says nothing about tools when a new agent has none, so the former agent's tools can stay",
    "sends an empty list",
)
CALL_OVER = Reason(
    CHANGES,
    "sends the output of a tool as if Phonic still knew the call, after a change of options or of "
    "the agent",
    "says before the change that the tool still runs, then tells Phonic of its output in words and "
    "has it answered",
)

STREAMS = Reason(
    AUDIO,
    "sends nothing while there is no microphone, or none that is open",
    "sends silence; without it Phonic ends the connection after a minute, and does not notice that "
    "the caller has finished",
)
DATED = Reason(
    AUDIO,
    "leaves out the date of the first chunk",
    "sends it, as Phonic requires",
)
PUSH_TO_TALK = Reason(
    AUDIO,
    "ignores LiveKit's manual turn detection and its turn detectors: Phonic detects the turns",
    "tells Phonic when to listen and when to answer (`push_to_talk`)",
)
EARLY_AUDIO = Reason(
    AUDIO,
    "drops what the caller says before Phonic is ready",
    "keeps the newest 10 seconds of it, and sends it when Phonic is ready",
)
DOWNMIX = Reason(
    AUDIO,
    "sends stereo audio as if it were mono, so it plays at half speed",
    "mixes the channels down to one",
)
NEWEST_AUDIO = Reason(
    AUDIO,
    "keeps all of the caller's audio for a connection that is too slow, so that Phonic hears it "
    "ever later, and the memory grows",
    "keeps the newest 2 seconds, with a warning",
)
NO_LOSS = Reason(
    AUDIO,
    "loses audio when the sample rate changes during a call",
    "loses nothing",
)
SOONER = Reason(
    AUDIO,
    "holds back more of the caller's audio while it resamples",
    "sends it sooner",
)
TIMED = Reason(
    AUDIO,
    "gives words without times",
    "gives each word the time at which it is spoken",
)
MEASURED = Reason(
    AUDIO,
    "emits no metrics of replies, and 1.4.5 none of connections either",
    "emits metrics of each connection and each reply",
)

CHECKED = Reason(
    OPTIONS,
    "sends a value that Phonic cannot take, even infinity, which is no JSON",
    "raises a `ValueError` that names the option, the value and the rule",
)
WHOLE_CHARACTERS = Reason(
    OPTIONS,
    "sends half a surrogate pair as it is, although UTF-8 cannot hold it",
    "sends a question mark in its place in a tool's output and in the history; in options and "
    "instructions it raises a `ValueError`",
)
FASTER = Reason(
    OPTIONS,
    "lets Phonic send audio at the pace of speech",
    "sets `stream_ahead_of_real_time`: audio comes early, LiveKit plays it at its own pace, and "
    "it does not stutter",
)
LANGUAGES = Reason(
    OPTIONS,
    "sends `languages` as `recognized_languages`",
    "sends the first as the default language and the others as additional ones: Phonic's "
    "configuration has no `recognized_languages` any more",
)
NAMES_OF_TODAY = Reason(
    OPTIONS,
    "sends `phonic_model` in the old spelling (`phonic_v1_1`)",
    "takes both spellings and sends the SDK's (`phonic-1.1`)",
)


def weather_tool(parameters: dict[str, Any]) -> dict[str, Any]:
    """A tool as it stands in the config, with this schema."""
    return {
        "type": "custom_websocket",
        "tool_schema": {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather somewhere.",
                "strict": True,
                "parameters": parameters,
            },
        },
        "tool_call_output_timeout_ms": 60000,
        "wait_for_speech_before_tool_call": True,
        "allow_tool_chaining": False,
    }


STILL_RUNNING = {
    "type": "tool_call_output",
    "tool_call_id": "call_1",
    "output": "The tool is still running. Its output will follow in a system message.",
}


def in_words(call_id: str, output: str) -> list[dict[str, Any]]:
    """How an output is told that Phonic does not take as such."""
    told = f'{{"tool_output":"get_weather","id":"{call_id}","output":"{output}"}}'
    introduction = (
        "The tool call below, made earlier in the conversation, has now given its output."
    )
    return [{"type": "add_system_message", "system_message": f"{introduction}\n{told}"}]


def as_a_prompt(typed: str) -> str:
    """How the plugin's current release passes on what the user typed."""
    return f'The user sent the following text message: "{typed}". Please respond to their message.'


INTENDED_DIFFERENCES: dict[tuple[str, str], Difference] = {
    (EVERYWHERE, "empty_text"): both(True, False, NO_EMPTY),
    (EVERYWHERE, "history_as"): both(["plain lines"], ["JSON lines"], AS_JSON),
    (EVERYWHERE, "replies_measured"): both(False, True, MEASURED),
    (EVERYWHERE, "config.stream_ahead_of_real_time"): former(ABSENT, True, FASTER),
    (EVERYWHERE, "text_times"): former([()], [(0, 0)], TIMED),
    (EVERYWHERE, "connections_measured"): former(0, 1, MEASURED),
    (EVERYWHERE, "off_in_tools"): former([], list(OFF), SAID_TO_BE_OFF),
    (EVERYWHERE, "resets_welcome"): current(
        [{}], [{"welcome_message": None, "generate_welcome_message": False}], ONE_WELCOME
    ),
    (EVERYWHERE, "first_audio_dated"): both(False, True, DATED),
    ("config with every option", "config.recognized_languages"): former(
        ["en", "da", "de"], ABSENT, LANGUAGES
    ),
    ("config with every option", "config.default_language"): former(ABSENT, "en", LANGUAGES),
    ("config with every option", "config.additional_languages"): former(
        ABSENT, ["da", "de"], LANGUAGES
    ),
    ("history with a tool call", "config.history"): both(
        ["user: Is it sunny?", "assistant: It is."],
        [
            "user: Is it sunny?",
            {"tool_call": "get_weather", "id": "call_0", "arguments": "{}"},
            {"tool_output": "get_weather", "id": "call_0", "output": "sunny"},
            "assistant: It is.",
        ],
        CALLS_TOO,
    ),
    ("two starts with nothing between", "events"): both(
        ["generation 1", "generation 2"], ["generation 1"], REUSED
    ),
    ("two starts with nothing between", "generations"): both(
        ["'' b''", "'Two' b'ab'"], ["'Two' b'ab'"], REUSED
    ),
    ("two starts with nothing between", "chat"): both(
        ["assistant (generation 2): Two"], ["assistant (generation 1): Two"], REUSED
    ),
    ("an interruption with what was really spoken", "chat"): both(
        ["assistant (generation 1, interrupted): Once upon a time"],
        ["assistant (generation 1, interrupted): Once upon"],
        REALLY_SPOKEN,
    ),
    ("a cancelled input", "events"): both(
        ["input_speech_started"],
        ["input_speech_started", "input_speech_stopped, a transcript follows"],
        SPEECH_ENDS,
    ),
    ("a tool call its output and the next turn", "events"): both(
        ["generation 1", "generation 2", "generation 3"], ["generation 1", "generation 2"], REUSED
    ),
    ("a tool call its output and the next turn", "generations"): both(
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
    ("a tool call its output and the next turn", "chat"): both(
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
    ("a tool call without a turn", "chat"): both(
        [], ['call call_1: get_weather {"city":"Århus","days":2}'], CALL_KEPT
    ),
    ("a tool call behind its turn", "chat"): both(
        ["assistant (generation 1): Let me see.", "assistant (generation 3): Hm."],
        [
            "assistant (generation 1): Let me see.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            "assistant (generation 3): Hm.",
        ],
        CALL_KEPT,
    ),
    ("a tool output while the caller speaks", "events"): both(
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
    ("a tool output while the caller speaks", "generations"): both(
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
    ("a tool output while the caller speaks", "chat"): both(
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
    ("a chunk whose audio cannot be read", "generations"): both(
        ["'One two.' b'ab'"], ["'two.' b'ab'"], UNREADABLE
    ),
    ("a chunk whose audio cannot be read", "chat"): both(
        ["assistant (generation 1): One two."], ["assistant (generation 1): two."], UNREADABLE
    ),
    ("a tool call without parameters", "generations"): both(
        ["'' b'' get_weather call_1 null"], ["'' b'' get_weather call_1 {}"], NO_ARGUMENTS
    ),
    ("a tool call without parameters", "chat"): both(
        [], ["call call_1: get_weather {}"], CALL_KEPT
    ),
    ("an interrupted tool call", "chat"): both(
        ["assistant (generation 1): Let me see.", "output call_1: sunny"],
        [
            "assistant (generation 1): Let me see.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
        ],
        CALL_KEPT,
    ),
    ("two tool calls answered together", "chat"): both(
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
    ("two tool calls answered one by one", "events"): both(
        ["generation 1", "generation 2", "generation 3", "generation 4", "generation 5"],
        ["generation 1", "generation 2", "generation 3"],
        WAITS_FOR_ALL,
    ),
    ("two tool calls answered one by one", "generations"): both(
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
    ("two tool calls answered one by one", "chat"): both(
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
    ("an interrupted tool call", "sent"): both(
        [], [*in_words("call_1", "sunny"), {"type": "generate_reply"}], IN_WORDS
    ),
    ("the output of an unknown call", "sent"): both(
        [], [*in_words("call_9", "sunny"), {"type": "generate_reply"}], IN_WORDS
    ),
    ("the same output twice", "sent"): both(
        [{"type": "tool_call_output", "tool_call_id": "call_1", "output": "sunny"}],
        [
            {"type": "tool_call_output", "tool_call_id": "call_1", "output": "sunny"},
            *in_words("call_1", "rainy"),
        ],
        IN_WORDS,
    ),
    ("the same output twice", "chat"): both(
        ["output call_1: sunny", "output call_1: rainy"],
        [
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "output call_1: rainy",
        ],
        CALL_KEPT,
    ),
    ("a message of the user and a reply", "sent"): each(
        [{"type": "generate_reply", "system_message": None}],
        [{"type": "generate_reply", "system_message": as_a_prompt("I typed this.")}],
        [{"type": "generate_reply", "user_message": "I typed this."}],
        TYPED,
    ),
    ("a message of the user and a reply", "events"): former(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("a message of the user and a reply", "generations"): former(
        ["'' b'' asked for", "'I read it.' b'ab'"], ["'I read it.' b'ab' asked for"], ONE_REPLY
    ),
    ("a message of the user and a reply", "chat"): former(
        ["user (added): I typed this.", "assistant (generation 2): I read it."],
        ["user (added): I typed this.", "assistant (generation 1): I read it."],
        ONE_REPLY,
    ),
    ("a message of the user and a reply", "replies"): former(
        ["generation 1 at once"], ["generation 1 later"], ONE_REPLY
    ),
    ("a reply asked for before the server is ready", "events"): former(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("a reply asked for before the server is ready", "generations"): former(
        ["'' b'' asked for", "'Hello.' b'ab'"], ["'Hello.' b'ab' asked for"], ONE_REPLY
    ),
    ("a reply asked for before the server is ready", "chat"): former(
        ["assistant (generation 2): Hello."], ["assistant (generation 1): Hello."], ONE_REPLY
    ),
    ("a reply asked for before the server is ready", "replies"): former(
        ["generation 1 at once"], ["generation 1 later"], ONE_REPLY
    ),
    ("a reply asked for", "events"): former(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("a reply asked for", "generations"): former(
        ["'' b'' asked for", "'Hello.' b'ab'"], ["'Hello.' b'ab' asked for"], ONE_REPLY
    ),
    ("a reply asked for", "chat"): former(
        ["assistant (generation 2): Hello."], ["assistant (generation 1): Hello."], ONE_REPLY
    ),
    ("a reply asked for", "replies"): former(
        ["generation 1 at once"], ["generation 1 later"], ONE_REPLY
    ),
    ("a reply asked for without instructions", "sent"): both(
        [{"type": "generate_reply", "system_message": None}], [{"type": "generate_reply"}], NO_NULL
    ),
    ("a reply asked for without instructions", "events"): former(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("a reply asked for without instructions", "generations"): former(
        ["'' b'' asked for", "'Hello.' b'ab'"], ["'Hello.' b'ab' asked for"], ONE_REPLY
    ),
    ("a reply asked for without instructions", "chat"): former(
        ["assistant (generation 2): Hello."], ["assistant (generation 1): Hello."], ONE_REPLY
    ),
    ("a reply asked for without instructions", "replies"): former(
        ["generation 1 at once"], ["generation 1 later"], ONE_REPLY
    ),
    ("a reply asked for while the assistant speaks", "events"): both(
        ["generation 1", "generation 2", "generation 3"],
        ["generation 1", "generation 2"],
        TURN_GOES_ON,
    ),
    ("a reply asked for while the assistant speaks", "generations"): both(
        ["'Once ' b'ab'", "'upon' b'ab' asked for", "'Hello.' b'ab'"],
        ["'Once upon' b'abab'", "'Hello.' b'ab' asked for"],
        TURN_GOES_ON,
    ),
    ("a reply asked for while the assistant speaks", "chat"): both(
        [
            "assistant (generation 1): Once ",
            "assistant (generation 2): upon",
            "assistant (generation 3): Hello.",
        ],
        ["assistant (generation 1): Once upon", "assistant (generation 2): Hello."],
        TURN_GOES_ON,
    ),
    ("a reply asked for while the assistant speaks", "replies"): former(
        ["generation 2 at once"], ["generation 2 later"], ONE_REPLY
    ),
    ("a reply asked for before the welcome", "events"): former(
        ["generation 1", "generation 2", "generation 3"],
        ["generation 1", "generation 2"],
        AFTER_WELCOME,
    ),
    ("a reply asked for before the welcome", "generations"): each(
        ["'' b'' asked for", "'Welcome.' b'ab'", "'Hello.' b'ab'"],
        ["'Welcome.' b'ab' asked for", "'Hello.' b'ab'"],
        ["'Welcome.' b'ab'", "'Hello.' b'ab' asked for"],
        AFTER_WELCOME,
    ),
    ("a reply asked for before the welcome", "chat"): former(
        ["assistant (generation 2): Welcome.", "assistant (generation 3): Hello."],
        ["assistant (generation 1): Welcome.", "assistant (generation 2): Hello."],
        AFTER_WELCOME,
    ),
    ("a reply asked for before the welcome", "replies"): each(
        ["generation 1 at once"], ["generation 1 later"], ["generation 2 later"], AFTER_WELCOME
    ),
    ("a transcript after the answer to it", "chat"): both(
        [
            "assistant (generation 1): It is sunny.",
            "user (its transcript): How is the weather?",
        ],
        [
            "user (its transcript): How is the weather?",
            "assistant (generation 1): It is sunny.",
        ],
        LATE_TRANSCRIPT,
    ),
    ("transcripts of two turns after both answers", "chat"): both(
        [
            "assistant (generation 1): It is sunny.",
            "assistant (generation 2): It will rain.",
            "user (its transcript): How is the weather?",
            "user (its transcript): And tomorrow?",
        ],
        [
            "user (its transcript): How is the weather?",
            "assistant (generation 1): It is sunny.",
            "user (its transcript): And tomorrow?",
            "assistant (generation 2): It will rain.",
        ],
        LATE_TRANSCRIPT,
    ),
    ("a transcript without words", "events"): both(
        [
            "input_speech_started",
            "input_speech_stopped, a transcript follows",
            "final: ",
            "generation 1",
        ],
        ["input_speech_started", "input_speech_stopped, a transcript follows", "generation 1"],
        NO_WORDS,
    ),
    ("a transcript without words", "chat"): both(
        ["user (its transcript): ", "assistant (generation 1): Pardon?"],
        ["assistant (generation 1): Pardon?"],
        NO_WORDS,
    ),
    ("tools that are not to be called", "sent"): both(
        [],
        [{"type": "update_tools_subset", "tools": []}],
        TOOL_CHOICE,
    ),
    ("two replies asked for in a row", "events"): former(
        ["generation 1", "generation 2", "generation 3"], ["generation 1"], ONE_REPLY
    ),
    ("two replies asked for in a row", "generations"): former(
        ["'' b'' asked for", "'' b'' asked for", "'Hello.' b'ab'"],
        ["'Hello.' b'ab' asked for"],
        ONE_REPLY,
    ),
    ("two replies asked for in a row", "chat"): former(
        ["assistant (generation 3): Hello."], ["assistant (generation 1): Hello."], ONE_REPLY
    ),
    ("two replies asked for in a row", "replies"): former(
        ["generation 1 at once", "generation 2 at once"],
        ["cancelled later", "generation 1 later"],
        SUPERSEDED,
    ),
    ("a reply that never comes", "events"): former(["generation 1"], [], NEVER_HANGS),
    ("a reply that never comes", "generations"): former(["'' b'' asked for"], [], NEVER_HANGS),
    ("a reply that never comes", "replies"): each(
        ["generation 1 at once"], ["cancelled later"], ["ReplyFailed (closed) later"], NEVER_HANGS
    ),
    ("a reply asked for and declined", "events"): former(["generation 1"], [], NEVER_HANGS),
    ("a reply asked for and declined", "generations"): former(
        ["'' b'' asked for"], [], NEVER_HANGS
    ),
    ("a reply asked for and declined", "replies"): each(
        ["generation 1 at once"], ["cancelled later"], ["ReplyFailed (declined) later"], NEVER_HANGS
    ),
    ("a reply asked for after a tool output", "events"): former(
        ["generation 1", "generation 2", "generation 3", "generation 4"],
        ["generation 1", "generation 2", "generation 3"],
        ONE_REPLY,
    ),
    ("a reply asked for after a tool output", "generations"): former(
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
    ("a reply asked for after a tool output", "chat"): each(
        ["output call_1: sunny", "assistant (generation 4): It is sunny."],
        ["output call_1: sunny", "assistant (generation 3): It is sunny."],
        [
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "assistant (generation 3): It is sunny.",
        ],
        CALL_KEPT,
    ),
    ("a reply asked for after a tool output", "replies"): former(
        ["generation 3 at once"], ["generation 3 later"], ONE_REPLY
    ),
    ("interrupt while the assistant speaks", "generations"): both(
        ["'Once upon' b'abab'", "'Now then.' b'ab'"],
        ["'Once ' b'ab'", "'Now then.' b'ab'"],
        INTERRUPTS,
    ),
    ("interrupt while the assistant speaks", "chat"): both(
        ["assistant (generation 1): Once upon", "assistant (generation 2): Now then."],
        ["assistant (generation 1, interrupted): Once ", "assistant (generation 2): Now then."],
        INTERRUPTS,
    ),
    ("new instructions", "sent"): both(
        [], [{"type": "update_system_prompt", "system_prompt": "Be strict."}], MID_SESSION
    ),
    ("new tools", "sent"): both([], [{"type": "update_tools_subset", "tools": []}], MID_SESSION),
    ("new instructions and tools", "sent"): both(
        [],
        [
            {
                "type": "reset",
                "history": ["assistant: Hello."],
                "system_prompt": "Be strict.",
                "tools": [],
            }
        ],
        MID_SESSION,
    ),
    ("new instructions and tools", "history_as"): both([], ["JSON lines"], MID_SESSION),
    ("new instructions and tools", "resets_welcome"): both(
        [], [{"welcome_message": None, "generate_welcome_message": False}], MID_SESSION
    ),
    ("an error", "events"): both(
        ["generation 1", "unrecoverable error: It broke."],
        ["generation 1", "recoverable error: It broke."],
        GOES_ON,
    ),
    ("an error about parameters", "events"): both(
        ["unrecoverable error: Bad."], ["recoverable error: Bad. (voice_id: none such)"], DETAILS
    ),
    ("an assistant that ends the conversation", "events"): both(
        [
            "generation 1",
            "unrecoverable error: assistant_ended_conversation is not supported by "
            "the Phonic realtime model with LiveKit Agents.",
        ],
        ["generation 1", "unrecoverable error: the assistant ended the conversation"],
        ENDED,
    ),
    ("a goodbye that is streamed ahead", "events"): both(
        [
            "generation 1",
            "unrecoverable error: assistant_ended_conversation is not supported by "
            "the Phonic realtime model with LiveKit Agents.",
        ],
        ["generation 1", "unrecoverable error: the assistant ended the conversation"],
        ENDED,
    ),
    ("a goodbye that is streamed ahead", "cuts_words_off"): both(True, False, CUTS_GOODBYE),
    ("a redirect to another address", "redirects_followed"): both(1, 0, NO_REDIRECTS),
    ("a redirect to another address", "events"): both(
        [],
        [
            "unrecoverable error: Phonic refused the connection with HTTP 301: a redirect to host "
            "127.0.0.1, which is not followed; if that is the right server, set base_url or "
            "PHONIC_BASE_URL"
        ],
        NO_REDIRECTS,
    ),
    ("a listener that raises a cancellation", "events"): both(
        ["input_speech_started"],
        [
            "input_speech_started",
            "input_speech_stopped, a transcript follows",
            "final: Hello?",
            "generation 1",
        ],
        LISTENERS,
    ),
    ("a listener that raises a cancellation", "generations"): both([], ["'Hi.' b'ab'"], LISTENERS),
    ("a listener that raises a cancellation", "chat"): both(
        [],
        ["user (its transcript): Hello?", "assistant (generation 1): Hi."],
        LISTENERS,
    ),
    ("a listener that raises a cancellation", "text_times"): both([], [(0, 0)], LISTENERS),
    ("a close by the server", "events"): both(
        ["generation 1", "generation 2"],
        [
            "generation 1",
            "generation 2",
            "unrecoverable error: Phonic closed the connection (code 1000: bye)",
        ],
        ENDS_ALOUD,
    ),
    ("a close by the server", "chat"): both(
        ["assistant (generation 1): Hello.", "assistant (generation 2): Once "],
        ["assistant (generation 1): Hello.", "assistant (generation 2, interrupted): Once "],
        CUT_OFF,
    ),
    ("a close by the server for a reason", "events"): both(
        [
            "generation 1",
            "recoverable error: "
            "received 4000 (private use) no credit; then sent 4000 (private use) no credit",
            "unrecoverable error: "
            "received 4000 (private use) no credit; then sent 4000 (private use) no credit",
        ],
        [
            "generation 1",
            "unrecoverable error: Phonic closed the connection (code 4000: no credit)",
        ],
        ONE_ERROR,
    ),
    ("a connection that is cut", "resumes"): both([], ["conv_1"], RESUMED),
    ("a connection that is cut", "events"): both(
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
    ("a connection that is cut", "generations"): both(
        ["'Once ' b'ab'"], ["'Once ' b'ab'", "'Where was I?' b'ab'"], RESUMED
    ),
    ("a connection that is cut", "chat"): both(
        ["assistant (generation 1): Once "],
        ["assistant (generation 1, interrupted): Once ", "assistant (generation 2): Where was I?"],
        RESUMED,
    ),
    ("a connection that is cut", "connections_measured"): each(0, 1, 2, RESUMED),
    ("aclose while the caller speaks", "events"): both(
        ["input_speech_started"],
        ["input_speech_started", "input_speech_stopped, a transcript follows"],
        SPEECH_ENDS,
    ),
    ("an error before the server is ready", "events"): both(
        ["unrecoverable error: No such voice.", "generation 1"],
        ["unrecoverable error: No such voice."],
        REFUSED,
    ),
    ("an error before the server is ready", "generations"): both(["'Hello.' b'ab'"], [], REFUSED),
    ("an error before the server is ready", "chat"): both(
        ["assistant (generation 1): Hello."], [], REFUSED
    ),
    ("an error before the server is ready", "text_times"): each([()], [(0, 0)], [], REFUSED),
    ("aclose in the middle of a turn", "chat"): both(
        ["assistant (generation 1): Once "],
        ["assistant (generation 1, interrupted): Once "],
        CUT_OFF,
    ),
    ("audio before the server is ready", "audio_ms"): both(200.0, 280.0, EARLY_AUDIO),
    ("stereo audio", "audio_ms"): both(2000.0, 1000.0, DOWNMIX),
    ("audio at 24 khz", "audio_ms"): former(960.0, 980.0, SOONER),
    ("audio at 48 khz", "audio_ms"): current(960.0, 980.0, SOONER),
    ("audio whose rate changes", "audio_ms"): each(1500.0, 1460.0, 2100.0, NO_LOSS),
    ("one deprecated language", "config.recognized_languages"): former(["da"], ABSENT, LANGUAGES),
    ("one deprecated language", "config.default_language"): former(ABSENT, "da", LANGUAGES),
    ("one deprecated language", "config.additional_languages"): both(ABSENT, [], LANGUAGES),
    ("a reply given up before it is sent", "sent"): former(
        [{"type": "generate_reply", "system_message": "Greet."}], [], WITHDRAWN
    ),
    ("a reply given up before it is sent", "events"): former(["generation 1"], [], ONE_REPLY),
    ("a reply given up before it is sent", "generations"): former(
        ["'' b'' asked for"], [], ONE_REPLY
    ),
    ("a reply given up before it is sent", "replies"): former(
        ["generation 1 at once"], ["cancelled later"], ONE_REPLY
    ),
    ("a reply given up after it was sent", "events"): former(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("a reply given up after it was sent", "generations"): former(
        ["'' b'' asked for", "'Hello.' b'ab'"], ["'Hello.' b'ab'"], ONE_REPLY
    ),
    ("a reply given up after it was sent", "chat"): former(
        ["assistant (generation 2): Hello."], ["assistant (generation 1): Hello."], ONE_REPLY
    ),
    ("a reply given up after it was sent", "replies"): former(
        ["generation 1 at once"], ["cancelled later"], ONE_REPLY
    ),
    ("two replies asked for before the server is ready", "events"): former(
        ["generation 1", "generation 2", "generation 3"], ["generation 1"], ONE_REPLY
    ),
    ("two replies asked for before the server is ready", "generations"): former(
        ["'' b'' asked for", "'' b'' asked for", "'Hello.' b'ab'"],
        ["'Hello.' b'ab' asked for"],
        ONE_REPLY,
    ),
    ("two replies asked for before the server is ready", "chat"): former(
        ["assistant (generation 3): Hello."], ["assistant (generation 1): Hello."], ONE_REPLY
    ),
    ("two replies asked for before the server is ready", "replies"): former(
        ["generation 1 at once", "generation 2 at once"],
        ["cancelled later", "generation 1 later"],
        SUPERSEDED,
    ),
    ("a message of the user and a reply with instructions", "sent"): each(
        [
            {"type": "generate_reply", "system_message": "Be brief."},
            {"type": "generate_reply", "system_message": None},
        ],
        [
            {
                "type": "generate_reply",
                "system_message": "Be brief.\n\n" + as_a_prompt("I typed this."),
            },
            {"type": "generate_reply", "system_message": None},
        ],
        [
            {
                "type": "generate_reply",
                "system_message": "Be brief.",
                "user_message": "I typed this.",
            },
            {"type": "generate_reply"},
        ],
        TYPED,
    ),
    ("a message of the user and a reply with instructions", "events"): former(
        ["generation 1", "generation 2", "generation 3", "generation 4"],
        ["generation 1", "generation 2"],
        ONE_REPLY,
    ),
    ("a message of the user and a reply with instructions", "generations"): former(
        ["'' b'' asked for", "'I read it.' b'ab'", "'' b'' asked for", "'Go on.' b'ab'"],
        ["'I read it.' b'ab' asked for", "'Go on.' b'ab' asked for"],
        ONE_REPLY,
    ),
    ("a message of the user and a reply with instructions", "chat"): former(
        [
            "user (added): I typed this.",
            "assistant (generation 2): I read it.",
            "assistant (generation 4): Go on.",
        ],
        [
            "user (added): I typed this.",
            "assistant (generation 1): I read it.",
            "assistant (generation 2): Go on.",
        ],
        ONE_REPLY,
    ),
    ("a message of the user and a reply with instructions", "replies"): former(
        ["generation 1 at once", "generation 3 at once"],
        ["generation 1 later", "generation 2 later"],
        ONE_REPLY,
    ),
    ("two messages of the user and a reply", "sent"): each(
        [{"type": "generate_reply", "system_message": "Be brief."}],
        [
            {
                "type": "generate_reply",
                "system_message": "Be brief.\n\n" + as_a_prompt("And this."),
            }
        ],
        [
            {
                "type": "generate_reply",
                "system_message": "Be brief.",
                "user_message": "I typed this.\nAnd this.",
            }
        ],
        TYPED,
    ),
    ("two messages of the user and a reply", "events"): former(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("two messages of the user and a reply", "generations"): former(
        ["'' b'' asked for", "'I read it.' b'ab'"], ["'I read it.' b'ab' asked for"], ONE_REPLY
    ),
    ("two messages of the user and a reply", "chat"): former(
        [
            "user (one): I typed this.",
            "user (two): And this.",
            "assistant (generation 2): I read it.",
        ],
        [
            "user (one): I typed this.",
            "user (two): And this.",
            "assistant (generation 1): I read it.",
        ],
        ONE_REPLY,
    ),
    ("two messages of the user and a reply", "replies"): former(
        ["generation 1 at once"], ["generation 1 later"], ONE_REPLY
    ),
    ("a reply asked for after the end", "events"): former(["generation 1"], [], NEVER_HANGS),
    ("a reply asked for after the end", "generations"): former(
        ["'' b'' asked for"], [], NEVER_HANGS
    ),
    ("a reply asked for after the end", "replies"): each(
        ["generation 1 at once"], ["cancelled later"], ["ReplyFailed (closed) at once"], NEVER_HANGS
    ),
    ("a message of the user before the caller speaks", "sent"): both(
        [],
        [
            {
                "type": "add_system_message",
                "system_message": render_additions([Message("added", "user", "I typed this.")]),
            }
        ],
        TOLD,
    ),
    ("a message of the assistant", "sent"): both(
        [],
        [
            {
                "type": "add_system_message",
                "system_message": render_additions(
                    [Message("added", "assistant", "I never said this.")]
                ),
            }
        ],
        TOLD,
    ),
    ("a message taken out", "sent"): both([], [{"type": "reset"}], TRUE_PAST),
    ("a message taken out", "resets_welcome"): both(
        [], [{"welcome_message": None, "generate_welcome_message": False}], TRUE_PAST
    ),
    ("a message of the user in the middle of the chat", "sent"): both(
        [{"type": "generate_reply", "system_message": None}],
        [
            {
                "type": "add_system_message",
                "system_message": render_additions(
                    [Message("one", "user", "I typed this."), Message("x", "assistant", "Hm.")]
                ),
            },
            {"type": "generate_reply"},
        ],
        TOLD,
    ),
    ("a message of the user in the middle of the chat", "events"): former(
        ["generation 1", "generation 2"], ["generation 1"], ONE_REPLY
    ),
    ("a message of the user in the middle of the chat", "generations"): former(
        ["'' b'' asked for", "'Yes?' b'ab'"], ["'Yes?' b'ab' asked for"], ONE_REPLY
    ),
    ("a message of the user in the middle of the chat", "chat"): former(
        ["user (one): I typed this.", "assistant (x): Hm.", "assistant (generation 2): Yes?"],
        ["user (one): I typed this.", "assistant (x): Hm.", "assistant (generation 1): Yes?"],
        ONE_REPLY,
    ),
    ("a message of the user in the middle of the chat", "replies"): former(
        ["generation 1 at once"], ["generation 1 later"], ONE_REPLY
    ),
    ("a tool output that wants no reply", "events"): former(
        [
            "generation 1",
            "generation 2",
            "input_speech_started",
            "input_speech_stopped, a transcript follows",
            "final: And?",
            "generation 3",
        ],
        [
            "generation 1",
            "input_speech_started",
            "input_speech_stopped, a transcript follows",
            "final: And?",
            "generation 2",
        ],
        NO_ANSWER_DUE,
    ),
    ("a tool output that wants no reply", "generations"): former(
        [
            '\'Let me see.\' b\'ab\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'' b''",
            "'It is sunny.' b'ab'",
        ],
        [
            '\'Let me see.\' b\'ab\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'It is sunny.' b'ab'",
        ],
        NO_ANSWER_DUE,
    ),
    ("a tool output that wants no reply", "chat"): each(
        [
            "assistant (generation 1): Let me see.",
            "output call_1: sunny",
            "user (its transcript): And?",
            "assistant (generation 3): It is sunny.",
        ],
        [
            "assistant (generation 1): Let me see.",
            "output call_1: sunny",
            "user (its transcript): And?",
            "assistant (generation 2): It is sunny.",
        ],
        [
            "assistant (generation 1): Let me see.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "user (its transcript): And?",
            "assistant (generation 2): It is sunny.",
        ],
        CALL_KEPT,
    ),
    ("config with every option of today", "config.phonic_model"): current(
        "phonic_v1_1", "phonic-1.1", NAMES_OF_TODAY
    ),
    ("saying nothing", "sent"): current([{"type": "say", "text": " "}], [], NOTHING_SAID),
    ("saying nothing", "replies"): current(
        ["cancelled later"], ["ReplyFailed (blank) at once"], NOTHING_SAID
    ),
    ("saying something while the assistant speaks", "events"): current(
        ["generation 1", "generation 2", "generation 3"],
        ["generation 1", "generation 2"],
        TURN_GOES_ON,
    ),
    ("saying something while the assistant speaks", "generations"): current(
        ["'Once ' b'ab'", "'upon' b'ab' asked for", "'Hold the line.' b'ab'"],
        ["'Once upon' b'abab'", "'Hold the line.' b'ab' asked for"],
        TURN_GOES_ON,
    ),
    ("saying something while the assistant speaks", "chat"): current(
        [
            "assistant (generation 1): Once ",
            "assistant (generation 2): upon",
            "assistant (generation 3): Hold the line.",
        ],
        ["assistant (generation 1): Once upon", "assistant (generation 2): Hold the line."],
        TURN_GOES_ON,
    ),
    ("saying something after a message of the user", "sent"): current(
        [
            {"type": "say", "text": "Hold the line."},
            {"type": "generate_reply", "system_message": None},
        ],
        [
            {
                "type": "add_system_message",
                "system_message": render_additions([Message("added", "user", "I typed this.")]),
            },
            {"type": "say", "text": "Hold the line."},
            {"type": "generate_reply"},
        ],
        TOLD,
    ),
    ("saying something after a message of the user", "replies"): current(
        ["generation 1 later", "cancelled later"],
        ["generation 1 later", "ReplyFailed (closed) later"],
        NEVER_HANGS,
    ),
    ("something said and given up", "sent"): current(
        [{"type": "say", "text": "Hold the line."}], [], WITHDRAWN
    ),
    ("the output of a tool without speech", "events"): current(
        [
            "generation 1",
            "input_speech_started",
            "input_speech_stopped, a transcript follows",
            "final: And?",
            "generation 2",
        ],
        [
            "generation 1",
            "generation 2",
            "input_speech_started",
            "input_speech_stopped, a transcript follows",
            "final: And?",
            "generation 3",
        ],
        SILENT_TOOL,
    ),
    ("the output of a tool without speech", "generations"): current(
        [
            '\'Let me see.\' b\'ab\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'It is sunny.' b'ab'",
        ],
        [
            '\'Let me see.\' b\'ab\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'' b''",
            "'It is sunny.' b'ab'",
        ],
        SILENT_TOOL,
    ),
    ("the output of a tool without speech", "chat"): current(
        [
            "assistant (generation 1): Let me see.",
            "output call_1: sunny",
            "user (its transcript): And?",
            "assistant (generation 2): It is sunny.",
        ],
        [
            "assistant (generation 1): Let me see.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "user (its transcript): And?",
            "assistant (generation 3): It is sunny.",
        ],
        CALL_KEPT,
    ),
    ("chained tool calls", "events"): current(
        ["generation 1", "generation 2", "generation 3", "generation 4"],
        ["generation 1", "generation 2", "generation 3"],
        REUSED,
    ),
    ("chained tool calls", "generations"): current(
        [
            '\'\' b\'\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            '\'\' b\'\' get_weather call_2 {"city": "\\u00c5rhus", "days": 2}',
            "'' b''",
            "'It is sunny.' b'ab'",
        ],
        [
            '\'\' b\'\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            '\'\' b\'\' get_weather call_2 {"city": "\\u00c5rhus", "days": 2}',
            "'It is sunny.' b'ab'",
        ],
        REUSED,
    ),
    ("chained tool calls", "chat"): current(
        ["output call_1: sunny", "output call_2: sunny", "assistant (generation 4): It is sunny."],
        [
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            'call call_2: get_weather {"city":"Århus","days":2}',
            "output call_2: sunny",
            "assistant (generation 3): It is sunny.",
        ],
        CALL_KEPT,
    ),
    ("an option changed after a welcome", "resets_welcome"): current(
        [{"welcome_message": "Hello!"}],
        [{"welcome_message": None, "generate_welcome_message": False}],
        ONE_WELCOME,
    ),
    ("another welcome", "resets_welcome"): current(
        [{"welcome_message": "Welcome back!"}],
        [{"welcome_message": None, "generate_welcome_message": False}],
        ONE_WELCOME,
    ),
    ("an option changed after a message of the user", "sent"): current(
        [
            {"type": "reset", "history": ["user: I typed this."], "voice_id": "sabrina"},
            {"type": "generate_reply", "system_message": "Be brief."},
        ],
        [
            {"type": "reset", "voice_id": "sabrina"},
            {
                "type": "generate_reply",
                "system_message": "Be brief.",
                "user_message": "I typed this.",
            },
        ],
        KEPT_TYPED,
    ),
    ("an option changed after a message of the user", "history_as"): current(
        ["plain lines"], [], KEPT_TYPED
    ),
    ("an option changed while a call is pending", "sent"): current(
        [
            {"type": "reset", "history": ["assistant: Let me see."], "voice_id": "sabrina"},
            {"type": "tool_call_output", "tool_call_id": "call_1", "output": "sunny"},
        ],
        [
            STILL_RUNNING,
            {
                "type": "reset",
                "history": [
                    "assistant: Let me see.",
                    {
                        "tool_call": "get_weather",
                        "id": "call_1",
                        "arguments": '{"city":"Århus","days":2}',
                        "status": "no output yet",
                    },
                ],
                "voice_id": "sabrina",
            },
            *in_words("call_1", "sunny"),
            {"type": "generate_reply"},
        ],
        CALL_OVER,
    ),
    ("an option changed while a call is pending", "events"): current(
        ["generation 1", "generation 2", "generation 3"], ["generation 1", "generation 2"], REUSED
    ),
    ("an option changed while a call is pending", "generations"): current(
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
    ("an option changed while a call is pending", "chat"): current(
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
    ("an option changed while the assistant speaks", "sent"): current(
        [{"type": "reset", "history": ["assistant: Once "], "voice_id": "sabrina"}],
        [
            {
                "type": "reset",
                "history": [{"role": "assistant", "text": "Once ", "interrupted": True}],
                "voice_id": "sabrina",
            }
        ],
        CUT_OFF,
    ),
    ("another agent with an empty chat", "sent"): current(
        [{"type": "reset", "system_prompt": "You do the billing.", "tools": ABSENT}],
        [{"type": "reset", "system_prompt": "You do the billing.", "tools": []}],
        NO_TOOLS,
    ),
    ("another agent after a tool call", "sent"): current(
        [
            {"type": "tool_call_output", "tool_call_id": "call_1", "output": "sunny"},
            {
                "type": "reset",
                "history": ["assistant: One moment."],
                "system_prompt": "You do the billing.",
            },
        ],
        [
            {"type": "tool_call_output", "tool_call_id": "call_1", "output": "sunny"},
            {
                "type": "reset",
                "history": [
                    "assistant: One moment.",
                    {
                        "tool_call": "get_weather",
                        "id": "call_1",
                        "arguments": '{"city":"Århus","days":2}',
                    },
                    {"tool_output": "get_weather", "id": "call_1", "output": "sunny"},
                ],
                "system_prompt": "You do the billing.",
            },
        ],
        CALLS_TOO,
    ),
    ("another agent after a tool call", "chat"): current(
        [
            "assistant (generation 1): One moment.",
            "output call_1: sunny",
            "assistant (generation 3): Billing.",
        ],
        [
            "assistant (generation 1): One moment.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny",
            "assistant (generation 3): Billing.",
        ],
        CALL_KEPT,
    ),
    ("another agent with other instructions only", "sent"): current(
        [{"type": "reset", "system_prompt": "You do the billing."}],
        [{"type": "update_system_prompt", "system_prompt": "You do the billing."}],
        MID_SESSION,
    ),
    ("another agent with other instructions only", "resets_welcome"): current(
        [{}], [], MID_SESSION
    ),
    ("another agent while a call is pending", "sent"): current(
        [
            {"type": "reset", "system_prompt": "You do the billing."},
            {"type": "tool_call_output", "tool_call_id": "call_1", "output": "sunny"},
        ],
        [
            STILL_RUNNING,
            {"type": "reset", "system_prompt": "You do the billing."},
            *in_words("call_1", "sunny"),
            {"type": "generate_reply"},
        ],
        CALL_OVER,
    ),
    ("another agent while a call is pending", "events"): current(
        ["generation 1", "generation 2", "generation 3"],
        ["generation 1", "generation 2"],
        CALL_OVER,
    ),
    ("another agent while a call is pending", "generations"): current(
        [
            '\'Let me see.\' b\'ab\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'' b''",
            "'Billing.' b'ab'",
        ],
        [
            '\'Let me see.\' b\'ab\' get_weather call_1 {"city": "\\u00c5rhus", "days": 2}',
            "'Billing.' b'ab'",
        ],
        CALL_OVER,
    ),
    ("another agent while a call is pending", "chat"): current(
        ["output call_1: sunny", "assistant (generation 3): Billing."],
        ["output call_1: sunny", "assistant (generation 2): Billing."],
        CALL_OVER,
    ),
    ("a caller without a microphone", "silence_sent"): both(False, True, STREAMS),
    ("a microphone that is switched off in mid word", "silence_sent"): both(False, True, STREAMS),
    ("a caller who holds a button", "config.push_to_talk"): current(ABSENT, True, PUSH_TO_TALK),
    ("a caller who holds a button", "sent"): current(
        [], [{"type": "unmute"}, {"type": "mute"}], PUSH_TO_TALK
    ),
    ("a caller who holds a button", "silence_sent"): current(False, True, STREAMS),
    ("a tool with a schema of its own", "config.tools"): both(
        [
            weather_tool(
                {
                    "type": "object",
                    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                    "required": ["city"],
                }
            )
        ],
        [
            weather_tool(
                {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string"},
                        "days": {"type": ["integer", "null"]},
                    },
                    "required": ["city", "days"],
                    "additionalProperties": False,
                }
            )
        ],
        CLOSED_SCHEMA,
    ),
    ("an answer that stalls", "events"): both(
        ["generation 1", "1 generation(s) open after 25 s", "final: Hello?"],
        ["generation 1", "0 generation(s) open after 25 s", "final: Hello?"],
        STALLED,
    ),
    ("an answer that stalls", "chat"): both(
        ["user (its transcript): Hello?", "assistant (generation 1): Well"],
        ["assistant (generation 1, interrupted): Well", "user (its transcript): Hello?"],
        STALLED,
    ),
    ("a chunk on its way at a handoff", "sent"): current(
        [{"type": "reset", "system_prompt": "You do the billing.", "tools": ABSENT}],
        [{"type": "reset", "system_prompt": "You do the billing.", "tools": []}],
        NO_TOOLS,
    ),
    ("a chunk on its way at a handoff", "events"): current(
        ["generation 1", "generation 2", "generation 3"], ["generation 1", "generation 2"], STALE
    ),
    ("a chunk on its way at a handoff", "generations"): current(
        ["'Once' b'ab'", "' upon' b'ab'", "'Billing.' b'ab'"],
        ["'Once' b'ab'", "'Billing.' b'ab'"],
        STALE,
    ),
    ("a chunk on its way at a handoff", "chat"): current(
        [
            "assistant (generation 2, interrupted):  upon",
            "assistant (generation 3): Billing.",
        ],
        ["assistant (generation 2): Billing."],
        STALE,
    ),
    ("a value that is no number", "sent"): current(
        [{"type": "reset", "vad_threshold": float("inf")}], [], CHECKED
    ),
    ("a value that is no number", "resets_welcome"): current([{}], [], CHECKED),
    ("a value that is no number", "raised"): current([], ["update_options: ValueError"], CHECKED),
    ("a value that phonic does not know", "sent"): current(
        [{"type": "reset", "multilingual_mode": "sometimes"}], [], CHECKED
    ),
    ("a value that phonic does not know", "resets_welcome"): current([{}], [], CHECKED),
    ("a value that phonic does not know", "raised"): current(
        [], ["update_options: ValueError"], CHECKED
    ),
    ("a key that is refused", "events"): both(
        ["unrecoverable error: a text with the key in it"],
        [
            "unrecoverable error: Phonic refused the connection with HTTP 401: the API key is not "
            "valid; check api_key or PHONIC_API_KEY"
        ],
        KEPT_SECRET,
    ),
    ("a key that is refused", "key_in_log"): both(True, False, KEPT_SECRET),
    ("a key with a line break at its end", "events"): both(
        ["unrecoverable error: a text with the key in it"], [], KEPT_SECRET
    ),
    ("a key with a line break at its end", "key_in_log"): both(True, False, KEPT_SECRET),
    ("a proxy", "events"): both(
        ["unrecoverable error: [Errno 101] Network is unreachable"], [], PROXIES
    ),
    ("a message that lacks a field", "events"): both(
        [
            "generation 1",
            "recoverable error: 'NoneType' object has no attribute 'message'",
            "unrecoverable error: 'NoneType' object has no attribute 'message'",
        ],
        ["generation 1", "generation 2"],
        ODD_MESSAGE,
    ),
    ("a message that lacks a field", "generations"): both(
        ["'Hello.' b'ab'"], ["'Hello.' b'ab'", "'Hello again.' b'ab'"], ODD_MESSAGE
    ),
    ("a message that lacks a field", "chat"): both(
        ["assistant (generation 1): Hello."],
        ["assistant (generation 1): Hello.", "assistant (generation 2): Hello again."],
        ODD_MESSAGE,
    ),
    ("a message that is no object", "events"): both(
        [
            "generation 1",
            "recoverable error: 'NoneType' object has no attribute 'type'",
            "unrecoverable error: 'NoneType' object has no attribute 'type'",
        ],
        ["generation 1", "generation 2"],
        ODD_MESSAGE,
    ),
    ("a message that is no object", "generations"): both(
        ["'Hello.' b'ab'"], ["'Hello.' b'ab'", "'Hello again.' b'ab'"], ODD_MESSAGE
    ),
    ("a message that is no object", "chat"): both(
        ["assistant (generation 1): Hello."],
        ["assistant (generation 1): Hello.", "assistant (generation 2): Hello again."],
        ODD_MESSAGE,
    ),
    ("a message with more values than any has", "events"): both(["generation 1"], [], MANY_VALUES),
    ("a message with more values than any has", "generations"): both(
        ["'' b'' get_weather call_1 800,012 long"], [], MANY_VALUES
    ),
    ("a warning of half a megabyte", "log_flooded"): both(True, False, SHORT_LINES),
    ("an answer that never ends", "generations"): both(
        ["'60,000 long' b''"], ["'50,000 long' b''"], LONG_ANSWER
    ),
    ("an answer that never ends", "chat"): both(
        ["assistant (generation 1): 60,000 long"],
        ["assistant (generation 1, interrupted): 50,000 long"],
        LONG_ANSWER,
    ),
    ("a server that reads too slowly", "fell_behind"): both(True, False, NEWEST_AUDIO),
    ("half a character in a tool output", "sent"): both(
        [
            {
                "type": "tool_call_output",
                "tool_call_id": "call_1",
                "output": "sunny half a character",
            }
        ],
        [{"type": "tool_call_output", "tool_call_id": "call_1", "output": "sunny ?"}],
        WHOLE_CHARACTERS,
    ),
    ("half a character in a tool output", "chat"): both(
        ["assistant (generation 1): Let me see.", "output call_1: sunny half a character"],
        [
            "assistant (generation 1): Let me see.",
            'call call_1: get_weather {"city":"Århus","days":2}',
            "output call_1: sunny half a character",
        ],
        CALL_KEPT,
    ),
    ("half a character in an option", "sent"): current([{"type": "reset"}], [], WHOLE_CHARACTERS),
    ("half a character in an option", "resets_welcome"): current(
        [{"welcome_message": "Hello half a character"}], [], WHOLE_CHARACTERS
    ),
    ("half a character in an option", "raised"): current(
        [], ["update_options: ValueError"], WHOLE_CHARACTERS
    ),
}
"""(scenario, aspect) → what the plugin does, what this package does, and why."""
