"""Each sentence that the page itself makes of what it holds: the lanes as a table, the turns, the
conversation and the top. As in ``test_sentences``, each has a call of which it is said, and one of
which it would be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser
from support.record_kinds import KINDS
from support.sentences import SPEAKING_SCRIPTS, pattern, words_of_the_page
from support.told_calls import (
    ASKED,
    CLOSED,
    FINE,
    SEEN,
    Call,
    afresh,
    answer,
    barge_in,
    call,
    called,
    ended,
    given,
    handoff,
    livekit,
    nothing,
    ran,
    resumed,
    second,
    taken,
    written,
    zeros,
)
from support.written_traces import Told

from phonic_fsm._core.events import (
    AgentState,
    ChangesDue,
    PlaybackFinished,
    PlaybackStarted,
    UpdateInstructions,
)
from phonic_fsm._report.page import make_report
from phonic_fsm._wire import server

TOP = ("#about", "#end", "#not-observed", "#verdict", "#findings", "#talk")
OPENED = ("#turns-panel", "#as-table")

UNREAD = call(
    (0.6, AgentState("listening")),
    (0.7, PlaybackStarted()),
    (0.9, PlaybackFinished(0.2, interrupted=False)),
    ASKED,
    answer(3.2, 3.0),
    close=10.0,
)
INTERRUPTED = call(ASKED, called(3.4), (4.0, server.ToolCallInterrupted("call_1")), answer(5.0))
TOOL = call(ASKED, called(3.4), ran(3.5, 3.9), given(4.0), taken(4.1), answer(5.0))


PLAYING: list[Told] = [*answer(3.2, 3.0), SEEN, (3.3, PlaybackStarted())]


class Row(NamedTuple):
    says: tuple[str, ...]
    of: Call | str
    but_not_of: Call | str


ROWS: dict[str, tuple[Row, ...]] = {
    "summary.js": (
        Row(("The call has no end in this trace.",), call(ASKED, close=None), FINE),
        Row(("Replays identically",), FINE, call(ASKED, answer(3.2), ends="diverged")),
        Row(("Replay diverges at step {}",), call(ASKED, answer(3.2), ends="diverged"), FINE),
        Row(("The file is not whole",), call(ASKED, answer(3.2), ends="garbled"), FINE),
        Row(("Nothing: no rule found anything in this call.",), FINE, "late_answer"),
    ),
    "conversation.js": (
        Row(("Nothing was said.",), call(close=2.0), FINE),
        Row(
            ("(what is struck through was not heard)",),
            call(ASKED, answer(3.2, 5.0), barge_in(5.0), answer(6.0)),
            FINE,
        ),
    ),
    "turns.js": (Row(("no answer",), call(ASKED, called(3.4), close=6.0), FINE),),
    "table.js": (
        Row(("(LiveKit did not play it)",), UNREAD, FINE),
        Row(
            ("Played\tand no end of it is told",),
            call(ASKED, PLAYING, close=None),
            call(ASKED, PLAYING, (6.2, PlaybackFinished(3.0, interrupted=False)), close=None),
        ),
        Row(("Connection lost, {}: it broke off",), call(ASKED, resumed(5.0, 6.0)), FINE),
        Row(("; attempts at {}",), FINE, call(ASKED, close=4.0, opened=False)),
        Row(("{} {} called at {}",), TOOL, FINE),
        Row(
            ("LiveKit ran it after {}", "it took {} (done)"),
            TOOL,
            call(ASKED, called(3.4), ran(3.5, 3.9)[1:], given(4.0), taken(4.1), answer(5.0)),
        ),
        Row(
            ("it ended after {} (done)",),
            call(ASKED, called(3.4), ran(3.5, 3.9)[1:], given(4.0), taken(4.1), answer(5.0)),
            TOOL,
        ),
        Row(("no output",), INTERRUPTED, TOOL),
        Row(("output after {}: {}", "sent after {}", "acknowledged after {}"), TOOL, INTERRUPTED),
        Row(
            ("told with the history after {}",),
            call(ASKED, called(3.4), given(5.0), afresh(4.0, 7.0), answer(7.5)),
            call(ASKED, called(3.4), resumed(4.0, 7.0), given(5.0), answer(7.5)),
        ),
        Row(
            ("told in words after {}",),
            call(list(INTERRUPTED.told), given(4.5)),
            INTERRUPTED,
        ),
        Row(
            ("forgotten at the handoff",),
            call(ASKED, called(3.4), handoff(4.0), answer(5.0)),
            TOOL,
        ),
        Row(
            (", told by a reset",),
            call(ASKED, handoff(4.0), (4.0, ChangesDue())),
            call(ASKED, handoff(4.0)),
        ),
        Row(
            ("New instructions, told by {}",),
            call(ASKED, (5.0, UpdateInstructions("Be long.")), (5.0, ChangesDue())),
            call(ASKED, (5.0, UpdateInstructions("Be long.")), close=5.0),
        ),
        Row(
            ("Caller's audio, {}: {} dBFS, peak {} dBFS; {} ms a second came; sent {} ms",),
            call(second(1.0), ASKED),
            call(zeros(1.0), ASKED),
        ),
        Row(("Caller's audio, {}: digital silence",), call(zeros(1.0)), call(second(1.0))),
        Row(
            ("Caller's audio, {}: no audio; {}; filled with silence {} ms",),
            call(nothing(1.0)),
            call(zeros(1.0)),
        ),
        Row(
            ("of that behind a slow connection {} ms",),
            call(second(1.0, dropped_ms=400, overflowed_ms=400)),
            call(second(1.0, dropped_ms=400)),
        ),
        Row(
            ("Agent, as LiveKit sees it",),
            call(ASKED, SEEN),
            call(ASKED),
        ),
    ),
}

NAMES = {
    "summary.js": {
        " with phonic-fsm {}", ", recorded {} UTC", "Step {}", "finding {}", "number worrying",
        "{} steps in {}",
    },
    "conversation.js": {"The caller did not hear this.", "none muted", "said {}"},
    "turns.js": {"from the end of the turn: Phonic's word, or the commit", "part {}"},
    "table.js": {"handed over", "Caller's audio"},
}  # fmt: skip
"""What names a thing, a class or a step."""


def test_every_sentence_has_a_row():
    known = {
        script: [phrase for row in rows for phrase in row.says] for script, rows in ROWS.items()
    }
    lack = [
        (script, text)
        for script, text in words_of_the_page()
        if text not in NAMES[script]
        and not any(pattern(text.strip(), empty=True).search(phrase) for phrase in known[script])
    ]
    assert sorted(lack) == []
    assert set(ROWS) == set(SPEAKING_SCRIPTS)


@pytest.fixture(scope="module")
def said(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Call | str], str]]:
    """What a call's page says."""
    page = browser.new_page()
    place, known = tmp_path_factory.mktemp("pages"), dict[str, str]()

    def look(at: Call | str) -> str:
        key = repr(at)
        if key not in known:
            number = len(known)
            trace = _trace(place / f"{number}.jsonl", at)
            file = place / f"{number}.html"
            file.write_text(make_report(trace).html, encoding="utf-8")
            page.goto(file.as_uri())
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            page.wait_for_function("document.querySelector('#as-table td')")
            shown = [page.locator(name) for name in (*TOP, *OPENED)]
            known[key] = "\n".join(one.inner_text() for one in shown if one.is_visible())
        return known[key]

    yield look
    page.close()


CASES = [
    pytest.param(row, id=f"{script}: {row.says[0]}")
    for script, rows in ROWS.items()
    for row in rows
]


@pytest.mark.parametrize("row", CASES)
def test_the_page_says_what_is_true_and_only_that(row: Row, said: Callable[[Call | str], str]):
    where_true, where_wrong = said(row.of), said(row.but_not_of)
    for phrase in row.says:
        assert pattern(phrase).search(where_true), where_true
        assert not pattern(phrase).search(where_wrong), where_wrong


def test_the_page_says_if_nobody_was_observed(said: Callable[[Call | str], str]):
    assert "No AgentSession was observed" in said(FINE)
    assert "No AgentSession was observed" not in said(ended(CLOSED, livekit("user_initiated")))


def _trace(path: Path, at: Call | str) -> Path:
    return KINDS / f"{at}.jsonl" if isinstance(at, str) else written(path, at)
