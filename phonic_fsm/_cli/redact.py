"""``phonic-fsm redact``: writes a copy of a trace in which placeholders stand for what was said."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import typer

from phonic_fsm.trace._reader import TraceError, TraceReader
from phonic_fsm.trace._rewriting import redacted, steps_in
from phonic_fsm.trace._sinks import open_file

from .failure import CommandFailed
from .text import printable


def run_redact(path: Path, out: Path) -> int:
    """Write the redacted trace; returns the exit code.

    Raises:
        CommandFailed: the trace cannot be redacted, or the file exists already. No part of a
            redacted trace is left behind.
    """
    try:
        lines = redacted(TraceReader(path))
        sink = open_file(out)
    except FileExistsError as error:
        raise CommandFailed(f"{out} is there already; name another file or remove it") from error
    except (OSError, TraceError) as error:
        raise CommandFailed(printable(str(error))) from error
    steps, whole = 0, False
    last: dict[str, Any] = {}
    try:
        with closing(sink):
            for last in lines:
                sink.write(msgspec.json.encode(last) + b"\n")
                steps += steps_in(last)
        whole = True
    except (OSError, TraceError) as error:
        raise CommandFailed(printable(str(error))) from error
    finally:
        if not whole:
            out.unlink()
    cut = "; the trace is cut off after them" if last.get("end") == "cut_off" else ""
    typer.echo(printable(f"redacted: {steps} steps in {out}{cut}"))
    return 0
