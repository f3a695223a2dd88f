"""What livekit-plugins-phonic sends and emits, this package sends and emits too.

Both run the same scripts (``differential_scenarios``) against the same server, at the level of the
realtime session. Where they differ, ``differential_table`` says how and why; a difference that is
not there fails, and so does one that is there and does not exist any more. The plugin is the
release that is installed: 1.4.5 in ``tox -e former-plugin``, 1.8 in ``tox -e current-plugin``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import phonic.environment
import pytest
from parity.differential import PACKAGES, RELEASE, run
from parity.differential_scenarios import SCENARIOS, Scenario
from parity.differential_table import ABSENT, AS_WE_DO, EVERYWHERE, INTENDED_DIFFERENCES
from support.clock import PatientLoop

pytestmark = pytest.mark.anyio

RUNNABLE = [scenario for scenario in SCENARIOS if RELEASE in scenario.releases]


def differences(plugin: dict[str, Any], ours: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Aspect → its value in either outcome, where they are not the same."""
    return {
        aspect: (plugin.get(aspect, ABSENT), ours.get(aspect, ABSENT))
        for aspect in {**plugin, **ours}
        if plugin.get(aspect, ABSENT) != ours.get(aspect, ABSENT)
    }


def intended(where: str) -> dict[str, tuple[Any, Any]]:
    """What the table says of a scenario and the installed release."""
    return {
        aspect: (plugin, difference.ours)
        for (name, aspect), difference in INTENDED_DIFFERENCES.items()
        if name == where and (plugin := getattr(difference, RELEASE)) is not AS_WE_DO
    }


def complaints(found: dict[str, tuple[Any, Any]], listed: dict[str, tuple[Any, Any]]) -> str:
    """What is found and not listed, and what is listed and not found."""
    return "\n".join(
        f"{what}: {aspect}\n  plugin: {plugin!r}\n  ours:   {ours!r}"
        for what, has, lacks in (
            ("not intended", found, listed),
            ("intended, but not so any more", listed, found),
        )
        for aspect, (plugin, ours) in has.items()
        if lacks.get(aspect) != (plugin, ours)
    )


@pytest.fixture
def anyio_backend(request):
    """A scenario that waits for long has a clock that runs fast."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    speed = parameters["scenario"].speed if parameters else 1.0
    return "asyncio", {"loop_factory": partial(PatientLoop, speed)}


@pytest.fixture
def compare(monkeypatch):
    """Runs a scenario on both packages; the result is where they differ."""
    environment = phonic.environment.PhonicEnvironment.DEFAULT

    async def compare(scenario: Scenario) -> dict[str, tuple[Any, Any]]:
        plugin, ours = [
            await run(
                package,
                scenario.script,
                scenario.options,
                lambda url: monkeypatch.setattr(environment, "production", url),
            )
            for package in PACKAGES
        ]
        return differences(plugin, ours)

    return compare


@pytest.mark.parametrize("scenario", RUNNABLE, ids=lambda scenario: scenario.name)
async def test_differs_from_the_plugin_only_as_intended(scenario, compare):
    everywhere = intended(EVERYWHERE).items()
    found = dict(item for item in (await compare(scenario)).items() if item not in everywhere)

    problems = complaints(found, intended(scenario.name))
    assert not problems, problems


async def test_what_is_said_to_differ_everywhere_does_differ(compare):
    unseen = intended(EVERYWHERE)
    for scenario in RUNNABLE:
        found = await compare(scenario)
        unseen = {aspect: seen for aspect, seen in unseen.items() if found.get(aspect) != seen}
        if not unseen:
            return
    pytest.fail(f"seen nowhere: {unseen}")


def test_every_intended_difference_belongs_to_a_scenario_and_has_a_reason():
    releases = {scenario.name: scenario.releases for scenario in SCENARIOS}
    releases[EVERYWHERE] = ("former", "current")
    for (name, aspect), difference in INTENDED_DIFFERENCES.items():
        assert difference.reason, (name, aspect)
        differing = {
            release: plugin
            for release in ("former", "current")
            if (plugin := getattr(difference, release)) is not AS_WE_DO
        }
        assert differing.keys() <= set(releases[name]), (name, aspect)
        assert difference.ours not in differing.values(), (name, aspect)
