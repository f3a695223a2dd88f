"""``phonic-fsm simulate``: the simulator, until Ctrl-C."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import wrap

import anyio
from rich.console import Console

from phonic_fsm.simulator import (
    DOUBTS,
    DoubtError,
    Doubts,
    PhonicSimulator,
    Scenario,
    ScenarioError,
    load_scenario,
    scenario_names,
)

from .failure import CommandFailed
from .interrupt import run_until_interrupted
from .text import printable


def read_scenario(name: str) -> Scenario:
    """A shipped scenario, by name, or one from a file.

    Raises:
        CommandFailed: neither; the line names the shipped ones, or the place in the file.
    """
    shipped = name in scenario_names()
    if not shipped and not Path(name).exists():
        raise CommandFailed(
            f"no scenario {printable(name)!r}: shipped are {', '.join(scenario_names())}, "
            "or name a file"
        )
    try:
        return load_scenario(name if shipped else Path(name))
    except ScenarioError as error:
        raise CommandFailed(printable(str(error))) from error


def doubts_as_text(width: int) -> str:
    """The open questions with their variants, for the command's help."""
    lines = ["", "Open questions about the service (the first variant is the default):", ""]
    for doubt in DOUBTS:
        lines.append(f"  {doubt.name} = {' | '.join(doubt.variants)}")
        lines += wrap(doubt.question, width, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines) + "\n"


def run_simulate(host: str, port: int, scenario: str, choices: list[str]) -> int:
    """Serve until a signal comes; returns the exit code.

    Raises:
        CommandFailed: the scenario, a doubt or the address is wrong.
    """
    played = read_scenario(scenario)
    try:
        doubts = Doubts.read(choices, played.doubts)
    except DoubtError as error:
        raise CommandFailed(printable(str(error))) from error
    simulator = PhonicSimulator(played, host=host, port=port, doubts=doubts)

    async def serve() -> None:
        try:
            async with simulator:
                console = Console(highlight=False, soft_wrap=True)
                console.print(
                    f"simulating Phonic at {simulator.url} (scenario {printable(str(scenario))})",
                    markup=False,
                )
                for difference in doubts.differences():
                    console.print(f"doubt: {difference}")
                console.print(
                    f"use it with RealtimeModel(api_key='any', base_url='{simulator.url}') "
                    "or PHONIC_BASE_URL; Ctrl-C ends it"
                )
                await anyio.sleep_forever()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CommandFailed(f"cannot listen on {host}:{port}: {reason}") from error
        except UnicodeError as error:
            raise CommandFailed(
                f"cannot listen on {host}:{port}: this is not a valid host name"
            ) from error

    run_until_interrupted(serve)
    return 0
