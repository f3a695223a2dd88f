"""``phonic-fsm probe``: prints what the experiments find, and keeps every message in a file."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from rich.console import Console

from phonic_fsm._probe import Finding, Refused, Transcript, probe
from phonic_fsm.simulator import DOUBTS

from .endpoint import endpoint_or_fail
from .failure import INTERRUPTED, CommandFailed
from .interrupt import run_until_interrupted
from .text import printable


def run_probe(base_url: str | None, out: Path | None, only: list[str], agent: str | None) -> int:
    """Hold the conversations; returns the exit code.

    Raises:
        CommandFailed: there is no key, the address or a doubt is wrong, or the file exists.
    """
    endpoint = endpoint_or_fail(base_url)
    if unknown := sorted(set(only) - {doubt.name for doubt in DOUBTS}):
        names = ", ".join(doubt.name for doubt in DOUBTS)
        raise CommandFailed(f"no doubt is named {printable(unknown[0])!r}; there are {names}")
    out = out or Path(f"phonic-probe-{datetime.now():%Y%m%d-%H%M%S}.jsonl")
    findings: list[Finding] = []
    console = Console(highlight=False, soft_wrap=True)

    def tell(finding: Finding) -> None:
        findings.append(finding)
        told = finding.variant or f"not told: {printable(finding.because)}"
        console.print(f"{finding.doubt:<28}{told}", markup=False)

    refusal: Refused | None = None

    async def ask() -> None:
        nonlocal refusal
        try:
            await probe(endpoint, Transcript(file), tell, only=only, agent=agent)
        except Refused as error:
            refusal = error

    try:
        with out.open("x", encoding="utf-8") as file:
            interrupted = run_until_interrupted(ask)
    except FileExistsError as error:
        raise CommandFailed(f"{out} is there already; name another file or remove it") from error
    except OSError as error:
        raise CommandFailed(f"{out}: {error.strerror or error}") from error
    if interrupted:
        return INTERRUPTED
    if refusal is not None:
        print(f"phonic-fsm: {printable(str(refusal))}", file=sys.stderr)  # noqa: T201
        return 1
    _sum_up(console, findings, out)
    return 0


def _sum_up(console: Console, findings: list[Finding], out: Path) -> None:
    told = {finding.doubt: finding.variant for finding in findings if finding.variant}
    summary = f"{len(told)} of {len(findings)} are told; every message is in {printable(str(out))}"
    console.print(f"\n{summary}", markup=False)
    others = [d for d in DOUBTS if told.get(d.name, d.default) != d.default]
    if others:
        choices = " ".join(f"--doubt {doubt.name}={told[doubt.name]}" for doubt in others)
        console.print(f"the simulator does the same with: phonic-fsm simulate {choices}")
