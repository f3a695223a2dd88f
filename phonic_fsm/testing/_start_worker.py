"""``python -m phonic_fsm.testing._start_worker agent.py``: what ``AgentWorker`` runs.

It does what ``python agent.py start`` does, except that the worker reports no load. LiveKit sends
no calls to a worker that reports a full load, and by default a worker reports the machine's: tests
would fail wherever something else keeps the processors busy.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from livekit.agents import AgentServer, cli


def main(script: Path) -> None:
    """Take calls with the ``AgentServer`` of this file. Raises SystemExit when it has none."""
    # Job processes import the agent by its name, too.
    sys.path.insert(0, str(script.parent))
    module = import_module(script.stem)
    servers = [value for value in vars(module).values() if isinstance(value, AgentServer)]
    if not servers:
        raise SystemExit(f"{script} has no AgentServer at module level")
    servers[0].load_fnc = lambda: 0.0
    # --simulation: no load limit, and no health check, whose port two workers could not share.
    sys.argv = [str(script), "start", "--simulation"]
    cli.run_app(servers[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
