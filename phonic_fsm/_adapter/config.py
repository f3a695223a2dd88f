"""Checks options against the table, and makes Phonic's config of them.

A value that Phonic cannot take is an error that names the option, the value and the rule. A value
outside of what Phonic documents is sent with a warning, since Phonic may allow more by now.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

import msgspec
from livekit.agents.utils import is_given

from .._runtime.log import logger
from .._wire.config import ConfigOptions
from .options import CHOICES, OPTIONS, TYPES, Option, PhonicOptions
from .sendable import unsendable
from .tools import ToolConfigs

_ABOUT_TOOLS = ("configs_for_tools", "forbid_speech_after_tool_call")

_E164 = re.compile(r"\+[1-9]\d{1,14}")

_LANGUAGES = (
    "ar az bg bn cs da de el en es fa fi fil fr gu he hi hu id it ja ka km kn ko lt lv ml mr ms ne "
    "nl no pa pl pt ro ru si sk sq sv sw ta te th tr uk ur vi yue zh"
)
"""The language codes that Phonic's REST API lists (``LanguageCode``)."""

MOST_IN_AUTO_MODE = 2
"""Additional languages that Phonic allows where it detects the language by itself."""


def checked(options: PhonicOptions) -> dict[str, Any]:
    """The options that are given, each checked and copied.

    Raises:
        TypeError: there is no such option.
        ValueError: an option has a value that Phonic cannot take. The message names the option,
            the value and the rule.
    """
    given: dict[str, Any] = {}
    for name, value in options.items():
        if name not in OPTIONS:
            raise TypeError(f"there is no option {name!r}")
        if is_given(value):
            _check(name, value, OPTIONS[name])
            # A copy: what the caller does with a list later changes no session.
            given[name] = OPTIONS[name].aliases.get(str(value), deepcopy(value))
    if "languages" in given:
        logger.warning("languages is deprecated: use default_language and additional_languages")
        default, *additional = given.pop("languages") or [None]
        if default is not None and not given.keys() & {"default_language", "additional_languages"}:
            given |= {"default_language": default, "additional_languages": additional}
    if "forbid_speech_after_tool_call" in given:
        logger.warning("forbid_speech_after_tool_call is deprecated: use configs_for_tools")
    return given


def warn_of_the_undocumented(given: dict[str, Any]) -> None:
    """Log a warning for each checked option whose value is outside of what Phonic documents."""
    for name, value in given.items():
        problem = next(_undocumented(name, value, OPTIONS[name]), None)
        if problem is not None:
            logger.warning("%s: Phonic documents %s; it is sent nevertheless", name, problem)


def to_config(given: dict[str, Any], audio_format: str) -> tuple[ConfigOptions, ToolConfigs]:
    """Phonic's config for checked options, and the settings of single tools.

    Raises:
        ValueError: two options exclude each other, or a tool's config is wrong.
    """
    _check_together(given)
    tools = ToolConfigs(given.get("configs_for_tools"), given.get("forbid_speech_after_tool_call"))
    fields = {OPTIONS[n].wire or n: _whole(v) for n, v in given.items() if n not in _ABOUT_TOOLS}
    if "phonic_tools" in given:
        fields["tools"] = tools.phonic(given["phonic_tools"])
    config = ConfigOptions(
        **{
            "input_format": audio_format,
            "output_format": audio_format,
            # LiveKit plays at its own pace. Audio that comes early plays without a gap.
            "stream_ahead_of_real_time": True,
            **fields,
        }
    )
    return config, tools


def changed(given: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Put changes into options. Both have been checked.

    If only the default language changes, the former one joins the additional languages, and the new
    one leaves them: Phonic refuses a language that is both. In ``auto`` mode Phonic allows two
    additional languages, so the last ones are left out.
    """
    language = changes.get("default_language")
    former = given.get("default_language")
    updated = {**given, **changes}
    if language not in (None, former) and "additional_languages" not in changes:
        spoken = [former, *(given.get("additional_languages") or ())]
        rotated = [code for code in dict.fromkeys(spoken) if code not in (None, language)]
        auto = updated.get("multilingual_mode") == "auto"
        updated["additional_languages"] = rotated[:MOST_IN_AUTO_MODE] if auto else rotated
    return updated


# -- values that Phonic cannot take --------------------------------------------------------------


def _check(name: str, value: Any, option: Option) -> None:
    _check_type(name, value)
    if value is None:
        return
    problem = unsendable(value, name)
    if problem is not None:
        raise ValueError(f"{problem}{_shown(name, value)}")
    for problem in _problems(name, value, option):
        raise ValueError(f"{name} {problem}{_shown(name, value)}")


def _check_type(name: str, value: Any) -> None:
    # Checked here first, because msgspec does not name the choices.
    for choice in value if isinstance(value, list | tuple) else [value]:
        if (
            name in CHOICES
            and isinstance(choice, str)
            and choice not in (*CHOICES[name], *OPTIONS[name].aliases)
        ):
            choices = ", ".join(CHOICES[name])
            raise ValueError(f"{name} must be one of {choices}{_shown(name, value)}")
    try:
        msgspec.convert(_whole(value), TYPES[name])
    except msgspec.ValidationError as error:
        problem = re.sub(r"^Object missing required field `(\w+)`", r"must have a \1", str(error))
        if value is None:
            problem += "; leave the option out to keep Phonic's own setting"
        raise ValueError(f"{name}: {problem}{_shown(name, value)}") from None


def _problems(name: str, value: Any, option: Option) -> Iterator[str]:
    """What is wrong with a value of the right type."""
    if option.least is not None and value < option.least:
        yield f"must not be below {option.least:g}"
    if option.most is not None and value > option.most:
        yield f"must not be above {option.most:g}"
    if option.unique is not None:
        keys = [entry[option.unique] if isinstance(entry, dict) else entry for entry in value]
        if repeated := _repeated(keys):
            yield f"{repeated!r} stands more than once"
    if name == "external_id" and not value.strip():
        yield "must not be empty"
    if name == "configuration_endpoint":
        url = value["url"]
        try:
            address = urlsplit(url)
            is_whole = url.isprintable() and " " not in url and address.port != 0
        except ValueError:  # the port is none, or the host looks like an IPv6 address and is none
            address, is_whole = urlsplit(""), False
        if address.scheme != "https" or not address.hostname or not is_whole:
            yield "must have an HTTPS url"
        headers = value.get("headers") or {}
        if not "".join([*headers, *headers.values()]).isprintable():
            yield "must have headers without line breaks and control characters"
        if address.username or address.password:
            yield "must have a url without credentials: these go into headers"
    if name == "outbound_number_pool":
        for number in (*value["active"], *value["blocked"]):
            if not _E164.fullmatch(number):
                yield f"must hold numbers in E.164 form such as +15550100, not {number!r}"
        if repeated := _repeated(value["active"]):
            yield f"{repeated!r} stands more than once in active"
    if name == "data_retention_policy":
        periods = {"transcripts", "audio_recordings"}
        if value["zero_data_retention"] and periods & value.keys():
            yield "must have no other field where zero_data_retention is True"
        if not value["zero_data_retention"] and not periods <= value.keys():
            yield "must have transcripts and audio_recordings where zero_data_retention is False"


def _check_together(given: dict[str, Any]) -> None:
    """Check options that exclude or need each other."""
    _apart(given, "default_language", "additional_languages")
    _apart(given, "voice", "additional_voice_ids")
    additional = given.get("additional_languages") or ()
    if given.get("multilingual_mode") == "auto" and len(additional) > MOST_IN_AUTO_MODE:
        raise ValueError(
            f"additional_languages must be at most {MOST_IN_AUTO_MODE} where multilingual_mode is "
            f"'auto'; the value is {additional!r}"
        )
    storage = given.get("external_storage_policy")
    if storage is None:
        return
    if given.get("enable_redaction"):
        raise ValueError(
            "external_storage_policy cannot be combined with enable_redaction; "
            f"the value is {storage!r}"
        )
    policy = given.get("data_retention_policy")
    # If none is given, the Phonic agent or the endpoint may set it.
    elsewhere = policy is None and given.keys() & {"phonic_agent", "configuration_endpoint"}
    if not elsewhere and not (policy or {}).get("zero_data_retention"):
        raise ValueError(
            "external_storage_policy needs data_retention_policy={'zero_data_retention': True}; "
            f"the value is {storage!r}"
        )


def _apart(given: dict[str, Any], one: str, others: str) -> None:
    value = given.get(one)
    if value in (given.get(others) or ()):
        raise ValueError(f"{others} must not include {one}; both have {value!r}")


def _repeated(keys: Collection[Any]) -> Any:
    seen: set[Any] = set()
    return next((key for key in keys if key in seen or seen.add(key)), None)  # type: ignore[func-returns-value]


def _shown(name: str, value: Any) -> str:
    """The value for a message; nothing for an option that may hold credentials."""
    if name == "configuration_endpoint":
        return ""
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - the repr of what is no JSON value may raise anything
        return ""
    return f"; the value is {shown if len(shown) <= 200 else f'{shown[:200]}…'}"


# -- values outside of what Phonic documents -----------------------------------------------------


def _undocumented(name: str, value: Any, option: Option) -> Iterator[str]:
    """The documented ranges that a value is outside of."""
    if value is None:
        return
    if option.documented is not None:
        low, high = option.documented
        if not low <= value <= high:
            yield f"{low:g} to {high:g}, and the value is {value!r}"
    if option.step is not None and abs(value / option.step - round(value / option.step)) > 1e-6:
        yield f"multiples of {option.step:g}, and the value is {value!r}"
    if name in ("default_language", "additional_languages"):
        codes = [value] if isinstance(value, str) else value
        if unknown := [code for code in codes if code not in _LANGUAGES.split()]:
            yield f"no language {unknown[0]!r}"
    if name == "pronunciation_dictionary":
        if len(value) > 1000:
            yield f"at most 1000 entries, and there are {len(value)}"
        for entry in value:
            if len(entry["word"]) > 30:
                yield f"words of at most 30 characters, and there is {entry['word']!r}"
            if len(entry["pronunciation"]) > 50:
                yield "pronunciations of at most 50 characters, and there is a longer one"
    if name == "configs_for_tools":
        for config in value:
            timeout = config.get("tool_call_output_timeout_ms", 1000)
            if not 1000 <= timeout <= 180_000:
                yield f"tool_call_output_timeout_ms of 1000 to 180000, and it is {timeout!r}"


def _whole(value: Any) -> Any:
    """Make whole seconds a whole number: the SDK types some durations as integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
