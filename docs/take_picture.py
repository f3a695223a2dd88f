"""Takes the picture of a page that the README and the documentation show.

Run it when the page looks different: ``PYTHONPATH=tests python docs/take_picture.py``. It needs
Chromium. No test compares the picture: it depends on the fonts of the machine.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import ViewportSize, sync_playwright
from support.browser import CHROMIUM

from phonic_fsm._report.page import make_report

DOCS = Path(__file__).parent
TRACE = DOCS.parent / "examples" / "traces" / "mystery.jsonl"
PICTURE = DOCS / "report-wide.png"

SIZE: ViewportSize = {"width": 1280, "height": 1680}


def main() -> None:
    """Show the page at its worst finding, as it opens, and write the picture."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "page.html"
        page.write_text(make_report(TRACE).html, encoding="utf-8")
        # Chromium refuses its sandbox to root.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        shown.goto(page.as_uri())
        shown.locator("#chosen .mark").first.wait_for()
        shown.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
