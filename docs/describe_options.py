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
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

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


class Meaning(NamedTuple):
    """What the string below an option says, without the bracket, and the lines that it takes."""

    text: str
    lines: slice


def meanings() -> dict[str, Meaning]:
    """What each option means, from the table's source."""
    tree = ast.parse(TABLE.read_text(encoding="utf-8"))
    found = {}
    for table in tree.body:
        if not isinstance(table, ast.ClassDef) or table.name != "PhonicOptions":
            continue
        for entry, below in pairwise(table.body):
            match entry, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text)), lineno=first, end_lineno=last),
                ):
                    meaning = _BRACKET.sub("", " ".join(text.split()))
                    found[name] = Meaning(meaning, slice(first - 1, last))
    missing = OPTIONS.keys() - found.keys()
    assert not missing, f"these options have no string below them: {missing}"
    return found


def described(name: str, meaning: Meaning) -> str:
    """An option's meaning and its facts, on one line."""
    return f"{meaning.text} [{facts(name)}]" if facts(name) else meaning.text


def table_source() -> str:
    """The table's module, with the facts in each string."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    for name, meaning in reversed(meanings().items()):
        lines[meaning.lines] = _wrapped(f'"""{described(name, meaning)}"""', " " * 4, "")
    return "\n".join(lines) + "\n"


def docstring_lines() -> str:
    """The options as a docstring lists them."""
    return "\n".join(
        line
        for name, meaning in meanings().items()
        for line in _wrapped(
            f"{name} ({spelled(TYPES[name])}): {described(name, meaning)}", " " * 12
        )
    )


def page_table() -> Iterator[str]:
    """The table of the page about options."""
    yield "| Option | Type | Values | In Phonic's configuration | Meaning |"
    yield "|---|---|---|---|---|"
    for name, meaning in meanings().items():
        kind = spelled(TYPES[name]).replace("|", "\\|")
        wire = f"`{OPTIONS[name].wire}`" if OPTIONS[name].wire else ""
        text = meaning.text.replace("``", "`")
        yield f"| `{name}` | `{kind}` | {facts(name)} | {wire} | {text} |"


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
