"""The page about findings, made from the rules and from the recorded calls that show them.

``phonic_fsm/_report/rules/`` has each rule as a class: what it marks, and its thresholds with their
units. The string below a threshold says what it means. ``tests/support/kinds.py`` names the calls.
``generate`` runs this.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_type_hints

from msgspec import Meta
from support.kinds import WRONG

from phonic_fsm._report.rules import RULES, Rule

TRACES = "../tests/traces/kinds"

TOP = """# What stands out

`phonic-fsm report`, `replay` and `stats` look for what stands out in a recorded call. A finding
names its cause first, then what was noticed of it: “find_table took 6.0 s: 6.0 s of silence”. Its
severity is one of three: an `error` is heard by the caller, or ends the call; a `warning` may be; a
`note` is there for whoever looks for the cause of something else, and healthy calls have some. One
cause is one error: what follows from it is told with it.

The rules are below, each with the thresholds that can be set, and with recorded calls that show it:

```sh
phonic-fsm stats traces/ --fail-on error --threshold silence.tool=8 --threshold echo.words=5
```

A time of `inf` switches off what it is for. A finding of the rule `divergence` stands only on a
page: the machine of this version does not do what was recorded, or the file cannot be read further.
"""


def findings_page() -> str:
    """The whole page."""
    return TOP + "".join(f"\n{line}" for rule in RULES for line in _section(rule)) + "\n"


def _section(rule: Rule) -> Iterator[str]:
    yield f"## {rule.name}"
    yield ""
    yield f"{inspect.getdoc(type(rule))} ({', '.join(rule.severities)})"
    yield ""
    yield f"Marked: {rule.when}."
    yield ""
    if rule.__struct_fields__:
        yield "| Threshold | Default | Meaning |"
        yield "|---|---|---|"
        for name, meaning in meanings(rule).items():
            default = f"{getattr(rule, name):g} {_unit(rule, name)}".strip()
            yield f"| `{rule.name}.{name}` | {default} | {meaning} |"
        yield ""
    for kind in WRONG:
        if kind.rule == rule.name:
            yield f"- [`{kind.trace}`]({TRACES}/{kind.trace}.jsonl): {kind.told} ({kind.severity})."
    yield ""


def meanings(rule: Rule) -> dict[str, str]:
    """What the string below each threshold says."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(type(rule)))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for entry, below in pairwise(body.body):
        match entry, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    missing = set(rule.__struct_fields__) - found.keys()
    assert not missing, f"{rule.name}: these thresholds have no string below them: {missing}"
    return found


def _unit(rule: Rule, name: str) -> str:
    hints = get_type_hints(type(rule), include_extras=True)
    metas: list[Any] = [one for one in hints[name].__metadata__ if isinstance(one, Meta)]
    return str(next((meta.extra["unit"] for meta in metas if meta.extra), ""))
