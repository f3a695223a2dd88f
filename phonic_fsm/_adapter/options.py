"""The table of Phonic's options: names, types, ranges and meanings.

Each entry of ``PhonicOptions`` is an option of the constructor and of ``update_options``. Code that
checks, sends or documents options reads this table; ``config`` checks them. The string below an
entry says what the option means, and editors show it. ``python docs/generate.py`` writes what
``Option`` says to its end, in brackets. It also writes the lists of options in docstrings and on
the page about options.

Ranges, steps and defaults come from Phonic's REST API (the schema of an agent) and its published
protocol (the message ``config``).
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from livekit.agents import NotGiven, NotGivenOr
from msgspec import Struct
from typing_extensions import Required, TypedDict

from .tools import PhonicToolConfig

IntelligenceLevel = Literal["standard", "high"]
"""Values of the option ``intelligence_level``."""

ObservabilityIntegration = Literal["braintrust"]
"""Values of the option ``observability_integrations``."""

PhonicModel = Literal[
    "phonic-0.5", "phonic-1", "phonic-1.1", "phonic_v0_5", "phonic_v1", "phonic_v1_1"
]
"""Values of the option ``phonic_model``; those with underscores are former names."""


class PronunciationEntry(TypedDict):
    """An entry of the option ``pronunciation_dictionary``: a word, and how it is spoken."""

    word: str
    pronunciation: str


class ConfigurationEndpoint(TypedDict, total=False):
    """The option ``configuration_endpoint``; ``url`` is required.

    The values of ``headers`` are masked in traces.
    """

    url: Required[str]
    """HTTPS, without credentials in it."""
    headers: dict[str, str]
    timeout_ms: int
    """How long Phonic waits for the answer (ms). [default: 3000]"""


class Task(TypedDict):
    """An entry of the option ``tasks``: something that the assistant should get done."""

    name: str
    description: str


class OutboundNumberPool(TypedDict):
    """The option ``outbound_number_pool``: phone numbers in E.164 form, such as ``+15550100``."""

    active: list[str]
    """Numbers that outbound calls may come from; each is listed once."""
    blocked: list[str]
    """Numbers that outbound calls must not come from."""


class RetentionPeriod(TypedDict):
    """How long one kind of data is kept."""

    delete_after_hours: int | None
    """``None`` keeps it for ever."""


class DataRetentionPolicy(TypedDict, total=False):
    """The option ``data_retention_policy``.

    Either ``{"zero_data_retention": True}``, or ``False`` together with both periods.
    """

    zero_data_retention: Required[bool]
    transcripts: RetentionPeriod
    audio_recordings: RetentionPeriod


class Option(Struct, frozen=True):
    """What the table says about an option beside its type and meaning."""

    wire: str = ""
    """The name of the field in Phonic's config, if it differs from the option's."""
    unit: str = ""
    least: float | None = None
    """A smaller value makes no sense and is refused."""
    most: float | None = None
    """A larger value makes no sense and is refused."""
    documented: tuple[float, float] | None = None
    """The range that Phonic documents. A value outside it is sent, with a warning."""
    step: float | None = None
    """Phonic documents multiples of this. Another value is sent, with a warning."""
    default: str = ""
    """What Phonic uses if neither this option nor the Phonic agent sets a value."""
    unique: str | None = None
    """No two elements of the list may be equal. For dictionaries: no two values of this key."""
    aliases: dict[str, str] = {}
    """Former names of values."""


class PhonicOptions(TypedDict, total=False):
    """The options of a conversation. One that is left out is not sent: Phonic's own setting holds.

    Use it in annotations: ``def make(**options: Unpack[PhonicOptions]) -> RealtimeModel``.
    """

    phonic_agent: Annotated[NotGivenOr[str], Option("agent")]
    """Name of the Phonic agent; the other options override its settings."""

    voice: Annotated[NotGivenOr[str], Option("voice_id", default="sabrina")]
    """Id of the assistant's voice. [default: sabrina]"""

    additional_voice_ids: Annotated[NotGivenOr[list[str]], Option(unique="")]
    """Ids of further voices: each conversation gets ``voice`` or one of these, at random."""

    welcome_message: Annotated[NotGivenOr[str | None], Option()]
    """What the assistant says first; ignored with ``generate_welcome_message``. May hold template
    variables."""

    generate_welcome_message: Annotated[NotGivenOr[bool | None], Option(default="False")]
    """Whether Phonic makes up the welcome message. [default: False]"""

    is_welcome_message_interruptible: Annotated[NotGivenOr[bool], Option(default="True")]
    """Whether the caller can interrupt the welcome message. [default: True]"""

    project: Annotated[NotGivenOr[str | None], Option(default="main")]
    """Name of the Phonic project. [default: main]"""

    default_language: Annotated[NotGivenOr[str], Option(default="en")]
    """ISO 639-1 code of the language that the assistant speaks first. [default: en]"""

    additional_languages: Annotated[NotGivenOr[list[str]], Option(unique="")]
    """ISO 639-1 codes of further languages, without the default one; at most two with
    ``multilingual_mode="auto"``."""

    multilingual_mode: Annotated[
        NotGivenOr[Literal["auto", "request", "initial"]], Option(default="request")
    ]
    """When the language changes: with every utterance (``auto``), when the caller asks for it
    (``request``, which Phonic recommends), or once, by the caller's first turn (``initial``).
    [auto, request or initial; default: request]"""

    languages: Annotated[NotGivenOr[list[str]], Option("default_language")]
    """Deprecated: the default language, followed by the additional ones."""

    audio_speed: Annotated[
        NotGivenOr[float], Option(least=0, documented=(0.5, 1.5), step=0.1, default="1")
    ]
    """How fast the assistant speaks, as a factor. [0.5 to 1.5; in steps of 0.1; default: 1]"""

    phonic_tools: Annotated[NotGivenOr[list[str]], Option("tools", unique="")]
    """Names of tools that run at Phonic: webhooks, and the built-in ones."""

    configs_for_tools: Annotated[NotGivenOr[list[PhonicToolConfig]], Option("tools", unique="name")]
    """Settings of single tools, your own and built-in ones, each with the tool's ``name``."""

    forbid_speech_after_tool_call: Annotated[NotGivenOr[list[str]], Option("tools")]
    """Deprecated: names of tools; use the field of this name in ``configs_for_tools``."""

    boosted_keywords: Annotated[NotGivenOr[list[str]], Option()]
    """Words and short phrases that speech recognition should expect."""

    min_words_to_interrupt: Annotated[
        NotGivenOr[int], Option(unit="words", least=0, documented=(1, 10), default="1")
    ]
    """How many words the caller must say to interrupt the assistant. [1 to 10 words; default: 1]"""

    generate_no_input_poke_text: Annotated[NotGivenOr[bool], Option(default="False")]
    """Whether Phonic makes up what the assistant says to a silent caller. [default: False]"""

    no_input_poke_sec: Annotated[
        NotGivenOr[float | None], Option(unit="whole seconds", least=0, step=1)
    ]
    """After how much silence the assistant speaks to the caller; ``None`` switches this off. [whole
    seconds]"""

    no_input_poke_text: Annotated[NotGivenOr[str], Option(default="Are you still there?")]
    """What the assistant says to a silent caller; ignored with ``generate_no_input_poke_text``.
    [default: Are you still there?]"""

    no_input_end_conversation_sec: Annotated[
        NotGivenOr[float], Option(unit="whole seconds", least=0, step=1, default="180")
    ]
    """After how much silence Phonic ends the conversation. [whole seconds; default: 180]"""

    websocket_timeout_sec: Annotated[
        NotGivenOr[int], Option(unit="seconds", least=0, documented=(1, 300), default="60")
    ]
    """After how long without audio Phonic closes the connection. [1 to 300 seconds; default: 60]"""

    intelligence_level: Annotated[NotGivenOr[IntelligenceLevel], Option(default="standard")]
    """``standard`` answers sooner, ``high`` reasons better. [standard or high; default:
    standard]"""

    phonic_model: Annotated[
        NotGivenOr[PhonicModel],
        Option(
            aliases={
                "phonic_v0_5": "phonic-0.5",
                "phonic_v1": "phonic-1",
                "phonic_v1_1": "phonic-1.1",
            }
        ),
    ]
    """Version of Phonic's model; Phonic's current one if left out. [phonic-0.5, phonic-1 or
    phonic-1.1]"""

    model: Annotated[NotGivenOr[Literal["merritt"]], Option(default="merritt")]
    """Phonic's speech-to-speech engine. [merritt; default: merritt]"""

    vad_prebuffer_duration_ms: Annotated[
        NotGivenOr[int], Option(unit="ms", least=0, documented=(0, 2000), default="500")
    ]
    """How much audio from before the detected start of speech is listened to. [0 to 2000 ms;
    default: 500]"""

    vad_min_speech_duration_ms: Annotated[
        NotGivenOr[int], Option(unit="ms", least=0, documented=(0, 1500), default="50")
    ]
    """How long a sound must last to count as speech. [0 to 1500 ms; default: 50]"""

    vad_min_silence_duration_ms: Annotated[
        NotGivenOr[int], Option(unit="ms", least=0, documented=(0, 1500), default="800")
    ]
    """How much silence ends the caller's turn. [0 to 1500 ms; default: 800]"""

    vad_threshold: Annotated[
        NotGivenOr[float], Option(least=0, most=1, documented=(0.2, 0.8), default="0.38")
    ]
    """How sure the speech detector must be: a lower value takes more sounds for speech. [0.2 to
    0.8; default: 0.38]"""

    push_to_talk: Annotated[NotGivenOr[bool], Option(default="False")]
    """Whether LiveKit says when the caller's turn begins and ends. LiveKit sets it for
    ``turn_detection="manual"``. [default: False]"""

    enable_assistant_backchannel: Annotated[NotGivenOr[bool], Option(default="False")]
    """Whether the assistant says “mm-hmm” and the like while the caller speaks. [default: False]"""

    assistant_backchannel_aggressiveness: Annotated[
        NotGivenOr[float], Option(least=0, documented=(0, 1), step=0.01, default="0.1")
    ]
    """How readily the assistant says such words, where they are enabled. [0 to 1; in steps of 0.01;
    default: 0.1]"""

    background_noise: Annotated[
        NotGivenOr[Literal["office", "call-center", "coffee-shop"] | None], Option()
    ]
    """What is heard behind the assistant's voice; ``None`` for nothing. [office, call-center or
    coffee-shop]"""

    background_noise_level: Annotated[
        NotGivenOr[float], Option(least=0, documented=(0, 0.25), default="0")
    ]
    """How loud the background noise is. [0 to 0.25; default: 0]"""

    pronunciation_dictionary: Annotated[NotGivenOr[list[PronunciationEntry]], Option(unique="word")]
    """How words are spoken: ``{word, pronunciation}`` entries, up to 1000, each word once and of up
    to 30 characters, its pronunciation of up to 50."""

    template_variables: Annotated[NotGivenOr[dict[str, str]], Option()]
    """Values for ``{{name}}`` in the instructions and the welcome message."""

    tasks: Annotated[NotGivenOr[list[Task]], Option(unique="name")]
    """What the assistant should get done: ``{name, description}`` entries."""

    mcp_servers: Annotated[NotGivenOr[list[str]], Option(unique="")]
    """Names of MCP servers that are set up at Phonic."""

    observability_integrations: Annotated[
        NotGivenOr[list[ObservabilityIntegration]], Option(unique="")
    ]
    """Services that Phonic sends traces of the conversation to. [braintrust]"""

    configuration_endpoint: Annotated[NotGivenOr[ConfigurationEndpoint | None], Option()]
    """``{url, headers, timeout_ms}`` of an HTTPS endpoint of yours that Phonic asks for the options
    of each conversation."""

    outbound_number_pool: Annotated[NotGivenOr[OutboundNumberPool | None], Option()]
    """``{active, blocked}``: the phone numbers (E.164) that outbound calls come from, and never
    come from."""

    external_id: Annotated[NotGivenOr[str], Option()]
    """Your own id for the conversation, which Phonic stores with it; not blank."""

    enable_redaction: Annotated[NotGivenOr[bool], Option(default="False")]
    """Whether Phonic takes personal data out of transcripts and recordings. [default: False]"""

    enable_watermarking: Annotated[NotGivenOr[bool], Option()]
    """Whether the assistant's audio carries a watermark that cannot be heard."""

    data_retention_policy: Annotated[NotGivenOr[DataRetentionPolicy], Option()]
    """How long Phonic keeps transcripts and recordings: ``{zero_data_retention: True}``, or
    ``False`` with ``transcripts`` and ``audio_recordings``, each ``{delete_after_hours}``."""

    external_storage_policy: Annotated[NotGivenOr[str | None], Option()]
    """Name of the policy by which Phonic delivers what it does not keep. Needs
    ``zero_data_retention``, and excludes ``enable_redaction``."""

    additional_params: Annotated[NotGivenOr[dict[str, Any]], Option()]
    """Further parameters, passed on to Phonic as they are; JSON values."""

    stream_ahead_of_real_time: Annotated[NotGivenOr[bool], Option()]
    """Whether audio arrives as fast as it is made, which is the default here, or at the pace at
    which it is spoken."""


_HINTS = get_type_hints(PhonicOptions, include_extras=True)

OPTIONS: dict[str, Option] = {name: hint.__metadata__[0] for name, hint in _HINTS.items()}
"""The table by name."""


def _without_not_given(hint: Any) -> Any:
    return reduce(or_, (kind for kind in get_args(hint.__origin__) if kind is not NotGiven))


TYPES: dict[str, Any] = {name: _without_not_given(hint) for name, hint in _HINTS.items()}
"""The type of an option's value, once it is given."""


def _choices(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(choice for part in get_args(kind) for choice in _choices(part))


CHOICES: dict[str, tuple[str, ...]] = {
    name: tuple(choice for choice in _choices(kind) if choice not in OPTIONS[name].aliases)
    for name, kind in TYPES.items()
    if _choices(kind)
}
"""All possible values of an option, or all elements of its list, if Phonic names them."""
