"""``phonic-fsm simulate``: the simulator, until Ctrl-C."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
from rich.console import Console

from phonic_fsm.simulator import (
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


def run_simulate(host: str, port: int, scenario: str) -> int:
    """Serve until a signal comes; returns the exit code."""
    simulator = PhonicSimulator(read_scenario(scenario), host=host, port=port)

    async def serve() -> None:
        try:
            async with simulator:
                console = Console(highlight=False, soft_wrap=True)
                console.print(f"simulating Phonic at {simulator.url} (scenario {scenario})")
                console.print(
                    f"use it with RealtimeModel(api_key='any', base_url='{simulator.url}') "
                    "or PHONIC_BASE_URL; Ctrl-C ends it"
                )
                await anyio.sleep_forever()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CommandFailed(f"cannot listen on {host}:{port}: {reason}") from error

    run_until_interrupted(serve)
    return 0
