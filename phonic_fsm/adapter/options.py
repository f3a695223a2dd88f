"""The model's options: which keyword argument is which field of Phonic's config.

``PhonicOptions`` is the one place where an option is named, typed and described. An option whose
name is not the config's own stands in ``WIRE_NAMES`` too; the rest follows.
"""

from __future__ import annotations

import re
from typing import Any, TypedDict

import msgspec
from livekit.agents import NotGivenOr
from livekit.agents.utils import is_given

from ..runtime.session import logger
from ..wire.config import ConfigOptions


class PhonicOptions(TypedDict, total=False):
    """Options of the conversation. One that is left out is not sent."""

    phonic_agent: NotGivenOr[str]
    """Name of the Phonic agent; what is set here overrides the agent's own settings."""
    voice: NotGivenOr[str]
    """Voice id for the assistant."""
    welcome_message: NotGivenOr[str | None]
    """What the assistant says first. Ignored with ``generate_welcome_message``."""
    generate_welcome_message: NotGivenOr[bool]
    """Let Phonic make the welcome message up."""
    project: NotGivenOr[str | None]
    """Name of the Phonic project."""
    default_language: NotGivenOr[str]
    """ISO 639-1 code of the language that is spoken first."""
    additional_languages: NotGivenOr[list[str]]
    """Further ISO 639-1 codes, without the default one."""
    languages: NotGivenOr[list[str]]
    """Deprecated: the default language, then the additional ones."""
    audio_speed: NotGivenOr[float]
    """Factor on the speed of the assistant's speech."""
    phonic_tools: NotGivenOr[list[str]]
    """Names of tools that Phonic executes itself."""
    boosted_keywords: NotGivenOr[list[str]]
    """Words that speech recognition should expect."""
    generate_no_input_poke_text: NotGivenOr[bool]
    """Let Phonic make up what is said to a silent caller."""
    no_input_poke_sec: NotGivenOr[float]
    """Seconds of silence until the caller is spoken to."""
    no_input_poke_text: NotGivenOr[str]
    """What is said then. Ignored with ``generate_no_input_poke_text``."""
    no_input_end_conversation_sec: NotGivenOr[float]
    """Seconds of silence until the conversation ends."""


WIRE_NAMES = {"phonic_agent": "agent", "voice": "voice_id", "phonic_tools": "tools"}
"""Options whose field in the config has another name."""


def to_config(options: PhonicOptions, audio_format: str) -> ConfigOptions:
    """The config that the options ask for.

    Raises:
        TypeError: there is no such option.
        ValueError: an option has a value that Phonic cannot take; it is named.
    """
    fields: dict[str, Any] = {
        "input_format": audio_format,
        "output_format": audio_format,
        # LiveKit plays at its own pace; what comes early does not stutter.
        "stream_ahead_of_real_time": True,
    }
    given = {name: value for name, value in options.items() if is_given(value)}
    for name in given:
        if name not in PhonicOptions.__annotations__:
            raise TypeError(f"RealtimeModel() got an unexpected keyword argument {name!r}")
    if "languages" in given:
        given = {**_from_languages(given.pop("languages")), **given}
    for name, value in given.items():
        fields[WIRE_NAMES.get(name, name)] = _whole(value)
    try:
        return msgspec.convert(fields, ConfigOptions)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        field = re.split(r"[.\[`]", path)[0]
        option = {wire: name for name, wire in WIRE_NAMES.items()}.get(field, field)
        raise ValueError(f"{option}: {problem}; the value is {fields.get(field)!r}") from None


def _from_languages(languages: object) -> dict[str, Any]:
    """The seed's option in today's terms: a default language and additional ones."""
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
