"""Writes pages, over older pages and over nothing else."""

from __future__ import annotations

from pathlib import Path

from .failure import CommandFailed
from .text import printable

_PAGE = b"<!doctype html>"


def write_page(page: Path, text: str) -> None:
    """Write it, but over nothing that is not such a page: a trace cannot be had again."""
    try:
        if page.exists() and not _is_page(page):
            raise CommandFailed(printable(f"{page} is there and is no page; name another file"))
        page.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CommandFailed(printable(f"{page}: {error.strerror or error}")) from error


def make_folder(folder: Path) -> None:
    """Raises ``CommandFailed`` if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(printable(f"{folder}: {error.strerror or error}")) from error


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_PAGE)) == _PAGE
