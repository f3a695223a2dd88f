"""Every sentence that the page, ``stats``, ``replay`` and ``watch`` can say of a call: collected
from the code, and read from what they say of one call.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

import phonic_fsm
from phonic_fsm._report.page import make_report
from phonic_fsm.trace import TraceError, TraceReader
from phonic_fsm.trace._replay import Replay
from phonic_fsm.trace._standing import StandingBuilder

PACKAGE = Path(phonic_fsm.__file__).parent

SPEAKING = (
    "_report/changes.py",
    "_report/end.py",
    "_report/lanes",
    "_report/numbers.py",
    "_report/overview.py",
    "_report/page.py",
    "_report/rules",
    "_report/waterfall.py",
    "trace/_standing.py",
    "trace/_turns.py",
)
"""The modules that say something of a call, and packages of them."""

SILENT = (
    "_report/both_sides.py",  # repeats what Phonic's record says
    "_report/call.py",
    "_report/findings.py",
    "_report/index.py",
    "_report/severity.py",
    "_report/steps.py",
    "_report/comparison.py",  # two calls side by side
    "_report/conversation.py",  # repeats what was said
    "_report/document.py",
    "_report/log.py",  # reads a log
    "_report/sound.py",  # speaks of a file
    "_report/rules/rule.py",
    "_report/rules/thresholds.py",  # speaks of a command line
)
"""Modules of the report that say nothing of a call."""

_LABELS = frozenset(("looks_for", "name"))
"""What these names are given describes a rule."""


@cache
def sentences() -> frozenset[tuple[str, str]]:
    """The sentences, and parts of them, with ``{}`` where something is put in, each behind the
    module that says it."""
    return frozenset(
        (path.relative_to(PACKAGE).as_posix(), text)
        for path in _modules()
        for text in _texts(ast.parse(path.read_text(encoding="utf-8")))
        if " " in text.strip() and re.search(r"[A-Za-z]{4}", text)
    )


def _modules() -> Iterator[Path]:
    for name in SPEAKING:
        place = PACKAGE / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if path.relative_to(PACKAGE).as_posix() not in SILENT:
                yield path


def _texts(tree: ast.AST) -> Iterator[str]:
    passed_over: set[int] = set()
    for node in ast.walk(tree):
        if id(node) in passed_over:
            continue
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Raise():  # a docstring, or an error
                passed_over.update(map(id, ast.walk(node)))
            case ast.Assign(targets=[ast.Name(id=name)]) if name in _LABELS:
                passed_over.update(map(id, ast.walk(node)))
            case ast.JoinedStr(values=parts):
                whole = [part for part in parts if isinstance(part, ast.Constant)]
                passed_over.update(map(id, whole))
                yield "".join(str(part.value) if part in whole else "{}" for part in parts)
            case ast.Constant(value=str(text)):
                yield text


SPEAKING_SCRIPTS = ("conversation.js", "summary.js", "table.js", "turns.js")
"""The scripts of the page that put what is known of a call into words."""


@cache
def words_of_the_page() -> frozenset[tuple[str, str]]:
    """The same of the page's own scripts: what they say of what the page holds."""
    return frozenset(
        (script, text)
        for script in SPEAKING_SCRIPTS
        for text in _strings((PACKAGE / "_report" / "web" / script).read_text(encoding="utf-8"))
        if " " in text.strip() and re.search(r"[A-Za-z]{4}", text)
    )


def _strings(code: str) -> Iterator[str]:
    """The strings in a script; ``{}`` stands for what a template puts in."""
    at = 0
    while at < len(code):
        if code.startswith("//", at):
            at = code.index("\n", at)
        elif code[at] == '"':
            end = code.index('"', at + 1)
            yield code[at + 1 : end]
            at = end + 1
        elif code[at] == "`":
            text, inner, at = _template(code, at + 1)
            yield text
            for part in inner:
                yield from _strings(part)
        else:
            at += 1


def _template(code: str, at: int) -> tuple[str, list[str], int]:
    """A template's text, what it puts in, and where it ends."""
    text, inner = "", []
    while code[at] != "`":
        if not code.startswith("${", at):
            text += code[at]
            at += 1
            continue
        begin, depth = at + 2, 1
        at = begin
        while depth:
            if code[at] == "`":
                *_, at = _template(code, at + 1)
                continue
            depth += {"{": 1, "}": -1}.get(code[at], 0)
            at += 1
        inner.append(code[begin : at - 1])
        text += "{}"
    return text, inner, at + 1


def said_of(trace: Path) -> str:
    """All that is said of a call on its page, and what it waits for at the end of the trace."""
    page = make_report(trace).html
    start = page.index('<script type="application/json" id="data">')
    data = msgspec.json.decode(page[page.index(">", start) + 1 : page.index("</script>", start)])
    lanes = data["lanes"]
    told: list[Any] = [
        [(one["title"], one["sentence"]) for one in data["findings"]],
        [(one["value"], one["beside"], one["note"]) for one in data["numbers"]],
        [part["text"] for turn in data["turns"] for part in turn["parts"]],
        [(one["text"], one["told"]) for one in lanes["changes"]],
        [(one["cause"], one["problems"]) for one in lanes["connection"]],
        [lanes["end"]["title"], lanes["end"]["sentence"]] if lanes["end"] else [],
        _waits_for(trace),
    ]
    return "\n".join(_flat(told))


def _flat(told: Any) -> Iterator[str]:
    if isinstance(told, str):
        yield told
    else:
        for part in told:
            yield from _flat(part)


def _waits_for(trace: Path) -> str:
    reader = TraceReader(trace)
    machine, standing = Replay(reader), StandingBuilder()
    with suppress(TraceError):
        for line in reader:
            if machine.take(line).difference is not None:
                return ""
            standing.take(line, machine.context)
    return f"waits for {standing.now().waits_for}"


def pattern(sentence: str, *, empty: bool = False) -> re.Pattern[str]:
    """Finds the sentence, whatever is put in; that may be nothing if it may be ``empty``. Its first
    letter may be a capital one."""
    put_in = ".*?" if empty else ".+?"
    return re.compile(put_in.join(map(re.escape, sentence.split("{}"))), re.IGNORECASE)
