"""Chromium, in which the tests look at pages, and the sizes of screen that a page must fit."""

from __future__ import annotations

import shutil

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}
