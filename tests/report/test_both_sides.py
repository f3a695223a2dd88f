"""Phonic's record beside the trace, on the page of the call."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from support.browser import NARROW, WIDE
from support.commands import run
from support.written_traces import assistant, caller, opening, tool, write

from phonic_fsm._report.both_sides import Beginning, BothSides, both_sides
from phonic_fsm._report.conversation import Entry
from phonic_fsm._report.page import make_report
from phonic_fsm.trace._service_record import (
    ServiceCall,
    ServiceConversation,
    ServiceRecord,
    ServiceTurn,
    record_file,
    recording_file,
)


def user(text: str | None, at: float, **fields: Any) -> ServiceTurn:
    return ServiceTurn(role="user", text=text, at=at, **fields)


def answer(text: str | None, at: float, **fields: Any) -> ServiceTurn:
    return ServiceTurn(role="assistant", text=text, at=at, **fields)


def keep(trace: Path, *turns: ServiceTurn, **fields: Any) -> None:
    """Put a record beside the trace, of a conversation that begins at 0.4 s on its clock."""
    conversation = ServiceConversation(
        id="conv_1", **{"ended_by": "user", "seconds": 59.6, "turns": list(turns), **fields}
    )
    record = ServiceRecord(fetched="2026-01-01T00:02:00+00:00", conversations=[conversation])
    record_file(trace).write_bytes(msgspec.json.encode(record))


def compared(trace: Path) -> BothSides:
    """What the page has of it."""
    text = make_report(trace).html
    _, _, rest = text.partition('<script type="application/json" id="data">')
    found = msgspec.json.decode(rest.partition("</script>")[0])["both_sides"]
    return msgspec.convert(found, BothSides)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return write(
        tmp_path / "call.jsonl",
        [
            *opening(),
            *caller(2.0, 3.0, "How is the weather?"),
            *tool(3.5, 4.5, output="sunny"),
            *assistant(5.0, "It is ", "sunny."),
            *caller(8.0, 9.0, "Thank you."),
            *assistant(9.5, "You are welcome."),
        ],
        close=60.0,
    )


def test_without_a_record_the_page_has_one_side(trace):
    assert '"both_sides":null' in make_report(trace).html


def test_the_same_turns_stand_beside_each_other(trace):
    keep(
        trace,
        user("How is the weather?", 1.6),
        answer(
            "It is sunny.",
            4.6,
            calls=[
                ServiceCall(name="get_weather", request={"city": "Paris"}, response={"a": "sunny"})
            ],
        ),
        user("Thank you.", 7.6),
        answer("You are welcome.", 9.1),
        latencies_ms=[2000, 100, 450],
        interruptions=2,
    )
    (conversation,) = compared(trace).conversations
    assert not any(row.differs for row in conversation.rows)
    assert [row.who for row in conversation.rows].count("tool") == 1
    (call,) = [row for row in conversation.rows if row.who == "tool"]
    assert call.ours == 'get_weather({"city":"Paris"}) → sunny'
    assert call.theirs == 'get_weather({"city": "Paris"}) → {"a": "sunny"}'
    assert ("Latencies", "450 ms median, 2.0 s longest, of 3") in conversation.figures
    assert ("Interruptions", "2") in conversation.figures
    assert ("Ended by", "user") in conversation.figures


def test_other_words_are_told_from_the_same_words_in_another_spelling(trace):
    keep(trace, user("how is the WEATHER", 1.6), user("Thanks, you.", 7.6))
    (conversation,) = compared(trace).conversations
    callers = {row.ours: row for row in conversation.rows if row.who == "caller"}
    assert not callers["How is the weather?"].differs
    assert callers["Thank you."].theirs == "Thanks, you."
    assert callers["Thank you."].differs


def test_a_short_word_may_have_been_heard_as_another(tmp_path):
    trace = write(tmp_path / "call.jsonl", [*opening(), *caller(2.0, 3.0, "Yes.")], close=60.0)
    keep(trace, user("Yeah.", 1.6))
    (conversation,) = compared(trace).conversations
    assert [(row.ours, row.theirs, row.differs) for row in conversation.rows] == [
        ("Yes.", "Yeah.", True)
    ]


def test_what_was_deleted_stands_beside_its_turn(trace):
    keep(trace, user(None, 1.6), user(None, 7.6))
    (conversation,) = compared(trace).conversations
    callers = [row for row in conversation.rows if row.who == "caller"]
    assert [(row.ours, row.deleted, row.differs) for row in callers] == [
        ("How is the weather?", True, False),
        ("Thank you.", True, False),
    ]


def test_what_only_one_side_has_is_told(trace):
    keep(
        trace,
        user("How is the weather?", 1.6),
        user("And tomorrow, in the mountains?", 6.0),
        user("Thank you.", 7.6),
    )
    (conversation,) = compared(trace).conversations
    rows = [(row.ours, row.theirs) for row in conversation.rows if row.who == "caller"]
    assert rows == [
        ("How is the weather?", "How is the weather?"),
        (None, "And tomorrow, in the mountains?"),
        ("Thank you.", "Thank you."),
    ]
    only_theirs = conversation.rows[[row.ours for row in conversation.rows].index(None)]
    assert only_theirs.differs
    assert only_theirs.step is None
    assert only_theirs.at == pytest.approx(6.4), "by its distance from the beginning"
    missing = [row for row in conversation.rows if row.who == "assistant"]
    assert [(row.theirs, row.differs) for row in missing] == [(None, True), (None, True)]


def test_a_later_transcript_is_shown_where_it_has_other_words(trace):
    keep(
        trace,
        user("How is the weather?", 1.6, later="How is the weather?"),
        user("Thank you.", 7.6, later="Thank you all."),
    )
    (conversation,) = compared(trace).conversations
    assert [row.later for row in conversation.rows if row.later] == ["Thank you all."]


def test_each_conversation_is_compared_with_its_own_part(trace):
    kept = [
        ServiceConversation(id="conv_1", turns=[user("One.", 1.0)]),
        ServiceConversation(id="conv_2", turns=[user("Two.", 1.0)]),
    ]
    record = ServiceRecord(fetched="", conversations=kept)
    record_file(trace).write_bytes(msgspec.json.encode(record))
    beginnings = [Beginning("conv_1", 4, 0.4), Beginning("conv_2", 20, 9.0)]
    entries = [
        Entry(step=5, at=1.4, who="caller", text="One."),
        Entry(step=21, at=10.0, who="typed", text="Two."),
    ]
    found = both_sides(trace, beginnings, entries)
    assert found is not None
    rows = [[(row.ours, row.theirs) for row in c.rows] for c in found.conversations]
    assert rows == [[("One.", "One.")], [("Two.", "Two.")]]
    assert [c.began for c in found.conversations] == [0.4, 9.0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"not JSON", "call.phonic.json is no record of Phonic's: "),
        (
            b'{"fetched":"","conversations":[],"record":"x"}',
            "is no record of Phonic's that is known",
        ),
        (b'{"fetched":"","conversations":[]}', "call.phonic.json is about another call"),
    ],
)
def test_a_record_that_cannot_be_shown_is_a_remark(content, problem, trace):
    record_file(trace).write_bytes(content)
    assert problem in compared(trace).problem


def test_a_redacted_trace_shows_no_record(trace):
    keep(trace, user("How is the weather?", 1.6))
    redacted = trace.with_name("call.jsonl.gz")
    assert run("redact", trace, redacted).returncode == 0
    assert record_file(redacted) == record_file(trace)
    assert '"both_sides":null' in make_report(redacted).html


def test_many_turns_are_matched_soon(tmp_path):
    told, turns = opening(), []
    for number in range(400):
        text = f"This is the sentence with the number {number}."
        told += caller(2.0 + number, 2.5 + number, text)
        turns.append(user(text, 1.6 + number))
    trace = write(tmp_path / "call.jsonl", told, close=500.0)
    del turns[200]
    keep(trace, *turns)
    (conversation,) = compared(trace).conversations
    assert [row.ours for row in conversation.rows if row.differs] == [
        "This is the sentence with the number 200."
    ]


# -- the recording -------------------------------------------------------------------------------


def stereo(path: Path, *sides: int, seconds: float = 10.0, rate: int = 24_000) -> None:
    """A recording with a constant level on each side."""
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(len(sides))
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(np.tile(np.array(sides, "<i2"), round(seconds * rate)).tobytes())


def test_the_recording_is_on_the_page_on_the_traces_clock(trace):
    keep(trace, user("How is the weather?", 1.6), recording="call.phonic.wav")
    stereo(recording_file(trace, 1), 6_000, 2_000)
    text = make_report(trace).html
    assert text.count("<audio") == 1
    assert 'id="recording"' in text


@pytest.mark.parametrize("name", ["gone.wav", "../call.jsonl"])
def test_a_recording_that_cannot_be_read_is_a_remark(name, trace):
    keep(trace, user("How is the weather?", 1.6), recording=name)
    text = make_report(trace).html
    assert "<audio" not in text
    assert "Without Phonic's recording: it cannot be read" in text


# -- the page ------------------------------------------------------------------------------------

Show = Callable[..., Page]


@pytest.fixture
def show(browser: Browser, trace: Path) -> Iterator[Show]:
    pages: list[Page] = []
    complaints: list[str] = []

    def show(**options: Any) -> Page:
        page = browser.new_page(**options)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        out = trace.with_suffix(".html")
        out.write_text(make_report(trace).html, encoding="utf-8")
        page.goto(out.as_uri())
        return page

    yield show
    for page in pages:
        page.close()
    assert complaints == []


def test_without_a_record_nothing_is_shown_of_it(show):
    expect(show().locator("#both-sides")).to_be_hidden()


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_shows_both_sides(viewport, trace, show):
    keep(
        trace,
        user("How is the weather?", 1.6),
        user("<b>Hello?</b>", 6.0),
        remarks=["Phonic has no recording"],
    )
    page = show(viewport=viewport)
    panel = page.locator("#both-sides")
    expect(panel).to_be_visible()
    expect(panel.locator("h3")).to_have_text("conv_1: 5 of 6 turns differ")
    expect(panel).to_contain_text("Phonic has no recording.")
    row = panel.locator("tr.differs", has_text="<b>Hello?</b>")
    expect(row).to_have_count(1)
    expect(row.locator("td").nth(2)).to_have_text("nothing")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    panel.get_by_role("button", name="0:03.0").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#now")).to_contain_text("0:03.000")


def test_one_hears_what_was_recorded_here_or_phonics_recording(trace, show):
    keep(trace, user("How is the weather?", 1.6), recording="call.phonic.wav")
    stereo(recording_file(trace, 1), 6_000, 2_000)
    stereo(trace.with_name("call.caller.wav"), 1_000, rate=16_000)
    page = show()
    source = page.locator("#source")
    expect(source).to_have_text("Recorded here")
    source.click()
    expect(source).to_have_text("Phonic's recording")
    page.locator("#play").click()
    # Not Playwright's wait_for_function: the page forbids to evaluate text.
    page.evaluate(
        "async () => { while (!(document.getElementById('recording').currentTime > 0.1))"
        " await new Promise(requestAnimationFrame); }"
    )
    assert page.evaluate("document.getElementById('sound').paused")
    page.locator("#play").click()


def test_with_a_recording_alone_there_is_no_choice(trace, show):
    keep(trace, user("How is the weather?", 1.6), recording="call.phonic.wav")
    stereo(recording_file(trace, 1), 6_000, 2_000)
    source = show().locator("#source")
    expect(source).to_have_text("Phonic's recording")
    expect(source).to_be_disabled()
