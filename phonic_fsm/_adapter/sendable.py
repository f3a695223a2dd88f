"""Finds what JSON cannot carry in options, instructions, tools and chat contexts, and says where.

It is looked for before anything is changed. Otherwise the machine would take what cannot be sent.
"""

from __future__ import annotations

import math
from typing import Any

from .._runtime.printable import printable
from .._wire.codec import DEEPEST, encode

SHOWN = 100
"""Characters of a place that a message shows."""


def unsendable(value: Any, place: str) -> str | None:
    """Why JSON cannot carry a value, as a sentence that begins with the place; ``None`` if it can.

    ``place`` is what the value itself is called. A part of it is ``place.name[0]``.
    """
    return _problem(value, place, 0)


def sendable(text: str, place: str) -> str:
    """The text as a plain string.

    Raises:
        ValueError: it cannot be sent; the message begins with the place.
    """
    try:
        return text.encode().decode()
    except UnicodeEncodeError as error:
        raise ValueError(_half_a_pair(place, error)) from None


def _problem(value: Any, place: str, level: int) -> str | None:
    if level > DEEPEST:
        return f"{_short(place)} is nested more than {DEEPEST} levels deep"
    if isinstance(value, dict):
        for name, part in value.items():
            if not isinstance(name, str):
                return f"{_short(place)} must have strings as keys, not {_short(repr(name))}"
            problem = _problem(name, f"a key of {place}", level) or _problem(
                part, f"{place}.{name}", level + 1
            )
            if problem is not None:
                return problem
        return None
    if isinstance(value, (list, tuple)):
        parts = (_problem(part, f"{place}[{n}]", level + 1) for n, part in enumerate(value))
        return next(filter(None, parts), None)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{_short(place)} must be finite: JSON has neither nan nor infinity"
    if value is None or isinstance(value, (str, int, float)):
        try:
            encode(value)
        except UnicodeEncodeError as error:
            return _half_a_pair(place, error)
        except ValueError:
            return f"{_short(place)} has too many digits"
        except TypeError:
            pass
        else:
            return None
    return f"{_short(place)} cannot be sent as JSON: it is of type {type(value).__name__}"


def _half_a_pair(place: str, error: UnicodeEncodeError) -> str:
    return f"{_short(place)} has half of a surrogate pair as character {error.start + 1}"


def _short(place: str) -> str:
    place = printable(place)
    return place if len(place) <= SHOWN else f"{place[:SHOWN]}…"
