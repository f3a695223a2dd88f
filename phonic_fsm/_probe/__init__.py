"""Finds out how Phonic behaves where nothing public says so, by short conversations with it.

``_line`` is one connection, over which an experiment says what it likes and notes what it hears.
``_experiments`` has the conversations, and what follows from them about the open questions, which
``simulator`` lists. ``_findings`` goes through them. What is printed is decided by the command.
"""

from ._findings import UNPROBED, Finding, probe
from ._line import Refused, Transcript

__all__ = ["UNPROBED", "Finding", "Refused", "Transcript", "probe"]
