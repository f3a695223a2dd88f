"""How bad something is that stands out in a call."""

from __future__ import annotations

from typing import Literal, get_args

Severity = Literal["error", "warning", "note"]
"""An ``error`` is heard by the caller, or ends the call. A ``warning`` may be. A ``note`` is there
for whoever looks for the cause of something else; a healthy call may have some."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The worst first."""
