"""The diagram as text that other programs draw: Mermaid, and Graphviz's DOT."""

from __future__ import annotations

from .._core.states import CONVERSING, State
from .._core.table import CHOICES
from .arrows import Taken, arrows, thickness
from .layout import CONVERSING_BOX


def mermaid(taken: Taken | None = None) -> str:
    """A ``stateDiagram-v2`` of all moves; the four conversing states stand in a box."""
    lines = [
        "stateDiagram-v2",
        "    direction TB",
        "    [*] --> connecting",
        f"    state {CONVERSING_BOX} {{",
        "        direction LR",
        *(f"        {state.value}" for state in CONVERSING),
        "    }",
        *(f"    state {choice.name} <<choice>>" for choice in CHOICES.values()),
    ]
    for arrow in arrows():
        label = "<br/>".join(arrow.counted(taken))
        lines.append(f"    {arrow.source} --> {arrow.target}: {label}")
    lines.append("    closed --> [*]")
    return "\n".join(lines) + "\n"


def dot(taken: Taken | None = None) -> str:
    """The same for Graphviz; the more often a move was taken, the thicker."""
    lines = [
        "digraph session {",
        "    compound=true",
        '    node [shape=box style=rounded fontname="sans-serif"]',
        '    edge [fontname="sans-serif" fontsize=9]',
        f"    subgraph cluster_{CONVERSING_BOX} {{",
        f"        label={CONVERSING_BOX}",
        *(f"        {state.value}" for state in CONVERSING),
        "    }",
        *(f"    {choice.name} [shape=diamond]" for choice in CHOICES.values()),
    ]
    for arrow in arrows():
        attributes = [f'label="{_BREAK.join(arrow.counted(taken))}"']
        source = arrow.source
        if source == CONVERSING_BOX:
            source = State.ready.value
            attributes.append(f"ltail=cluster_{CONVERSING_BOX}")
        if taken is not None:
            total = arrow.total(taken)
            attributes.append(
                f"penwidth={thickness(total)}" if total else "style=dashed color=gray"
            )
        lines.append(f"    {source} -> {arrow.target} [{' '.join(attributes)}]")
    lines.append("}")
    return "\n".join(lines) + "\n"


_BREAK = r"\n"
