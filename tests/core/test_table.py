"""The table is total, every row can be reached, and the documents are made from it."""

from __future__ import annotations

from importlib import import_module
from inspect import getmembers, isfunction
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import get_args

import pytest

from phonic_fsm._core import actions, effects, guards
from phonic_fsm._core.events import EVENTS
from phonic_fsm._core.states import ALL, MEANINGS, State
from phonic_fsm._core.table import TABLE, pairs, rows_for
from phonic_fsm._diagram.pages import by_event

DIAGRAM = Path(__file__).parent.parent.parent / "docs" / "state-diagram.md"


@pytest.mark.parametrize(("state", "event"), list(pairs()))
def test_every_pair_is_written_down(state: State, event: str) -> None:
    rows = rows_for(state, event)

    assert rows, f"{event} in {state.value} is not in the table"
    assert not rows[-1].guards, f"{event} in {state.value} may match no row"
    assert all(row.guards for row in rows[:-1]), f"{event} in {state.value} has a dead row"
    for row in rows:
        if row.because:
            assert row.target is None
            assert not row.actions, "an ignored event does nothing"
        else:
            assert row.actions or row.target, "a row that does nothing says why"


def test_ten_states_and_all_their_meanings() -> None:
    assert len(ALL) == 10
    assert set(MEANINGS) == set(ALL)


def test_the_closed_state_is_never_left() -> None:
    assert [row for row in TABLE if State.closed in row.sources and row.targets] == []


def test_every_state_can_be_entered() -> None:
    entered = {target for row in TABLE for target in row.targets} | {State.connecting}

    assert entered == set(ALL)


def functions_of(package: ModuleType) -> set[object]:
    """What the modules of a package define for others."""
    modules = [
        import_module(f"{package.__name__}.{m.name}") for m in iter_modules(package.__path__)
    ]
    return {
        function
        for module in modules
        for name, function in getmembers(module, isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


def test_every_action_and_guard_is_used_and_described() -> None:
    used_actions = {action for row in TABLE for action in row.actions}
    used_guards = {guard for row in TABLE for guard in row.guards}

    assert used_actions == functions_of(actions)
    assert {guard.__module__ for guard in used_guards} == {guards.__name__}
    for function in used_actions | used_guards:
        assert function.__doc__, function.__name__


def test_events_and_effects_have_names_of_their_own() -> None:
    names = [kind.__struct_config__.tag for kind in get_args(effects.Effect)]

    assert len(set(names)) == len(names)
    assert {row.event for row in TABLE} == set(EVENTS)


def test_the_state_diagram_is_up_to_date() -> None:
    assert DIAGRAM.read_text() == by_event(), (
        "docs/state-diagram.md is stale: phonic-fsm diagram --format table > docs/state-diagram.md"
    )
