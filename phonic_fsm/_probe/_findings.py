"""Goes through the experiments, and gives what is found about each doubt, or why it is not told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import anyio

from .._runtime.endpoint import Endpoint
from ..simulator import DOUBTS
from ._experiments import EXPERIMENTS, Caller, Experiment, NotSeen
from ._line import Refused, Transcript

UNPROBED = {"longest_session": "it takes an hour"}
"""The doubts about which there is no experiment, and why."""


class Finding(NamedTuple):
    """What is known of one doubt now."""

    doubt: str
    variant: str | None
    """``None`` if it could not be told."""
    because: str = ""
    """Why it could not be told."""


async def probe(
    endpoint: Endpoint,
    transcript: Transcript,
    tell: Callable[[Finding], None],
    *,
    only: Collection[str] = (),
    agent: str | None = None,
) -> None:
    """Tell a finding about each doubt, one after the other; about ``only`` these, if any is given.

    ``agent`` is the name of an agent at Phonic that has a welcome.

    Raises:
        Refused: Phonic does not let the probe in.
    """

    def tell_if_wanted(finding: Finding) -> None:
        if not only or finding.doubt in only:
            tell(finding)

    refusal: Refused | None = None
    async with anyio.create_task_group() as tasks:
        caller = Caller(endpoint, transcript, tasks, agent=agent)
        try:
            for experiment in EXPERIMENTS:
                if not only or set(only) & set(experiment.about):
                    await _carry_out(experiment, caller, tell_if_wanted)
        except Refused as error:
            # If it left the task group, it would be wrapped in an exception group.
            refusal = error
    if refusal is not None:
        raise refusal
    for doubt, because in UNPROBED.items():
        tell_if_wanted(Finding(doubt, None, because))


async def _carry_out(
    experiment: Experiment, caller: Caller, tell: Callable[[Finding], None]
) -> None:
    untold = list(experiment.about)

    def tell_variant(doubt: str, variant: str) -> None:
        untold.remove(doubt)
        tell(_checked(doubt, variant))

    try:
        await experiment.run(caller, tell_variant)
    except NotSeen as reason:
        for doubt in untold:
            tell(Finding(doubt, None, str(reason)))


def _checked(doubt: str, variant: str) -> Finding:
    """The finding, if it is a variant that is known."""
    (known,) = (known.variants for known in DOUBTS if known.name == doubt)
    if variant in known:
        return Finding(doubt, variant)
    return Finding(doubt, None, f"it is {variant}, which is none of {', '.join(known)}")
