"""The drawings of the machine: that they show it whole, and what traces did of it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import pytest
from support.commands import assert_is_one_line_and_exit_2, run
from support.record_traces import TRACES
from support.written_traces import assistant, caller, opening, write

from phonic_fsm._core.events import EVENTS, ConnectionClosed, Interrupt
from phonic_fsm._core.states import CONVERSING, State
from phonic_fsm._core.table import CHOICES, TABLE, rows_for
from phonic_fsm._diagram.arrows import arrows, moves
from phonic_fsm._diagram.layout import BOXES, CONVERSING_BOX, HEIGHT, WIDTH, Box, Point, route
from phonic_fsm._diagram.pages import by_state
from phonic_fsm._diagram.rows import actions_of, question, sentence
from phonic_fsm._diagram.svg import svg

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def call(tmp_path: Path) -> Path:
    told = [
        *opening(),
        *caller(2.0, 3.0),
        *assistant(3.5, "One ", "two."),
        *caller(4.0, 5.0),
        (5.5, Interrupt()),
        (6.0, ConnectionClosed(1006)),
    ]
    return write(tmp_path / "call.jsonl", told, close=8.0)


def test_diagram_prints_mermaid():
    result = run("diagram")
    assert result.stdout.startswith("stateDiagram-v2\n")
    assert "ready --> listening: user_started_speaking" in result.stdout


def test_diagram_prints_the_document():
    page = Path(__file__).parent.parent.parent / "docs" / "state-diagram.md"
    assert run("diagram", "--format", "table").stdout == page.read_text(encoding="utf-8")


def test_every_move_has_an_arrow():
    drawn = {
        (source, event, arrow.target)
        for arrow in arrows()
        for event in arrow.labels
        for source in (CONVERSING if arrow.source == CONVERSING_BOX else [arrow.source])
    }
    moves = {
        (source.value, row.event, row.choice.name if row.choice else row.target.value)
        for row in TABLE
        for source in row.sources
        if set(row.targets) - {source} and row.event not in ("close", "break")
    }
    moves |= {
        (choice.name, question, state.value)
        for choice in CHOICES.values()
        for question, state in choice.branches
    }
    assert drawn == moves


def test_mermaid_counts_what_was_taken_and_what_never_was(call):
    text = run("diagram", "--trace", call).stdout
    assert "    ready --> listening: user_started_speaking ×2\n" in text
    assert "    conversing --> reconnecting: connection_closed ×1<br/>take_over ×0\n" in text
    assert "    connecting --> closed: connect_failed ×0<br/>lease_lost ×0\n" in text
    assert "    ready --> speaking: assistant_started_speaking ×1<br/>audio_chunk ×0\n" in text


def test_traces_add_up(call, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "again.jsonl").write_bytes(call.read_bytes())
    text = run("diagram", "--trace", call, "--trace", tmp_path / "more").stdout
    assert "user_started_speaking ×4" in text


def test_the_table_tells_what_was_taken_and_all_that_never_was(call):
    text = run("diagram", "--trace", call, "--format", "table").stdout
    assert "| `speaking` | `audio_chunk` | *stays* | 2 |" in text
    assert "| `ready` | `user_started_speaking` | `listening` | 2 |" in text
    assert "| `ready` | `interrupt` | *stays* | 1 |" in text
    never = text[text.index("## Never taken") :]
    assert "| `reconnecting` | `connecting` | `connect_failed`, " in never
    assert "| `ready` | `listening` | " not in never


def test_a_move_that_this_version_does_not_know_is_told(call):
    call.write_text(
        call.read_text().replace('"from":"ready","to":"listening"', '"from":"ready","to":"a|b"')
    )
    text = run("diagram", "--trace", call, "--format", "table").stdout
    assert "| `ready` | `user_started_speaking` | `a\\|b` – not in this version | 2 |" in text


def test_recorded_traces_hold_nothing_that_the_table_does_not():
    text = run("diagram", "--trace", TRACES, "--format", "table").stdout
    assert "not in this version" not in text


def test_dot_has_every_arrow_and_fades_what_never_was(call):
    text = run("diagram", "--format", "dot").stdout
    assert text.startswith("digraph session {\n")
    assert text.count(" -> ") == len(arrows())
    assert 'ready -> listening [label="user_started_speaking"]' in text
    text = run("diagram", "--format", "dot", "--trace", call).stdout
    assert 'ready -> listening [label="user_started_speaking ×2" penwidth=1]' in text
    never = (
        r'connecting -> closed [label="connect_failed ×0\nlease_lost ×0" style=dashed color=gray]'
    )
    assert never in text


def test_svg_is_a_picture_of_all_states_and_arrows(call):
    plain = ET.fromstring(svg())
    texts = {text.text for text in plain.iter(f"{SVG}text")}
    assert {state.value for state in State} <= texts
    assert len(list(plain.iter(f"{SVG}path"))) == len(arrows()) + 1
    counted = ET.fromstring(run("diagram", "--format", "svg", "--trace", call).stdout)
    titles = {title.text for title in counted.iter(f"{SVG}title")}
    assert "ready → listening: user_started_speaking ×2" in titles
    faded = [path for path in counted.iter(f"{SVG}path") if "never" in path.get("class", "")]
    assert 0 < len(faded) < len(arrows())


def overlap(one: Box, other: Box) -> bool:
    return (
        abs(one.x - other.x) < (one.width + other.width) / 2
        and abs(one.y - other.y) < (one.height + other.height) / 2
    )


def holds(box: Box, point: Point) -> bool:
    return (
        abs(point.x - box.x) <= box.width / 2 + 0.01
        and abs(point.y - box.y) <= box.height / 2 + 0.01
    )


def test_the_layout_keeps_the_states_apart_and_on_the_page():
    states = {state.value: BOXES[state.value] for state in State}
    choices = {choice.name: BOXES[choice.name] for choice in CHOICES.values()}
    assert set(BOXES) == {*states, *choices, CONVERSING_BOX}
    drawn = [*states.values(), *choices.values()]
    assert not any(overlap(one, other) for one, other in combinations(drawn, 2))
    group = BOXES[CONVERSING_BOX]
    assert {name for name, box in states.items() if overlap(box, group)} == {
        state.value for state in CONVERSING
    }
    for box in BOXES.values():
        assert box.width / 2 <= box.x <= WIDTH - box.width / 2
        assert box.height / 2 <= box.y <= HEIGHT - box.height / 2


def test_arrows_run_from_box_to_box_and_through_no_other():
    for source, target in {*((arrow.source, arrow.target) for arrow in arrows()), *moves()}:
        curve = route(source, target)
        assert holds(BOXES[source], curve.start)
        assert holds(BOXES[target], curve.end)
        for share in range(5, 100, 5):
            t = share / 100
            point = Point(
                *(
                    (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
                    for a, b, c in zip(curve.start, curve.control, curve.end, strict=True)
                )
            )
            through = {state.value for state in State if holds(BOXES[state.value], point)}
            assert through <= {source, target}, (source, target)


def test_what_happens_to_an_event_in_a_state_is_printed():
    text = run("diagram", "--state", "speaking", "--event", "interrupt").stdout
    assert text.splitlines()[0].startswith("speaking: A generation is open")
    assert "\ninterrupt\n" in text
    one_line = " ".join(text.split())
    for row in rows_for(State.speaking, "interrupt"):
        assert all(f"{question(guard)}? ({sentence(guard)})" in one_line for guard in row.guards)
        assert all(f"· {sentence(action)}" in one_line for action in actions_of(row))
    assert one_line.count("→ speaking if a generation is open") == 2


def test_a_state_alone_has_every_event_and_an_event_alone_every_row():
    lines = run("diagram", "--state", "reconnecting").stdout.splitlines()
    assert [line for line in lines if line in EVENTS] == list(EVENTS)
    text = run("diagram", "--event", "close").stdout
    assert text.startswith("\nclose\n")
    assert "in closed\n       → ignored, because the session is over\n" in text
    assert len(re.findall(r"^ +\d+\. ", text, re.MULTILINE)) == len(
        [row for row in TABLE if row.event == "close"]
    )


@pytest.mark.parametrize("columns", [40, 100])
def test_what_is_printed_fits_the_terminal(columns):
    for state in State:
        text = run("diagram", "--state", state.value, columns=columns).stdout
        assert max(map(len, text.splitlines())) <= columns


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--state", "speeking"), "there is no state 'speeking'; the nearest is speaking"),
        (("--event", "interupt"), "there is no event 'interupt'; the nearest is interrupt"),
        (("--event", "\x1b[2J"), "there is no event"),
        (("--state", "ready", "--format", "svg"), "cannot be used with --format"),
        (("--event", "close", "--trace", TRACES), "cannot be used with --trace"),
    ],
)
def test_what_cannot_be_printed_is_one_line(arguments, says):
    result = run("diagram", *arguments)
    assert_is_one_line_and_exit_2(result, says=says)
    assert "\x1b" not in result.stderr


def test_the_page_by_state_has_every_row_of_every_state():
    page = by_state()
    for state in State:
        part = page.split(f"\n## `{state.value}`\n")[1].split("\n## ")[0]
        for event in EVENTS:
            rows = rows_for(state, event)
            if len(rows) == 1 and rows[0].because:
                assert f"`{event}`" in part.split("\nIgnored:\n")[1]
            else:
                assert part.count(f"| [`{event}`](") == len(rows)


def test_a_mistake_is_one_line():
    assert_is_one_line_and_exit_2(run("diagram", "--trace", "nowhere"), says="No such file")
    assert_is_one_line_and_exit_2(run("diagram", "--format", "png"), says="'png' is not one of")
