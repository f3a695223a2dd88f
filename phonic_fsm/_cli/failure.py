"""How a command says that it cannot do what it was asked: one line on stderr, exit code 2."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import typer

from phonic_fsm._runtime.printable import printable

# Typer carries click's exceptions without exporting their base, and older releases use click's.
_UsageProblem: Any = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

TERMINATED = 143
"""The exit code after SIGTERM, as shells have it."""


class CommandFailed(Exception):
    """A command cannot go on. The text is the line to print."""


def used_alone(option: str, others: Mapping[str, object]) -> None:
    """Refuse options that this one would ignore.

    Args:
        option: the option, as the user typed it.
        others: each option that cannot be used with it, and what was given for it.

    Raises:
        CommandFailed: one of the others was given.
    """
    given = [name for name, value in others.items() if value]
    if given:
        raise CommandFailed(f"{option} cannot be used with {' or '.join(given)}")


def run_or_fail(app: typer.Typer, name: str) -> NoReturn:
    """Run the command line under this name, and exit."""
    if sys.stdout is None:  # as Python has it where a shell has closed it
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    # The key of LiveKit's own development server is one that jwt finds too short.
    warnings.filterwarnings("ignore", message="The HMAC key is")
    try:
        code = app(standalone_mode=False, prog_name=name)
        sys.stdout.flush()
    except _UsageProblem as problem:
        _fail(name, f"{' '.join(problem.format_message().split())} (see {name} --help)")
    except CommandFailed as problem:
        _fail(name, str(problem))
    except RecursionError:
        _fail(name, "a trace holds values that are nested too deeply to be shown")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The program that read our output has ended.
        _give_up_what_cannot_be_printed()
        sys.exit(1)
    except OSError as problem:
        # Such as for a name that is too long, wherever it is first looked at.
        _give_up_what_cannot_be_printed()
        names = [str(problem.filename)] if problem.filename is not None else []
        _fail(name, ": ".join([*names, problem.strerror or str(problem)]))
    sys.exit(code)


def _give_up_what_cannot_be_printed() -> None:
    """Otherwise Python tries once more when it ends, and complains."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(name: str, problem: str) -> NoReturn:
    print(f"{name}: {printable(problem)}", file=sys.stderr)  # noqa: T201
    sys.exit(2)
