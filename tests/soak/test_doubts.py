"""Every situation of a call, under those variants of the open questions that matter in it.

The whole matrix is measured by ``soak.doubts``, and stands in ``docs/reliability.md``.
"""

from __future__ import annotations

import pytest
from soak.doubts import PAGE, ROWS, SITUATIONS, matrix_of, outcomes, table
from soak.reliability import ENDS, OUTCOMES, in_a_hurry
from support import clock

from phonic_fsm.simulator import DOUBTS

TEXT = PAGE.read_text(encoding="utf-8")
MATRIX = matrix_of(TEXT)


@pytest.fixture
def anyio_backend():
    """What is waited for takes an eighth of its time."""
    return clock.backend(speed=8)


def chosen(name: str) -> list[str]:
    """The choices under which a situation is played here: those that matter in it, and one each of
    the others and of the random ones, which differs from situation to situation."""
    about = [
        choice
        for choice, doubts in ROWS.items()
        if any(d.partition("=")[0] in SITUATIONS[name].about for d in doubts.differences())
        and not choice.startswith("seed")
    ]
    place = list(SITUATIONS).index(name)
    others = [choice for choice in ROWS if choice not in about and not choice.startswith("seed")]
    seeds = [choice for choice in ROWS if choice.startswith("seed")]
    few = len(SITUATIONS)
    return ["the defaults", *about, *others[place::few], seeds[place % len(seeds)]]


@pytest.mark.anyio
@pytest.mark.parametrize("name", SITUATIONS)
async def test_a_situation_ends_as_the_page_says(name):
    choices = chosen(name)
    with in_a_hurry():
        found = await outcomes((name, choice) for choice in choices)
    assert found[name] == {choice: MATRIX[name][choice] for choice in choices}


def test_every_doubt_matters_somewhere():
    about = frozenset().union(*(situation.about for situation in SITUATIONS.values()))
    assert {doubt.name for doubt in DOUBTS} == about


def test_no_outcome_is_that_something_hangs_or_is_lost():
    found = {outcome for row in MATRIX.values() for outcome in row.values()}
    assert {outcome for outcome in found if not outcome.startswith(ENDS)} <= set(OUTCOMES)


def test_the_matrix_is_up_to_date():
    assert table(MATRIX) in TEXT, "run PYTHONPATH=tests python -m soak.doubts"
    assert list(MATRIX) == list(SITUATIONS)
