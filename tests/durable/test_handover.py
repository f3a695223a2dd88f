"""A call is handed over to another session, whatever Phonic does when it is resumed."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from livekit import rtc
from livekit.agents import llm
from livekit.agents.testing import fake_job_context
from support.chirp import RATE, chirp, heard
from support.job import TOKEN
from support.processes import LONGEST

from phonic_fsm import CallTakenOver, RealtimeModel, State
from phonic_fsm._adapter import moving
from phonic_fsm.durable import _directory, journals
from phonic_fsm.durable._dispatch import Errand, to_metadata
from phonic_fsm.simulator import Doubts, PhonicSimulator, Scenario
from phonic_fsm.trace import replay

pytestmark = pytest.mark.anyio

FRAME_MS = 50

LATER = 2
"""By so many frames the successor hears the caller later."""


class Side:
    """One of the two processes, as far as the call is concerned."""

    def __init__(self, place, url):
        self.place = place
        self.model = RealtimeModel(api_key="any", base_url=url, journal=place)
        self.told = []
        self.errors = []
        self._job = fake_job_context()

    async def __aenter__(self):
        self.context = context = self._job.__enter__()
        context._info.token = TOKEN
        context._on_shutdown = self.told.append
        return self

    async def __aexit__(self, *raised):
        await self.session.aclose()
        self._job.__exit__(*raised)
        self.context._tempdir.cleanup()

    async def succeed(self, name):
        """Become the successor in this call."""

        async def connect():
            pass

        setattr(self.context, "connect", connect)  # noqa: B010 - there is no room
        self.context.job.metadata = to_metadata(Errand(name, moves=True))
        self.past = await self.model.recover(self.context)

    async def begin(self, chat_ctx):
        self.session = self.model.session()
        self.session.on("error", self.errors.append)
        await self.session._update_session(instructions="Be kind.", chat_ctx=chat_ctx, tools=[])

    async def until(self, state):
        with anyio.fail_after(LONGEST):
            while self.session.state is not state:  # noqa: ASYNC110
                await anyio.sleep(0.005)


VARIANTS = {
    "the defaults": 1,
    "early_resume=refused_once": 1,
    "early_resume=refused": 2,
    "resumed_turn=goes_on": 1,
    "closed_by_client=can_be_resumed": 1,
    "all=other": 1,
}
"""How many conversations Phonic has had in the end, by what it does."""


async def speak_to(former, successor):
    """Say a tone that tells which part of it is which. The successor hears it a little later."""
    pcm = chirp(30).pcm
    size = RATE * FRAME_MS // 1000 * 2
    frames = [
        rtc.AudioFrame(pcm[at : at + size], RATE, 1, size // 2) for at in range(0, len(pcm), size)
    ]
    for number, frame in enumerate(frames):
        former.push_audio(frame)
        if number >= LATER:
            successor.push_audio(frames[number - LATER])
        await anyio.sleep(FRAME_MS / 1000)


async def hand_over(place, variant, expected):
    doubts = Doubts.read([] if variant == "the defaults" else [variant])
    async with (
        PhonicSimulator(Scenario(), doubts=doubts) as phonic,
        Side(place, phonic.url) as former,
    ):
        await former.begin(llm.ChatContext.empty())
        await former.until(State.ready)
        former.model.remember("of one call")
        store = journals(place)
        with anyio.fail_after(LONGEST):
            while not (there := store.statuses()):  # noqa: ASYNC110
                await anyio.sleep(0.005)
            [name] = [one.name for one in there]
            while b"of one call" not in b"".join(store.read(name)):  # noqa: ASYNC110
                await anyio.sleep(0.005)
        async with Side(place, phonic.url) as successor:
            await successor.succeed(name)
            assert successor.past.state == "of one call"
            await successor.begin(successor.past.chat_ctx)

            def sent():
                return b"".join(bytes(one.audio) for one in phonic.conversations)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(speak_to, former.session, successor.session)
                await former.until(State.closed)
                at = len(sent())
                with anyio.fail_after(LONGEST):
                    await phonic.wait_for(lambda: len(sent()) > at + RATE * 2)
                tasks.cancel_scope.cancel()
            assert len(phonic.conversations) == expected
            came = heard(sent())
            assert came.first < 0.1
            assert max(came.lost, came.doubled) < 0.03, (variant, came)
    assert [type(error.error) for error in former.errors] == [CallTakenOver]
    steps = [step.line.event["type"] for step in replay(Path(place) / name / "journal.jsonl")]
    assert steps.count("take_over") == 1


async def test_whatever_phonic_does_the_caller_is_heard_once(tmp_path, monkeypatch):
    monkeypatch.setattr(moving, "LONGEST_WAIT", 0.5)  # somebody always speaks
    # On a busy machine all these hearts may be late, and the owner is this process.
    monkeypatch.setattr(_directory, "STILL_SECONDS", LONGEST)
    async with anyio.create_task_group() as calls:
        for variant, conversations in VARIANTS.items():
            calls.start_soon(hand_over, str(tmp_path / variant), variant, conversations)
