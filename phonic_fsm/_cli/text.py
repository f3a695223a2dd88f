"""Writes a trace's values as text for a terminal."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from phonic_fsm._runtime.printable import printable

__all__ = ["brief", "printable", "shown_address", "value_of"]


def shown_address(url: str) -> str:
    """A server's address for a message: without user, password and query, which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def brief(value: dict[str, Any], longest: int | None = 100) -> str:
    """A recorded event or effect on one line: its type, then its fields.

    If the line has more than ``longest`` characters, its end is cut off.
    """
    words = [str(value.get("type", "?"))]
    fields = {key: field for key, field in value.items() if key != "type"}
    if isinstance(message := fields.pop("message", None), dict):
        words.append(str(message.get("type", "?")))
        fields |= {key: field for key, field in message.items() if key != "type"}
    words += [f"{key}={_value(field)}" for key, field in fields.items() if field not in _NOTHING]
    text = printable(" ".join(words))
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def value_of(value: Any) -> str:
    """A value as JSON; ``nothing`` for one that is missing."""
    return "nothing" if value is None else printable(json.dumps(value, ensure_ascii=False))


_NOTHING: tuple[Any, ...] = (None, "", False, [], {})


def _value(field: Any) -> str:
    if isinstance(field, dict) and "bytes" in field:
        level = f" {field['dbfs']} dBFS" if "dbfs" in field else ""
        return f"{field['bytes']} B{level}"
    return json.dumps(field, ensure_ascii=False)
