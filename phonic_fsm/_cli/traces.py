"""Finds the traces that a command line names, and reads all of them, by the thousand if need be."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Generic, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.text import Text

from phonic_fsm.trace._destination import SUFFIXES
from phonic_fsm.trace._reader import TraceError, TraceReader

from .failure import CommandFailed
from .text import printable

FEW = 32
"""Up to so many traces are read in this process. Other processes take half a second to start."""

R = TypeVar("R")


class Reading(Generic[R]):
    """The result of reading one trace, or why it cannot be read."""

    def __init__(self, path: Path, result: R | None, problem: str = "") -> None:
        self.path = str(path)
        self.result = result
        self.problem = problem


def find_traces(named: Iterable[Path]) -> list[Path]:
    """The named files, and the traces in the named directories and below. Each is given once.

    Raises:
        CommandFailed: a name leads nowhere, or to a directory without a trace.
    """
    found: dict[Path, None] = {}
    for path in named:
        if path.is_dir():
            within = sorted(_within(path))
            if not within:
                kinds = " or ".join(f"*{suffix}" for suffix in SUFFIXES)
                raise CommandFailed(f"{printable(str(path))}: no {kinds} in this directory")
            found.update(dict.fromkeys(within))
        elif path.exists():
            found[path] = None
        else:
            raise CommandFailed(f"{printable(str(path))}: No such file or directory")
    return list(found)


def _within(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        for name in names:
            if name.endswith(SUFFIXES):
                yield Path(folder, name)


def read_all(paths: list[Path], work: Callable[[TraceReader], R]) -> Iterator[Reading[R]]:
    """Do the work on every trace, as ``read_each`` does.

    Raises:
        CommandFailed: none of the traces can be read; raised at the end.
    """
    readable = False
    problem = ""
    for reading in read_each(paths, work, named=len(paths) > 1):
        problem = reading.problem
        readable = readable or not problem
        yield reading
    if not readable:
        raise CommandFailed(problem if len(paths) == 1 else "not one trace can be read")


def read_each(
    paths: list[Path], work: Callable[[TraceReader], R], *, named: bool = True
) -> Iterator[Reading[R]]:
    """Do the work on every trace; the results come in the order of the traces.

    On stderr it shows a progress bar if that is a terminal.

    Args:
        work: a function that other processes can import.
        named: whether the traces that cannot be read are named on stderr.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=False,  # stdout may not be the terminal that shows the bar
    ) as bar:
        for reading in bar.track(_readings(paths, work), len(paths)):
            if reading.problem and named:
                console.print(Text(f"not readable: {reading.problem}", "yellow"))
            yield reading


def _readings(paths: list[Path], work: Callable[[TraceReader], R]) -> Iterator[Reading[R]]:
    read = partial(_read, work)
    if len(paths) <= FEW:
        yield from map(read, paths)
        return
    context = get_context("spawn")
    leash, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(mp_context=context, initializer=_begin, initargs=(leash, read))
    try:
        yield from pool.map(read, paths, chunksize=8)
    except BrokenProcessPool as error:
        problem = "a process that read traces was killed; there may be too little memory"
        raise CommandFailed(problem) from error
    except BaseException:
        held.close()  # what they are at might take minutes
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        held.close()
        leash.close()


def _begin(leash: Connection, _work: object) -> None:
    """Prepare this process, which is to do this work. It ends with the one that started it, however
    that ends, or when that lets go of the leash.

    Ctrl-C, which every process of a terminal gets, is left to that one.
    """
    # With what it is to do, this process has imported all that it needs. To look for garbage in
    # that again and again would take an eighth of the time.
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait_for_the_end() -> None:
        with suppress(EOFError, OSError):
            leash.recv_bytes()  # nothing is ever sent: this ends when the other end is closed
        os._exit(1)

    threading.Thread(target=wait_for_the_end, daemon=True).start()


def _read(work: Callable[[TraceReader], R], path: Path) -> Reading[R]:
    try:
        return Reading(path, work(TraceReader(path)))
    except TraceError as error:
        return Reading(path, None, printable(str(error)))
