"""Writes everything in these pages that is generated: ``python docs/generate.py``.

It also writes the lists of options in docstrings (``describe_options``).

A part between ``<!-- generated: NAME -->`` and ``<!-- end -->`` comes from the function that
``PARTS`` has under that name. Files in ``FILES`` are generated as a whole. All of it is checked in,
so that it can be read without a build, and so that a change shows in its review; ``tests/docs``
fails where it is stale.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS.parent / "tests")]

from parity.differential_table import (  # noqa: E402
    AS_WE_DO,
    EVERYWHERE,
    INTENDED_DIFFERENCES,
    TOPICS,
    Difference,
    Reason,
)
from typer.models import ArgumentInfo  # noqa: E402

from docs import capacity  # noqa: E402
from docs.bounds import table as bounds  # noqa: E402
from docs.describe_findings import findings_page  # noqa: E402
from docs.describe_options import page_table, sources  # noqa: E402
from phonic_fsm._adapter.meters import METRICS  # noqa: E402
from phonic_fsm._cli import app  # noqa: E402
from phonic_fsm._core.states import ALL, MEANINGS  # noqa: E402
from phonic_fsm._diagram.pages import by_event, by_state  # noqa: E402
from phonic_fsm._diagram.svg import svg  # noqa: E402
from phonic_fsm._probe import UNPROBED  # noqa: E402
from phonic_fsm.simulator import DOUBTS  # noqa: E402
from phonic_fsm.trace import schema  # noqa: E402

RELEASES = {"former": "1.4.5", "current": "1.8.9"}


def states() -> Iterator[str]:
    """The table of states."""
    yield "| State | Meaning |"
    yield "|---|---|"
    for state in ALL:
        yield f"| `{state.value}` | {MEANINGS[state]} |"


def differences() -> Iterator[str]:
    """What is different from the plugin and why, by topic: a table each."""
    by_reason: dict[Reason, list[Difference]] = {}
    for difference in INTENDED_DIFFERENCES.values():
        by_reason.setdefault(difference.reason, []).append(difference)
    for topic in TOPICS:
        yield ""
        yield f"### {topic}"
        yield ""
        yield "| `livekit-plugins-phonic` | in | `phonic-fsm` |"
        yield "|---|---|---|"
        for reason, found in by_reason.items():
            if reason.topic != topic:
                continue
            releases = [
                name
                for release, name in RELEASES.items()
                if any(getattr(difference, release) is not AS_WE_DO for difference in found)
            ]
            yield f"| {reason.plugin} | {', '.join(releases)} | {reason.ours} |"
    yield ""


def every_difference() -> Iterator[str]:
    """Each scenario of the test, and what came out of it."""
    by_scenario: dict[str, list[tuple[str, Difference]]] = {}
    for (scenario, aspect), difference in INTENDED_DIFFERENCES.items():
        by_scenario.setdefault(scenario, []).append((aspect, difference))
    for scenario, found in by_scenario.items():
        yield ""
        yield f"## {'In every scenario' if scenario == EVERYWHERE else _title(scenario)}"
        for aspect, difference in found:
            yield ""
            reason = difference.reason
            yield f"`{aspect}`: the plugin {reason.plugin}. `phonic-fsm` {reason.ours}."
            yield ""
            yield "```text"
            for release, name in RELEASES.items():
                plugin = getattr(difference, release)
                yield from _value(name, difference.ours if plugin is AS_WE_DO else plugin)
            yield from _value("phonic-fsm", difference.ours)
            yield "```"
    yield ""


def _title(scenario: str) -> str:
    return scenario[0].upper() + scenario[1:]


def _value(name: str, value: Any) -> Iterator[str]:
    lines = value if isinstance(value, list) and len(value) > 1 else [value]
    for line in lines:
        said = line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)
        yield f"{name:<11} {said}"
        name = ""


def metrics() -> Iterator[str]:
    """What a session measures."""
    yield "| Metric | Kind | Unit | Attributes | Meaning |"
    yield "|---|---|---|---|---|"
    for metric in METRICS:
        attributes = ", ".join(f"`{attribute}`" for attribute in metric.attributes)
        kind = metric.kind.replace("_", "-")
        yield f"| `{metric.name}` | {kind} | `{metric.unit}` | {attributes} | {metric.says} |"


def commands() -> Iterator[str]:
    """Each command with its arguments and options."""
    for command in app.registered_commands:
        assert command.callback is not None
        yield ""
        yield f"## `phonic-fsm {command.name or command.callback.__name__}`"
        yield ""
        yield inspect.getdoc(command.callback) or ""
        yield ""
        yield "| Argument or option | Meaning |"
        yield "|---|---|"
        # Not get_type_hints: in Python 3.10 it wraps what has None for its default.
        signature = inspect.signature(command.callback, eval_str=True)
        for name, parameter in signature.parameters.items():
            kind, told, *_ = get_args(parameter.annotation)
            yield _parameter(name, kind, told, parameter.default)
        if command.epilog:
            yield ""
            yield "```sh"
            yield command.epilog.removeprefix("Example: ")
            yield "```"
    yield ""


def _parameter(name: str, kind: Any, told: Any, default: object) -> str:
    option = f"--{name.replace('_', '-')}"
    spelled = name.upper() if isinstance(told, ArgumentInfo) else option
    # In an Annotated, Typer takes the first name for the default until the command is made.
    given = [name for name in (told.default, *(told.param_decls or ())) if isinstance(name, str)]
    names = given or [spelled]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    meaning = [
        (told.help or "").replace("|", "\\|"),
        f"One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else "",
        f"Default: `{default}`." if type(default) in (str, int) else "",
    ]
    return f"| {', '.join(f'`{name}`' for name in names)} | {' '.join(filter(None, meaning))} |"


def trace_schema() -> str:
    """The JSON Schema of a trace's line."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def doubts() -> Iterator[str]:
    """The open questions about the service: what they are, and what a session does about them."""
    for doubt in DOUBTS:
        variants = ", ".join(f"`{variant}`" for variant in doubt.variants)
        yield ""
        yield f"### `{doubt.name}`"
        yield ""
        yield f"**{doubt.question}** {variants}"
        yield ""
        yield f"- What is known: {doubt.source}"
        yield f"- What a session does: {doubt.handled}"
        if doubt.name in UNPROBED:
            yield f"- `phonic-fsm probe` does not tell it: {UNPROBED[doubt.name]}."
    yield ""


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "bounds": bounds,
    "capacity fleet": capacity.fleet,
    "capacity limits": capacity.limits,
    "capacity measured": capacity.measured,
    "commands": commands,
    "doubts": doubts,
    "metrics": metrics,
    "options": page_table,
    "states": states,
    "differences": differences,
    "every difference": every_difference,
}

FILES: dict[str, Callable[[], str]] = {
    "by-state.md": by_state,
    "findings.md": findings_page,
    "state-diagram.md": by_event,
    "state-diagram.svg": svg,
    "trace.schema.json": trace_schema,
}

_PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def generated() -> dict[Path, str]:
    """Each file that is generated as a whole or has generated parts, and what it should hold."""
    pages = {DOCS / name: make() for name, make in FILES.items()} | sources()
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if page not in pages and _PART.search(text):
            pages[page] = _PART.sub(_with_its_part, text)
    return pages


def _with_its_part(found: re.Match[str]) -> str:
    begin, name, end = found.groups()
    return begin + "\n".join(PARTS[name]()) + "\n" + end


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
