"""Notes which tool calls an error of Phonic's names, when the error is read.

What the machine decides by must be a field of its own: an error's text is private, so a redacted
trace has other text, and the machine would decide otherwise when it is replayed.
"""

from __future__ import annotations

import re

from msgspec import structs

from .._wire.server import Error
from .context import Context
from .wording import complaint


def read(context: Context, event: Error) -> Error:
    """The error with the calls that its text names."""
    said = complaint(event)
    calls = tuple(call_id for call_id in context.calls if _names(said, call_id))
    return structs.replace(event, calls=calls)


def _names(text: str, call_id: str) -> bool:
    """Whether the id stands in the text, and not as a part of another one."""
    # To look for it as a part is quicker, and seldom finds it.
    return call_id in text and bool(re.search(rf"(?<![\w-]){re.escape(call_id)}(?![\w-])", text))
