"""A trace as one page that explains the call.

``call`` walks through a trace to its end. What it meets goes to ``steps`` (every step, with why it
came out so), ``lanes`` (what happened when: speech, tools, connection, states) and
``conversation`` (what was said). ``anomalies`` looks for trouble in the lanes, ``numbers`` words
the figures of ``trace.stats``, ``sound`` is the audio if it was recorded, and ``page`` puts it all,
with the page's own code from ``web/``, into a single file that needs nothing else.

Nothing here runs a session or knows LiveKit; nothing in ``web/`` decides what a call means.
"""

from .page import Report, make_report

__all__ = ["Report", "make_report"]
