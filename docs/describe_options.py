"""The options as editors, ``help()`` and the page about options show them, from their table.

``phonic_fsm/_adapter/options.py`` has each option with its type, its facts (``Option``) and, in the
string below it, its meaning. What is written from these: the bracket at the end of that string, the
list of options in three docstrings, and the table of ``docs/options.md``. ``generate`` runs it.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from phonic_fsm._adapter import options
from phonic_fsm._adapter.options import CHOICES, OPTIONS, TYPES

TABLE = Path(options.__file__)

DESCRIBED = ("model.py", "session.py")
"""Beside the table: modules with docstrings that list the options."""

WIDTH = 100

_BRACKET = re.compile(r"\s*\[[^]]*\]$")

_LIST = re.compile(rf"^ +{next(iter(OPTIONS))} \(.*?(?=\n\n)", re.DOTALL | re.MULTILINE)
"""In a docstring: from the first option to the next blank line."""


def spelled(kind: Any) -> str:
    """A type as one writes it; a choice of texts is a ``str``."""
    if get_origin(kind) is Literal:
        return "str"
    if kind is type(None):
        return "None"
    parts = [spelled(part) for part in get_args(kind)]
    if get_origin(kind) in (list, dict):
        return f"{get_origin(kind).__name__}[{', '.join(parts)}]"
    if parts:
        return " | ".join(parts)
    return "Any" if kind is Any else kind.__name__


def facts(name: str) -> str:
    """What can be given, and what holds if nothing is."""
    option = OPTIONS[name]
    told = []
    if name in CHOICES:
        told.append(" or ".join(filter(None, (", ".join(CHOICES[name][:-1]), CHOICES[name][-1]))))
    if option.documented is not None:
        low, high = option.documented
        told.append(f"{low:g} to {high:g} {option.unit}".strip())
    elif option.unit:
        told.append(option.unit)
    if option.step not in (None, 1):
        told.append(f"in steps of {option.step:g}")
    if option.default:
        told.append(f"default: {option.default}")
    return "; ".join(told)


def meanings() -> dict[str, ast.Constant]:
    """The string below each option, as its node in the table's source."""
    tree = ast.parse(TABLE.read_text(encoding="utf-8"))
    [table] = [node for node in tree.body if getattr(node, "name", "") == "PhonicOptions"]
    found = {}
    for entry, below in zip(table.body, [*table.body[1:], ast.Pass()], strict=True):
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
            assert isinstance(below, ast.Expr), f"{entry.target.id} has no string below it"
            assert isinstance(below.value, ast.Constant), f"{entry.target.id} has no string below"
            found[entry.target.id] = below.value
    return found


def described(name: str, text: ast.Constant) -> str:
    """An option's meaning and its facts, on one line."""
    meaning = _BRACKET.sub("", " ".join(text.value.split()))
    return f"{meaning} [{facts(name)}]" if facts(name) else meaning


def table_source() -> str:
    """The table's module, with the facts in each string."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    for name, text in reversed(meanings().items()):
        whole = f'"""{described(name, text)}"""'
        lines[text.lineno - 1 : text.end_lineno] = _wrapped(whole, " " * 4, "")
    return "\n".join(lines) + "\n"


def docstring_lines() -> str:
    """The options as a docstring lists them."""
    return "\n".join(
        line
        for name, text in meanings().items()
        for line in _wrapped(f"{name} ({spelled(TYPES[name])}): {described(name, text)}", " " * 12)
    )


def page_table() -> Iterator[str]:
    """The table of the page about options."""
    yield "| Option | Type | Values | In Phonic's configuration | Meaning |"
    yield "|---|---|---|---|---|"
    for name, text in meanings().items():
        kind = spelled(TYPES[name]).replace("|", "\\|")
        wire = OPTIONS[name].wire
        meaning = _BRACKET.sub("", " ".join(text.value.split())).replace("``", "`")
        yield (
            f"| `{name}` | `{kind}` | {facts(name)} | {f'`{wire}`' if wire else ''} | {meaning} |"
        )


def sources() -> dict[Path, str]:
    """Each module with a generated part, and what it should hold."""
    listed = docstring_lines()
    pages = {TABLE: table_source()}
    for name in DESCRIBED:
        path = TABLE.with_name(name)
        pages[path] = _LIST.sub(lambda _: listed, path.read_text(encoding="utf-8"))
    return pages


def _wrapped(text: str, indent: str, further: str = "    ") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + further,
        break_long_words=False,
        break_on_hyphens=False,
    )
