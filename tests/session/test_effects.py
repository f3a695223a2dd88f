"""Every effect has somebody who carries it out."""

from __future__ import annotations

import pytest
from support.scripted import conversation

from phonic_fsm._core.effects import EFFECTS

pytestmark = pytest.mark.anyio


async def test_a_session_carries_out_every_effect(make_model, server):
    async with conversation(make_model(), server) as (session, _, _):
        carried_out = {kind.__struct_config__.tag for kind in session._runtime._perform}
    assert set(EFFECTS) - carried_out == set(), "give each a method in one of the two sessions"
