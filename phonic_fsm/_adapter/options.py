"""The model's options: the one table of their names, types, checks, descriptions and wire names.

Each line of ``PhonicOptions`` is an option, of the constructor and of ``update_options``. The
README's table is made of these lines too; to add an option, add a line.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from copy import deepcopy
from typing import Annotated, Any, Literal, TypedDict, get_type_hints

import msgspec
from livekit.agents import NotGivenOr
from livekit.agents.utils import is_given
from msgspec import Struct

from .._runtime.log import logger
from .._wire.config import ConfigOptions
from .tools import PhonicToolConfig, ToolConfigs


class Option(Struct, frozen=True):
    """What the table says of an option beside its type."""

    description: str
    wire: str = ""
    """The config's name for it, where that is another."""
    allowed: tuple[str, ...] = ()
    """The only values, or the only elements of a list."""
    least: float | None = None
    most: float | None = None
    unique: str | None = None
    """Elements may not repeat; of dictionaries, the value of this key."""
    aliases: dict[str, str] = {}
    """Former names of values."""


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

    url: str
    headers: dict[str, str]
    timeout_ms: int


class PhonicOptions(TypedDict, total=False):
    """Options of the conversation. One that is left out is not sent."""

    phonic_agent: Annotated[
        NotGivenOr[str],
        Option("Name of the Phonic agent; what is set here overrides its settings.", "agent"),
    ]
    voice: Annotated[NotGivenOr[str], Option("Voice id of the assistant.", "voice_id")]
    additional_voice_ids: Annotated[
        NotGivenOr[list[str]],
        Option("Voices that, with `voice`, form the set that one is drawn from.", unique=""),
    ]
    welcome_message: Annotated[
        NotGivenOr[str | None],
        Option("What the assistant says first; ignored with `generate_welcome_message`."),
    ]
    generate_welcome_message: Annotated[
        NotGivenOr[bool | None], Option("Let Phonic make the welcome message up.")
    ]
    is_welcome_message_interruptible: Annotated[
        NotGivenOr[bool], Option("Whether the caller can interrupt the welcome message.")
    ]
    project: Annotated[NotGivenOr[str | None], Option("Name of the Phonic project.")]
    default_language: Annotated[
        NotGivenOr[str], Option("ISO 639-1 code of the language that is spoken first.")
    ]
    additional_languages: Annotated[
        NotGivenOr[list[str]],
        Option("Further ISO 639-1 codes, without the default one.", unique=""),
    ]
    multilingual_mode: Annotated[
        NotGivenOr[Literal["auto", "request", "initial"]],
        Option(
            "Language by utterance, on request (recommended), or by the first turn.",
            allowed=("auto", "request", "initial"),
        ),
    ]
    languages: Annotated[
        NotGivenOr[list[str]],
        Option("Deprecated: the default language, then the additional ones.", "default_language"),
    ]
    audio_speed: Annotated[NotGivenOr[float], Option("Factor on the assistant's speed.", least=0)]
    phonic_tools: Annotated[
        NotGivenOr[list[str]],
        Option(
            "Names of the tools that Phonic has: webhooks and built-in ones.", "tools", unique=""
        ),
    ]
    configs_for_tools: Annotated[
        NotGivenOr[list[PhonicToolConfig]],
        Option("Settings of single tools, own and built-in, by their `name`.", "tools"),
    ]
    forbid_speech_after_tool_call: Annotated[
        NotGivenOr[list[str]],
        Option("Deprecated: tools with that field set in `configs_for_tools`.", "tools"),
    ]
    boosted_keywords: Annotated[
        NotGivenOr[list[str]], Option("Words that speech recognition should expect.")
    ]
    min_words_to_interrupt: Annotated[
        NotGivenOr[int], Option("Words that the caller must say to interrupt.", least=0)
    ]
    generate_no_input_poke_text: Annotated[
        NotGivenOr[bool], Option("Let Phonic make up what is said to a silent caller.")
    ]
    no_input_poke_sec: Annotated[
        NotGivenOr[float], Option("Seconds of silence until the caller is spoken to.", least=0)
    ]
    no_input_poke_text: Annotated[
        NotGivenOr[str], Option("What is said then; ignored with `generate_no_input_poke_text`.")
    ]
    no_input_end_conversation_sec: Annotated[
        NotGivenOr[float], Option("Seconds of silence until the conversation ends.", least=0)
    ]
    websocket_timeout_sec: Annotated[
        NotGivenOr[int], Option("Seconds of inactivity until Phonic closes the socket.", least=0)
    ]
    intelligence_level: Annotated[
        NotGivenOr[IntelligenceLevel],
        Option("Lower latency, or more reasoning.", allowed=("standard", "high")),
    ]
    phonic_model: Annotated[
        NotGivenOr[PhonicModel],
        Option(
            "Version of Phonic's model.",
            allowed=("phonic-0.5", "phonic-1", "phonic-1.1"),
            aliases={
                "phonic_v0_5": "phonic-0.5",
                "phonic_v1": "phonic-1",
                "phonic_v1_1": "phonic-1.1",
            },
        ),
    ]
    model: Annotated[
        NotGivenOr[Literal["merritt"]], Option("Speech-to-speech engine.", allowed=("merritt",))
    ]
    vad_prebuffer_duration_ms: Annotated[
        NotGivenOr[int], Option("Audio kept from before speech is detected (ms).", least=0)
    ]
    vad_min_speech_duration_ms: Annotated[
        NotGivenOr[int], Option("Shortest sound that counts as speech (ms).", least=0)
    ]
    vad_min_silence_duration_ms: Annotated[
        NotGivenOr[int], Option("Silence that ends the caller's turn (ms).", least=0)
    ]
    vad_threshold: Annotated[
        NotGivenOr[float], Option("How sure detection must be, 0 to 1.", least=0, most=1)
    ]
    push_to_talk: Annotated[
        NotGivenOr[bool],
        Option('Let LiveKit say when the caller\'s turn ends (`turn_detection="manual"`).'),
    ]
    enable_assistant_backchannel: Annotated[
        NotGivenOr[bool], Option("Let the assistant say “mm-hmm” while the caller speaks.")
    ]
    assistant_backchannel_aggressiveness: Annotated[
        NotGivenOr[float], Option("How readily it does.", least=0)
    ]
    background_noise: Annotated[
        NotGivenOr[Literal["office", "call-center", "coffee-shop"] | None],
        Option("Sound behind the voice.", allowed=("office", "call-center", "coffee-shop")),
    ]
    background_noise_level: Annotated[NotGivenOr[float], Option("Its level.", least=0)]
    pronunciation_dictionary: Annotated[
        NotGivenOr[list[PronunciationEntry]],
        Option("`{word, pronunciation}` entries; a word stands once.", unique="word"),
    ]
    template_variables: Annotated[
        NotGivenOr[dict[str, str]],
        Option("Values for `{{name}}` in instructions and welcome message."),
    ]
    tasks: Annotated[
        NotGivenOr[list[dict[str, str]]],
        Option("`{name, description}` of what the assistant should get done.", unique="name"),
    ]
    mcp_servers: Annotated[
        NotGivenOr[list[str]], Option("Names of MCP servers that Phonic has.", unique="")
    ]
    observability_integrations: Annotated[
        NotGivenOr[list[ObservabilityIntegration]],
        Option("Integrations that get Phonic's traces.", allowed=("braintrust",), unique=""),
    ]
    configuration_endpoint: Annotated[
        NotGivenOr[ConfigurationEndpoint | None],
        Option(
            "`{url, headers, timeout_ms}` that Phonic asks for the config of each conversation."
        ),
    ]
    outbound_number_pool: Annotated[
        NotGivenOr[dict[str, list[str]] | None],
        Option("`{active, blocked}`: E.164 numbers for outbound calls."),
    ]
    external_id: Annotated[
        NotGivenOr[str], Option("Your own id of the conversation, stored with it.")
    ]
    enable_redaction: Annotated[
        NotGivenOr[bool], Option("Redact personal data from transcripts and recordings.")
    ]
    enable_watermarking: Annotated[
        NotGivenOr[bool], Option("Put an inaudible watermark into the assistant's audio.")
    ]
    data_retention_policy: Annotated[
        NotGivenOr[dict[str, Any]], Option("How long Phonic keeps transcripts and recordings.")
    ]
    external_storage_policy: Annotated[
        NotGivenOr[str | None], Option("Where Phonic delivers what it does not keep.")
    ]
    additional_params: Annotated[
        NotGivenOr[dict[str, Any]], Option("Further parameters, passed on as they are.")
    ]
    stream_ahead_of_real_time: Annotated[
        NotGivenOr[bool],
        Option("Send audio as fast as it is made (the default here), not at its pace."),
    ]


OPTIONS: dict[str, Option] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(PhonicOptions, include_extras=True).items()
}
"""The table by name."""

_ABOUT_TOOLS = ("configs_for_tools", "forbid_speech_after_tool_call")


def checked(options: PhonicOptions) -> dict[str, Any]:
    """The options that are given, each checked and copied.

    Raises:
        TypeError: there is no such option.
        ValueError: an option has a value that Phonic cannot take; it is named, and what can be.
    """
    given: dict[str, Any] = {}
    for name, value in options.items():
        if name not in OPTIONS:
            raise TypeError(f"there is no option {name!r}")
        if is_given(value):
            # A copy: what the caller does with a list later changes no session.
            given[name] = OPTIONS[name].aliases.get(str(value), deepcopy(value))
    if "languages" in given:
        languages = _from_languages(given.pop("languages"))
        if not given.keys() & languages.keys():
            given |= languages
    if "forbid_speech_after_tool_call" in given:
        logger.warning("forbid_speech_after_tool_call is deprecated: use configs_for_tools")
    _convert({n: v for n, v in given.items() if n not in _ABOUT_TOOLS})
    for name in _ABOUT_TOOLS & given.keys():
        given[name] = _of_type(name, given[name])
    for name, value in given.items():
        _check(name, value, OPTIONS[name])
    return given


def to_config(given: dict[str, Any], audio_format: str) -> tuple[ConfigOptions, ToolConfigs]:
    """The config, and the settings of single tools, that checked options ask for.

    Raises:
        ValueError: an additional language is the default one, a voice stands twice, or a tool's
            config is wrong.
    """
    tools = ToolConfigs(given.get("configs_for_tools"), given.get("forbid_speech_after_tool_call"))
    fields = {OPTIONS[n].wire or n: _whole(v) for n, v in given.items() if n not in _ABOUT_TOOLS}
    if "phonic_tools" in given:
        fields["tools"] = tools.phonic(given["phonic_tools"])
    config = ConfigOptions(
        **{
            "input_format": audio_format,
            "output_format": audio_format,
            # LiveKit plays at its own pace; what comes early does not stutter.
            "stream_ahead_of_real_time": True,
            **fields,
        }
    )
    _apart(given, "default_language", "additional_languages")
    _apart(given, "voice", "additional_voice_ids")
    return config, tools


def changed(given: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Options with changes put in, both checked.

    A change of the default language alone keeps the former one among the additional ones and
    takes the new one out of them: Phonic refuses a language that is both.
    """
    language = changes.get("default_language")
    former = given.get("default_language")
    if language not in (None, former) and "additional_languages" not in changes:
        spoken = [former, *(given.get("additional_languages") or ())]
        rotated = [code for code in dict.fromkeys(spoken) if code not in (None, language)]
        changes = {**changes, "additional_languages": rotated}
    return {**given, **changes}


def _convert(given: dict[str, Any]) -> None:
    """Hold the values against the config's types."""
    fields = {OPTIONS[name].wire or name: value for name, value in given.items()}
    try:
        msgspec.convert({name: _whole(value) for name, value in fields.items()}, ConfigOptions)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        field = re.split(r"[.\[`]", path)[0]
        name = next(name for name in given if (OPTIONS[name].wire or name) == field)
        raise ValueError(f"{name}: {problem}; the value is {given[name]!r}") from None


def _of_type(name: str, value: Any) -> Any:
    kind = list[PhonicToolConfig] if name == "configs_for_tools" else list[str]
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name}: {error}; the value is {value!r}") from None


def _check(name: str, value: Any, option: Option) -> None:
    problem = None
    if option.allowed:
        wrong = [v for v in (value if isinstance(value, list) else [value]) if v is not None]
        if not set(wrong) <= set(option.allowed):
            problem = f"must be one of {', '.join(option.allowed)}"
    elif option.least is not None and value < option.least:
        problem = f"must not be below {option.least:g}"
    elif option.most is not None and value > option.most:
        problem = f"must not be above {option.most:g}"
    elif option.unique is not None:
        keys = [entry.get(option.unique) if isinstance(entry, dict) else entry for entry in value]
        if repeated := _repeated(keys):
            problem = f"{repeated!r} stands more than once"
    elif name == "external_id" and not value.strip():
        problem = "must not be empty"
    elif name == "configuration_endpoint" and value is not None and "url" not in value:
        problem = "must have a url"
    if problem is not None:
        raise ValueError(f"{name} {problem}; the value is {value!r}")


def _repeated(keys: Collection[Any]) -> Any:
    seen: set[Any] = set()
    return next((key for key in keys if key in seen or seen.add(key)), None)  # type: ignore[func-returns-value]


def _apart(given: dict[str, Any], one: str, others: str) -> None:
    value = given.get(one)
    if value in (given.get(others) or ()):
        raise ValueError(f"{others} must not include {one}; both have {value!r}")


def _from_languages(languages: object) -> dict[str, Any]:
    """The former option in today's terms: a default language and additional ones."""
    logger.warning("languages is deprecated: use default_language and additional_languages")
    if not isinstance(languages, list) or not all(isinstance(code, str) for code in languages):
        raise ValueError(
            f"languages: expected a list of language codes; the value is {languages!r}"
        )
    if not languages:
        return {}
    return {"default_language": languages[0], "additional_languages": languages[1:]}


def _whole(value: Any) -> Any:
    """Whole seconds go out as whole numbers: the SDK types some durations as integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
