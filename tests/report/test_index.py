"""The index of many calls: what it lists, and how it is looked through in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from playwright.sync_api import Browser, Page, expect
from support.browser import NARROW, WIDE
from support.commands import run
from support.written_traces import assistant, caller, opening, write

from phonic_fsm._report.findings import Finding
from phonic_fsm._report.index import Listed, make_index
from phonic_fsm._report.overview import overview
from phonic_fsm.trace._reader import TraceReader


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Three calls, one of which is answered late, and what is no trace."""
    folder = tmp_path / "traces"
    (folder / "second").mkdir(parents=True)
    for name, latency in (("a quick one", 0.5), ("second/late", 8.0), ("quick, too", 0.4)):
        told = [*opening(), *caller(2.0, 3.0), *assistant(2.9 + latency, "Hi.")]
        write(folder / f"{name}.jsonl", told, close=14.0)
    (folder / "nonsense.jsonl").write_text("nonsense\n")
    return folder


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens an index from disk; whatever it complains about, or asks a network for, is a fault."""
    contexts, complaints, asked = [], [], []

    def show(file: Path, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(tmp_path.as_uri())] == []


def names(page: Page) -> list[str]:
    return page.locator(".call a").all_text_contents()


def test_calls_with_findings_come_first_and_lead_to_their_finding(traces, tmp_path, show):
    out = tmp_path / "pages"
    result = run("report", traces, "--out", out)
    assert result.returncode == 0
    assert "nonsense.jsonl" in result.stderr
    page = show(out / "index.html")
    assert names(page)[0] == "second/late.jsonl"
    assert sorted(names(page)[1:]) == ["a quick one.jsonl", "quick, too.jsonl"]
    first = page.locator(".call").first
    expect(first).to_contain_text("Phonic did not answer for 7.9 s")
    first.locator("a").click()
    expect(page.locator("#name")).to_have_text("late.jsonl")
    expect(page.locator("#chosen .mark")).to_contain_text("Phonic did not answer")
    page.get_by_role("link", name="All calls").click()
    expect(page.locator("h1")).to_have_text("Calls")


def many(trace: Path, count: int) -> list[Listed]:
    seen = overview(TraceReader(trace))
    late = Finding(
        rule="silence",
        title="No connection for 9.9 s: 9.9 s of silence",
        sentence="It was silent.",
        step=1,
        start=0.0,
        end=1.0,
        severity="error",
    )
    return [
        Listed(
            name=f"call {number:05}.jsonl",
            page=f"call {number:05}.jsonl.html",
            started=f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            seconds=seen.seconds,
            state=seen.state,
            findings=[late] if number % 10 == 0 else [],
        )
        for number in range(count)
    ]


@pytest.fixture
def ten_thousand(traces: Path, tmp_path: Path) -> Path:
    file = tmp_path / "index.html"
    page = make_index(many(traces / "a quick one.jsonl", 10_000))
    file.write_text(page, encoding="utf-8")
    return file


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_ten_thousand_calls_are_filtered_and_searched(viewport, ten_thousand, show):
    page = show(ten_thousand, viewport=viewport)
    expect(page.locator("#shown")).to_have_text("10000 of 10000")
    assert names(page)[:2] == ["call 09990.jsonl", "call 09980.jsonl"]
    assert page.locator(".call").count() < 100, "only what can be seen is drawn"
    page.get_by_label("nothing found").uncheck()
    expect(page.locator("#shown")).to_have_text("1000 of 10000")
    page.keyboard.press("/")
    page.keyboard.type("call 0012")
    expect(page.locator("#shown")).to_have_text("1 of 10000")
    assert names(page) == ["call 00120.jsonl"]
    page.locator("#search").fill("")
    page.locator("#calls").evaluate("list => list.scrollTop = list.scrollHeight")
    expect(page.locator(".call a").last).to_have_text("call 00000.jsonl")
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_a_hostile_name_is_text(traces, tmp_path, show):
    name = "<img src=x onerror='window.hacked = 1'></script> ?#%.jsonl"
    listed = structs.replace(many(traces / "a quick one.jsonl", 1)[0], name=name, page=name)
    file = tmp_path / "index.html"
    file.write_text(make_index([listed]), encoding="utf-8")
    page = show(file)
    assert names(page) == [name]
    assert page.evaluate("window.hacked") is None
    assert page.locator(".call a").get_attribute("href").endswith("%20%3F%23%25.jsonl")
