"""``phonic-fsm scenario``: makes a scenario of a recorded call."""

from __future__ import annotations

import sys
from pathlib import Path

from phonic_fsm.simulator._recorded import as_json, scenario_of
from phonic_fsm.trace._reader import TraceError

from .failure import CommandFailed
from .text import printable


def run_scenario(trace: Path, out: Path | None) -> int:
    """Print the scenario, or write it to a file that is not there yet; returns 0.

    Raises:
        CommandFailed: the trace cannot be read, or the file cannot be written.
    """
    try:
        scenario = as_json(scenario_of(trace))
    except TraceError as error:
        raise CommandFailed(printable(str(error))) from error
    if out is None:
        sys.stdout.write(scenario.decode())
        return 0
    try:
        with out.open("xb") as file:
            file.write(scenario)
    except FileExistsError as error:
        raise CommandFailed(printable(f"{out} is there already; name another file")) from error
    except OSError as error:
        raise CommandFailed(printable(f"{out}: {error.strerror or error}")) from error
    return 0
