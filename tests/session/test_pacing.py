"""Words appear in the room as they are spoken, and nobody estimates when that is."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, asynccontextmanager

import anyio
import pytest
from livekit.agents import AgentSession
from livekit.agents.testing import fake_job_context
from livekit.agents.voice import io
from livekit.agents.voice.transcription import TranscriptSynchronizer
from livekit.agents.voice.transcription import _speaking_rate as livekit_estimate
from support.receptionist import Receptionist, Seen
from support.scripted import PATIENCE, SILENCE

from phonic_fsm._wire import server as phonic
from phonic_fsm.testing import Playback

pytestmark = pytest.mark.anyio

WORDS = ("One ", "two ", "three ", "four.")
WORD_SECONDS = 0.4


class Page(io.TextOutput):
    """Where the words appear."""

    def __init__(self) -> None:
        super().__init__(label="page", next_in_chain=None)
        self.words: list[tuple[str, float]] = []

    async def capture_text(self, text: str) -> None:
        self.words.append((str(text), time.time()))

    def flush(self) -> None:
        pass


@asynccontextmanager
async def paced(model, server, *, in_a_job):
    """A call with outputs as a room has them, its server side, and where words appear."""
    page, playback = Page(), Playback(24_000)
    synchronizer = TranscriptSynchronizer(next_in_chain_audio=playback, next_in_chain_text=page)
    with ExitStack() as stack:
        if in_a_job:
            stack.enter_context(stack.enter_context(fake_job_context())._tempdir)
        session = AgentSession(llm=model)
        session.output.audio = synchronizer.audio_output
        session.output.transcription = synchronizer.text_output
        began = asyncio.get_running_loop().create_future()
        playback.once("playback_started", lambda event: began.set_result(event.created_at))
        seen = Seen(session)
        await session.start(Receptionist())
        try:
            peer = await server.accept()
            await peer.open_conversation()
            yield peer, page, seen, began
        finally:
            await session.aclose()
            await synchronizer.aclose()


async def speak(peer) -> None:
    chunk = SILENCE * round(WORD_SECONDS / 0.02)
    await peer.send(
        phonic.AssistantStartedSpeaking(),
        *(phonic.AudioChunk(chunk, word) for word in WORDS),
        phonic.AssistantFinishedSpeaking(),
    )


@pytest.fixture
def estimated(monkeypatch):
    """The frames that LiveKit estimates the rate of speech from."""
    frames = []
    monkeypatch.setattr(
        livekit_estimate.SpeakingRateStream, "push_frame", lambda _, frame: frames.append(frame)
    )
    return frames


async def test_words_appear_with_the_voice_and_without_an_estimate(make_model, server, estimated):
    async with paced(make_model(), server, in_a_job=True) as (peer, page, seen, began):
        for _ in range(2):
            await speak(peer)
            assert (await seen.message("assistant")).text_content == "".join(WORDS)
        first = page.words[: len(page.words) // 2]
        assert "".join(word for word, _ in first) == "".join(WORDS)
        # The last word is spoken from 1.2 s on, and the page is told in the middle of its wait.
        assert first[-1][1] - await began > 0.6
    assert not estimated


async def test_what_was_not_heard_does_not_appear(make_model, server):
    async with paced(make_model(), server, in_a_job=True) as (peer, page, _, began):
        await speak(peer)
        with anyio.fail_after(PATIENCE):
            await began
        await peer.send(phonic.UserStartedSpeaking())
    assert "".join(word for word, _ in page.words) != "".join(WORDS)


async def test_outside_of_a_job_livekit_does_as_it_does(make_model, server, estimated):
    async with paced(make_model(), server, in_a_job=False) as (peer, _, seen, _):
        await speak(peer)
        await seen.message("assistant")
    assert estimated
