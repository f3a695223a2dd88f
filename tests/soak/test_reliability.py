"""Every fault at every point of the protocol ends as ``docs/faults.md`` says."""

from __future__ import annotations

from pathlib import Path

import pytest
from soak.reliability import ENDS, OUTCOMES, POINTS, document, in_a_hurry, observe_row, rows_of
from support import clock

DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = rows_of(DOCUMENT)


@pytest.fixture
def anyio_backend():
    """What is waited for takes an eighth of its time."""
    return clock.backend(speed=8)


@pytest.mark.anyio
@pytest.mark.parametrize("point", POINTS)
async def test_each_fault_ends_as_the_document_says(point):
    with in_a_hurry():
        assert await observe_row(point) == ROWS[point]


def test_no_outcome_is_that_something_hangs_or_is_lost():
    outcomes = {outcome for row in ROWS.values() for outcome in row.values()}
    assert {outcome for outcome in outcomes if not outcome.startswith(ENDS)} <= set(OUTCOMES)


def test_the_document_is_up_to_date():
    assert document(ROWS) == DOCUMENT, (
        "run PYTHONPATH=tests python -m soak.reliability > docs/faults.md"
    )
    assert list(ROWS) == list(POINTS)
