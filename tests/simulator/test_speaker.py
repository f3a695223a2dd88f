"""The simulator's voice: what a stop leaves behind."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.simulator import Doubts
from phonic_fsm.simulator._channel import Channel, News
from phonic_fsm.simulator._floor import Floor
from phonic_fsm.simulator._settings import Settings
from phonic_fsm.simulator._speaker import Speaker

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("turns", range(6))
async def test_nobody_speaks_after_a_stop_however_far_the_line_had_come(turns):
    async with anyio.create_task_group() as tasks:
        speaker = Speaker(Channel(News(), Doubts()), Floor())
        speaker.settings = Settings.of(ConfigOptions())
        speaker.tasks = tasks
        speaker.begin(lambda: speaker.speak("Hello there."))
        for _ in range(turns):
            await checkpoint()
        speaker.stop()
        for _ in range(10):
            await checkpoint()
        assert not speaker.is_speaking
        tasks.cancel_scope.cancel()
