"""A page as one HTML file that holds its style, its code and its data, and loads nothing.

Its content security policy allows only the style and the script whose hashes it names, and forbids
every request, but those of a watched call's page to the server that it comes from. Its data stands
in it as JSON, in which no text can end the element; its code shows text as text only.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

import msgspec


def document(
    template: str,
    *,
    name: str,
    styles: Iterable[str],
    scripts: Iterable[str],
    data: Any,
    media: bool = False,
    connects: bool = False,
    **parts: str,
) -> str:
    """Fill in a template of ``web/``, and the head that all of them have.

    Args:
        template, styles, scripts: files in ``web/``; each script may use those before it.
        name: the page's name, as plain text.
        data: what the scripts find in the element ``data``.
        media: whether the page plays audio that it holds.
        connects: whether it goes on to talk to the server that it comes from.
        parts: further parts of the template, as HTML.
    """
    style = _joined(styles)
    script = f'(() => {{\n"use strict";\n{_joined(scripts)}}})();\n'
    filled = {
        "policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
        + ("; media-src data:" if media else "")
        + ("; connect-src 'self'" if connects else ""),
        "name": html.escape(name),
        "style": style,
        "data": msgspec.json.encode(data).replace(b"<", b"\\u003c").decode(),
        "script": script,
        **parts,
    }
    text = _file(template).replace("{{head}}", _file("head.html"))
    return re.sub(r"\{\{(\w+)\}\}", lambda found: filled[found[1]], text)


# A directory may have pages by the thousand.


@cache
def _file(name: str) -> str:
    return (resources.files(__package__) / "web" / name).read_text(encoding="utf-8")


def _joined(files: Iterable[str]) -> str:
    return "".join(map(_file, files))


@cache
def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{digest}"
