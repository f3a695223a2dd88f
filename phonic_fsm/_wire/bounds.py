"""The names by which traces and metrics tell which bound of a call was reached.

``docs/bounds.py`` says what each bounds, and what becomes of more.
"""

from __future__ import annotations

from typing import Literal

Bound = Literal[
    "message_size",
    "message_values",
    "turn",
    "pending_calls",
    "remembered_calls",
    "held_messages",
    "unsent_messages",
    "unsent_audio",
    "kept_audio",
    "trace",
    "journal",
]
