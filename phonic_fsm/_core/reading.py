"""Notes what a message of Phonic's text decides, when the message is read.

What the machine decides by must be a field of its own: a text is private, so a redacted trace has
other text, and the machine would decide otherwise when it is replayed.
"""

from __future__ import annotations

import re
from typing import Union, get_args

from msgspec import structs

from .._wire.server import Error, InputText
from .context import Context
from .wording import complaint

Read = Union[Error, InputText]
READ = get_args(Read)


def read(context: Context, event: Read) -> Read:
    """The message with the calls that it names, or with whether it repeats what was typed."""
    if isinstance(event, InputText):
        is_echo = event.text.strip() in context.typed_sent
        return structs.replace(event, repeats_typed=is_echo or None)
    said = complaint(event)
    calls = tuple(call_id for call_id in context.calls if _names(said, call_id))
    return structs.replace(event, calls=calls)


def _names(text: str, call_id: str) -> bool:
    """Whether the id stands in the text, and not as a part of another one."""
    # To look for it as a part is quicker, and seldom finds it.
    return call_id in text and bool(re.search(rf"(?<![\w-]){re.escape(call_id)}(?![\w-])", text))
