"""The page of two calls side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browser import NARROW, WIDE
from support.commands import run
from support.written_traces import assistant, caller, opening, tool, write

HOSTILE = "</script><img src=x onerror='window.hacked = 1'> & מרחבא"

Show = Callable[..., Page]


def call(path: Path, seconds: float, words: str = "It is sunny.", turns: int = 8) -> Path:
    """A call whose tool takes so long, with other turns before."""
    told, now = opening(), 1.0
    for number in range(turns):
        told += caller(now, now + 0.5, f"Question {number}?")
        told += assistant(now + 0.8, f"Answer {number}.")
        now += 2.0
    told += caller(now, now + 0.5, "How is the weather?")
    told += tool(now + 0.7, now + 0.7 + seconds)
    told += assistant(now + 1.0 + seconds, words)
    return write(path, told, close=60.0)


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    pages: list[Page] = []
    complaints: list[str] = []

    def show(*arguments: object, **options: Any) -> Page:
        out = tmp_path / "page.html"
        assert run("diff", *arguments, "--html", out).returncode in (0, 1)
        page = browser.new_page(**options)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: _must_be_the_page(request.url, out, complaints))
        page.goto(out.as_uri())
        return page

    yield show
    for page in pages:
        page.close()
    assert complaints == []


def _must_be_the_page(url: str, page: Path, complaints: list[str]) -> None:
    if url.partition("#")[0] != page.as_uri():
        complaints.append(url)


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_slow_tool_stands_beside_a_fast_one(viewport, tmp_path, show):
    fast, slow = call(tmp_path / "fast.jsonl", 0.8), call(tmp_path / "slow.jsonl", 6.0)
    page = show(fast, slow, "--times", viewport=viewport)
    expect(page.locator("#verdict")).to_have_text("2 steps differ")
    row = page.locator("#times tr.differs", has_text="get_weather")
    expect(row.locator("td").nth(2)).to_have_text("800 ms")
    expect(row.locator("td").nth(3)).to_have_text("6.0 s")
    expect(row.locator("td").nth(4)).to_have_text("5.2 s longer")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    row.get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#compared tr:target")).to_contain_text("tool_call")


def test_without_times_there_is_no_table_of_them(tmp_path, show):
    fast, slow = call(tmp_path / "fast.jsonl", 0.8), call(tmp_path / "slow.jsonl", 6.0)
    page = show(fast, slow)
    expect(page.locator("#times-panel")).to_be_hidden()
    expect(page.locator("#verdict")).to_have_text("No step differs")


def test_both_values_stand_side_by_side_and_what_is_alike_is_folded(tmp_path, show):
    one = call(tmp_path / "one.jsonl", 0.8)
    other = call(tmp_path / "other.jsonl", 0.8, words=HOSTILE)
    page = show(one, other)
    differing = page.locator("#compared tr.differs").first
    expect(differing.locator("td").nth(0)).to_contain_text('"It is sunny."')
    expect(differing.locator("td").nth(1)).to_contain_text("onerror")
    assert page.evaluate("window.hacked") is None
    rows = page.locator("#compared tr[id]")
    before = rows.count()
    fold = page.locator("#compared .alike button")
    expect(fold.first).to_contain_text("steps alike")
    fold.first.focus()
    page.keyboard.press("Enter")
    assert rows.count() > before


def test_a_step_that_only_one_has_stands_beside_nothing(tmp_path, show):
    one, other = call(tmp_path / "one.jsonl", 0.8), call(tmp_path / "two.jsonl", 0.8, turns=9)
    page = show(one, other)
    expect(page.locator("#compared td.absent").first).to_have_text("no such step")


def test_one_trace_stands_beside_what_the_machine_does(tmp_path, show):
    page = show(call(tmp_path / "call.jsonl", 0.8))
    expect(page.locator("h1")).to_have_text("call.jsonl and This version's machine")
    expect(page.locator("#verdict")).to_have_text("No step differs")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_can_be_used_has_a_name(scheme, tmp_path, show):
    page = show(
        call(tmp_path / "a.jsonl", 0.8),
        call(tmp_path / "b.jsonl", 5.0),
        "--times",
        color_scheme=scheme,
    )
    nameless = """() => [...document.querySelectorAll("button, a, [role]")].filter((node) =>
        !(node.textContent.trim() || node.ariaLabel || node.getAttribute("aria-labelledby")))
        .map((node) => node.outerHTML.slice(0, 80))"""
    assert page.evaluate(nameless) == []
    for role in ("main", "banner", "contentinfo"):
        expect(page.get_by_role(role)).to_have_count(1)
