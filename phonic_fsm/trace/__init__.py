"""Traces: a session's steps as JSON Lines, and their replay.

``format`` says what a line holds, ``recorder`` writes lines while a session runs, ``reader``
reads them (``follow`` while they are still written), ``replay`` feeds them to a fresh machine and
compares. ``stats`` measures a call, ``diff`` compares two; ``chunks`` tells which steps only pass
audio on. The machine is the only thing of the package that a replay runs: no socket, no clock, no
LiveKit.
"""
