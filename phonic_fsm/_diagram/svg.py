"""The state diagram as a picture, in the one layout that ``layout`` fixes."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from .._core.states import MEANINGS, State
from .._core.table import CHOICES
from .arrows import Arrow, Taken, arrows, thickness
from .layout import BOXES, CONVERSING_BOX, HEIGHT, WIDTH, Point, Route, route

_STYLE = """
    svg { background: #fff; color: #1f2328; font: 17px sans-serif; }
    rect, polygon { fill: #fff; stroke: currentColor; }
    rect.group { fill: #f6f8fa; stroke: #d0d7de; }
    text { fill: currentColor; text-anchor: middle; dominant-baseline: central; }
    .arrow { fill: none; stroke: currentColor; }
    .label { font-size: 10px; paint-order: stroke; stroke: #fff; stroke-width: 4px; }
    .never { stroke: #b6bec7; stroke-dasharray: 4 3; }
    marker path { fill: context-stroke; }
"""

_LABELS = 2
"""Events that can stand at an arrow; all of them are in its tooltip."""


def svg(taken: Taken | None = None) -> str:
    """A picture that stands for itself; the more often a move was taken, the thicker its arrow."""
    return "\n".join(_picture(taken)) + "\n"


def _picture(taken: Taken | None) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    yield "  <title>The states of a session</title>"
    yield f"  <style>{_STYLE}  </style>"
    yield (
        '  <marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z"/></marker>'
    )
    yield _box(CONVERSING_BOX)
    drawn = [(arrow, route(arrow.source, arrow.target)) for arrow in arrows()]
    for arrow, curve in drawn:
        yield _line(arrow, curve, taken)
    for state in State:
        yield _box(state.value)
    for choice in CHOICES.values():
        yield _diamond(choice.name)
    for arrow, curve in drawn:
        yield _label(arrow, curve.label, taken)
    yield "</svg>"


def _box(name: str) -> str:
    x, y, width, height = BOXES[name]
    group = name == CONVERSING_BOX
    label_y = y + height / 2 - 16 if group else y
    title = "" if group else f"<title>{escape(MEANINGS[State(name)])}</title>"
    return (
        f"  <g>{title}"
        f'<rect class="{"group" if group else "state"}" x="{x - width / 2:g}" '
        f'y="{y - height / 2:g}" width="{width:g}" height="{height:g}" rx="8"/>'
        f'<text x="{x:g}" y="{label_y:g}">{name}</text></g>'
    )


def _diamond(name: str) -> str:
    x, y, width, height = BOXES[name]
    corners = ((x - width / 2, y), (x, y - height / 2), (x + width / 2, y), (x, y + height / 2))
    points = " ".join(f"{across:g},{down:g}" for across, down in corners)
    return f'  <g><polygon points="{points}"/><text x="{x:g}" y="{y:g}">{name}</text></g>'


def _line(arrow: Arrow, curve: Route, taken: Taken | None) -> str:
    times = arrow.total(taken) if taken is not None else 1
    return (
        f'  <path class="arrow{"" if times else " never"}" stroke-width="{thickness(times)}" '
        f'marker-end="url(#head)" d="{curve.path}">{_tip(arrow, taken)}</path>'
    )


def _label(arrow: Arrow, at: Point, taken: Taken | None) -> str:
    """What was taken most often comes first; what never was stands in the tooltip alone."""
    tip = _tip(arrow, taken)
    if taken is not None:
        used = [label for label in arrow.labels if arrow.times(label, taken)]
        arrow = arrow._replace(
            labels=tuple(sorted(used, key=lambda label: -arrow.times(label, taken)))
        )
    labels = arrow.counted(taken)
    if len(labels) > _LABELS:
        labels = [labels[0], f"{len(labels) - 1} more"]
    first = at.y - 6 * (len(labels) - 1)
    lines = "".join(
        f'<tspan x="{at.x:.1f}" y="{first + 12 * number:.1f}">{escape(label)}</tspan>'
        for number, label in enumerate(labels)
    )
    return f'  <text class="label">{tip}{lines}</text>'


def _tip(arrow: Arrow, taken: Taken | None) -> str:
    told = f"{arrow.source} → {arrow.target}: {', '.join(arrow.counted(taken))}"
    return f"<title>{escape(told)}</title>"
