"""The page of a call and the index of calls, for people who use a keyboard or a screen reader: at
both widths, in light and dark, as Chromium shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browser import (
    NARROW,
    VIEWS,
    WIDE,
    assert_axe_finds_nothing,
    assert_tab_reaches_and_shows_all_controls,
)
from support.commands import run
from support.record_kinds import KINDS

SHOWN = ("away_for_a_while", "failed_tool", "many_interruptions", "small_talk")
"""Calls with findings of each severity, and one without."""

PAGES = {"call": "away_for_a_while.jsonl.html", "index": "index.html"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of some calls, and their pages."""
    folder = tmp_path_factory.mktemp("calls")
    traces, out = folder / "traces", folder / "pages"
    traces.mkdir()
    for name in SHOWN:
        (traces / f"{name}.jsonl").write_bytes((KINDS / f"{name}.jsonl").read_bytes())
    assert run("report", traces, "--out", out).returncode == 0
    return out


@pytest.fixture
def show(browser: Browser, pages: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page from disk; whatever it asks a network for is a fault."""
    contexts, asked = [], []

    def show(name: str, view: dict[str, Any]) -> Page:
        context = browser.new_context(reduced_motion="reduce", **view)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto((pages / PAGES[name]).as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith("file:")] == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(name, view, show):
    page = show(name, view)
    if name == "call":
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true })")
    assert_axe_finds_nothing(page)


@pytest.mark.parametrize("view", [VIEWS[0], VIEWS[-1]])
@pytest.mark.parametrize("name", PAGES)
def test_every_control_is_reached_by_the_tab_key_and_seen(name, view, show):
    page = show(name, view)
    assert_tab_reaches_and_shows_all_controls(page)


def test_a_finding_a_step_and_the_search_are_used_by_keyboard(show):
    page = show("call", {"viewport": WIDE})
    page.locator("#findings button").first.focus()
    page.keyboard.press("Enter")
    chosen = page.locator("#chosen")
    expect(chosen).to_contain_text("No connection for")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("outage")
    page.keyboard.press("Escape")
    expect(page.locator("#search")).not_to_be_focused()
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#rules")).to_be_visible()


def test_the_index_is_used_by_keyboard(show):
    page = show("index", {"viewport": NARROW})
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("call_taxi")
    expect(page.locator(".call")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".call")).to_have_count(len(SHOWN))
    page.keyboard.type("call_taxi")
    expect(page.locator(".call")).to_have_count(1)
    page.locator(".call a").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_text("failed_tool.jsonl")
    expect(page.locator("#chosen .mark")).to_contain_text("call_taxi raised an error")
