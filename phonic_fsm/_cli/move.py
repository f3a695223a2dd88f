"""``phonic-fsm move``: asks the process of a call to have another one go on with it."""

from __future__ import annotations

import typer

from phonic_fsm.durable._place import journals
from phonic_fsm.durable._store import JournalError

from .failure import CommandFailed
from .text import printable


def run_move(room: str, place: str) -> int:
    """Ask; returns the exit code.

    Raises:
        CommandFailed: the place cannot be used, or no process has a call in this room.
    """
    try:
        store = journals(place)
        calls = [one for one in store.statuses() if one.holder.room == room and one.held == "held"]
        for call in calls:
            store.ask(call.name, call.number, "move")
    except (ValueError, JournalError) as error:
        raise CommandFailed(printable(str(error))) from None
    if not calls:
        raise CommandFailed(f"no process has a call in room {printable(room)}")
    for call in calls:
        typer.echo(f"asked process {call.holder.pid} to move {call.name}")
    return 0
