"""Takes secrets out of text before anybody is told of it, in a log, an error, a trace or a span.

A library's error may quote a header or an address, and a server may repeat what it was sent. So
whatever others wrote goes through here before it is told; no other place looks for secrets in text.

Secrets are the API key, what the option ``configuration_endpoint`` has in its headers and in the
query of its URL, and a proxy's user and password. They are found as they are, and in the ways in
which programs write a text inside of another one: in JSON, in a URL, in a ``repr``, in base64.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from json import dumps
from typing import Any, TypeVar
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from msgspec import Struct, structs

from .._wire.codec import CUT, encode
from .._wire.config import ConfigOptions
from .._wire.facts import fields_of

SHORTEST = 8
"""Characters. A shorter value is not looked for in text: it may be part of any word or number."""

LONGEST_LEFT = 3
"""Characters of a secret that may be left where a text is cut in the middle of it."""

MASK = "***"
"""Stands for the key. The other secrets of a session are numbered: ``***1``, ``***2``. So if only
a secret changes, the replay of a trace sees a change, too. A mask tells nothing about the value."""

_ESCAPED = re.compile(rb"\\(?:/|u00[2-7])")
"""Begins an escape in JSON behind which a character of the key may stand."""

S = TypeVar("S", bound=Struct)


class Secrets:
    """The secrets of one session."""

    def __init__(self, key: str = "") -> None:
        self._key = key.encode() if len(key) >= SHORTEST else None
        self._numbers: dict[str, int] = {}
        self._masks: list[tuple[str, str]] = []
        """Every form in which a secret may stand in text, and its mask; long ones come first."""
        self._in_json: list[bytes] = []
        """The same forms as they are in JSON."""
        self._look_for(MASK, key)

    def learn(self, config: ConfigOptions) -> None:
        """Note the secrets that these options hold."""
        endpoint = config.configuration_endpoint
        if isinstance(endpoint, dict):
            for value in (endpoint.get("headers") or {}).values():
                # ``Bearer abc`` may be repeated without its first word.
                self._look_for(self.mask(value), value, *value.split()[1:], *_in_basic(value))
            for _, value in query_fields(endpoint["url"]):
                if value:
                    self._look_for(self.mask(value), value, unquote_plus(value))

    def learn_proxy(self, address: str) -> None:
        """Note the user and the password that a proxy's address holds."""
        parts = urlsplit(address)
        user, password = parts.username or "", parts.password or ""
        plain = f"{unquote(user)}:{unquote(password)}"
        for value in (b64encode(plain.encode()).decode(), user, password, *plain.split(":", 1)):
            if value:
                self._look_for(self.mask(value), value)

    def mask(self, value: str) -> str:
        """What stands for a secret of this value. The same value has the same mask."""
        return f"{MASK}{self._numbers.setdefault(value, len(self._numbers) + 1)}"

    # -- text ------------------------------------------------------------------------------------

    def hide(self, text: str) -> str:
        """The text, with a mask in the place of every secret."""
        for secret, mask in self._masks:
            if secret in text:
                text = text.replace(secret, mask)
        if CUT in text:
            *cut, rest = text.split(CUT)
            text = CUT.join([*map(self._hide_beginning, cut), rest])
        return text

    def _hide_beginning(self, text: str) -> str:
        """A text that was cut, without the beginning of a secret at its end."""
        for secret, mask in self._masks:
            for length in range(len(secret) - 1, LONGEST_LEFT, -1):
                if text.endswith(secret[:length]):
                    return text[:-length] + mask
        return text

    def out_of(self, value: S) -> S:
        """An event, an effect or a message, with masks in the place of secrets.

        Numbers, fixed words and the names of fields and types stay as they are.
        """
        return _hidden_in(value, self.hide)

    # -- JSON ------------------------------------------------------------------------------------

    def are_in(self, data: bytes) -> bool:
        """Whether this JSON holds a secret."""
        return any(secret in data for secret in self._in_json)

    def keep_key_out(self, frame: bytes | bytearray, decode: Callable[[bytes | bytearray], S]) -> S:
        """A message from the server without the key.

        Nothing in a conversation can need the key. Other secrets stay: a header's value may be an
        ordinary name that somebody says.
        """
        key = self._key
        if key is None:
            return decode(frame)
        message = decode(frame.replace(key, MASK.encode()) if key in frame else frame)
        # Go writes & as \u0026 in JSON, and PHP writes / as \/.
        if b"\\" in frame and _ESCAPED.search(frame):
            message = _hidden_in(message, self._hide_key)
        return message

    def _hide_key(self, text: str) -> str:
        assert self._key is not None
        return text.replace(self._key.decode(), MASK)

    def _look_for(self, mask: str, *values: str) -> None:
        found = dict(self._masks)
        for value in values:
            for form in _forms(value):
                if len(form) >= SHORTEST:
                    found.setdefault(form, mask)
        self._masks = sorted(found.items(), key=lambda item: len(item[0]), reverse=True)
        self._in_json = [encode(secret)[1:-1] for secret, _ in self._masks]


def query_fields(url: str) -> list[tuple[str, str]]:
    """The fields in the query of a URL as they are written: what is in front of a value, and the
    value. What has no name is a value, also if it is base64 and ends in ``=``."""
    fields = []
    for field in urlsplit(url).query.split("&"):
        name, sign, value = field.partition("=")
        fields.append((name + sign, value) if value.strip("=") else ("", field))
    return fields


def _hidden_in(value: S, hide: Callable[[str], str]) -> S:
    kind = type(value)
    facts = fields_of(kind)
    changed = {}
    for name, known in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        part = getattr(value, name)
        without = _hidden_in_part(part, hide, is_text=bool(facts[known].facts))
        if without is not part:
            changed[name] = without
    return structs.replace(value, **changed) if changed else value


def _hidden_in_part(value: Any, hide: Callable[[str], str], *, is_text: bool) -> Any:
    if isinstance(value, Struct):
        return _hidden_in(value, hide)
    if isinstance(value, str):
        return hide(value) if is_text else value
    if isinstance(value, dict):
        return {
            hide(name): _hidden_in_part(part, hide, is_text=is_text) for name, part in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_hidden_in_part(part, hide, is_text=is_text) for part in value)
    return value


def _in_basic(header: str) -> list[str]:
    """User and password in a header of the kind ``Basic``."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        return b64decode(encoded).decode().split(":", 1)
    except ValueError:
        return []


def _forms(value: str) -> Iterator[str]:
    """The value as it is, in JSON (also as in a prompt), in a URL, in a ``repr``, and in base64."""
    in_json = encode(value)[1:-1].decode()
    in_url = quote(value, "")
    yield from dict.fromkeys(
        (
            value,
            in_json,
            in_json.replace("<", "\\u003c"),
            dumps(value)[1:-1],
            in_url,
            re.sub("%..", lambda escape: escape.group().lower(), in_url),
            repr(value)[1:-1],
            *_in_base64(value.encode()),
        )
    )


def _in_base64(value: bytes) -> Iterator[str]:
    """What base64 has of the value, wherever in a text the value begins, and whatever follows."""
    for before in range(3):
        whole = (before + len(value)) // 3 * 4
        yield b64encode(bytes(before) + value).decode()[4 if before else 0 : whole]
