"""Chromium, in which the tests look at pages: the views that a page must fit, and what makes a page
one for people who use a keyboard or a screen reader.
"""

from __future__ import annotations

import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}

VIEWS = [
    pytest.param({"viewport": size, "color_scheme": scheme}, id=f"{name}, {scheme}")
    for name, size in (("wide", WIDE), ("narrow", NARROW))
    for scheme in ("light", "dark")
]

FOCUSED = """() => {
    const at = document.activeElement;
    const style = getComputedStyle(at), box = at.getBoundingClientRect();
    return {
        // A list keeps its place when it is drawn anew; a row is told by its text.
        name: at.id || `${at.tagName} ${at.className} ${at.textContent.slice(0, 80)}`,
        outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        seen: box.width > 0 && box.height > 0 && box.right > 0 && box.left < innerWidth
            && box.bottom > 0 && box.top < innerHeight,
        body: at === document.body,
    };
}"""

CONTROLS = """() => [...document.querySelectorAll(
    "a[href], button:not([disabled]), input, select, summary, [tabindex='0']"
)].filter((one) => one.checkVisibility({ visibilityProperty: true }))
    .map((one) => one.id || `${one.tagName} ${one.className} ${one.textContent.slice(0, 80)}`)"""


def assert_axe_finds_nothing(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def assert_tab_reaches_and_shows_all_controls(page: Page) -> None:
    """Goes through the page by the tab key, from its beginning to its end."""
    controls = page.evaluate(CONTROLS)
    reached, unseen = [], []
    while True:
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused["body"]:
            break
        assert len(reached) <= 2 * len(controls), "the tab key is caught"
        reached.append(focused["name"])
        if not (focused["outlined"] and focused["seen"]):
            unseen.append(focused["name"])
    missed = [control for control in controls if control not in reached]
    assert not missed, missed
    assert not unseen, unseen
