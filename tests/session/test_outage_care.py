"""What the caller hears while Phonic is away: through a real AgentSession, on a real socket."""

from __future__ import annotations

import asyncio
import wave

import anyio
import numpy as np
import pytest
from livekit.agents import Agent, APIConnectOptions
from support.receptionist import Receptionist, call
from support.scripted import PATIENCE, SILENCE, PhonicServer

from phonic_fsm import ConnectionLost, ConversationEnded, Outage, SpokenLine, observe
from phonic_fsm._adapter import outage as care
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio

SOON = APIConnectOptions(max_retry=0, retry_interval=0, timeout=5)


@pytest.fixture
def tone(tmp_path):
    """A line of 0.3 s that is not silent."""
    path = tmp_path / "line.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes((np.sin(np.arange(7_200) / 10) * 8_000).astype("<i2").tobytes())
    return path


@pytest.fixture
def hold(tone):
    return SpokenLine(tone, "One moment, please.")


@pytest.fixture
def goodbye(tone):
    return SpokenLine(tone, "I am sorry. Please call again.")


def loudness(playback):
    """The loudest sample that the caller has heard."""
    samples = np.frombuffer(playback.recording().pcm, np.int16)
    return max((abs(int(sample)) for sample in samples), default=0)


async def words(seen):
    return (await seen.message("assistant")).text_content


async def test_a_long_outage_is_bridged_and_the_conversation_goes_on(make_model, server, hold):
    outage = Outage(holding_line=hold, after=0.0)
    async with call(make_model(outage=outage), server) as (session, peer, seen):
        observe(session)
        playback = session.output.audio
        peer.cut()
        resumed = await server.accept()
        assert await words(seen) == "One moment, please."
        assert loudness(playback) > 5_000
        await resumed.send(phonic.ConversationReconnected())
        await resumed.speak("Here I am.", audio=SILENCE)
        assert await words(seen) == "Here I am."


async def test_of_a_short_outage_nothing_is_heard(make_model, server, hold):
    outage = Outage(holding_line=hold, after=600.0)
    async with call(make_model(outage=outage), server) as (session, peer, seen):
        observe(session)
        playback = session.output.audio
        peer.cut()
        await (resumed := await server.accept()).send(phonic.ConversationReconnected())
        await resumed.speak("Here I am.", audio=SILENCE)
        assert await words(seen) == "Here I am."
        assert loudness(playback) == 0


async def test_the_line_is_cut_off_when_the_conversation_goes_on(make_model, server, tmp_path):
    long = tmp_path / "long.wav"
    with wave.open(str(long), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(b"\1\1" * 24_000 * 600)
    outage = Outage(holding_line=SpokenLine(long, "One moment, please."), after=0.0)
    async with call(make_model(outage=outage), server) as (session, peer, seen):
        observe(session)
        peer.cut()
        resumed = await server.accept()
        with anyio.fail_after(PATIENCE):
            while not session.output.audio.playing:  # noqa: ASYNC110 - it has no event for it
                await anyio.sleep(0.001)
        await resumed.send(phonic.ConversationReconnected())
        await resumed.speak("Here I am.", audio=SILENCE)
        assert (await seen.message("assistant")).interrupted
        assert await words(seen) == "Here I am."


async def test_at_the_end_of_all_attempts_the_caller_hears_a_goodbye(make_model, server, goodbye):
    model = make_model(outage=Outage(goodbye=goodbye), conn_options=SOON)
    async with call(model, server) as (session, peer, seen):
        observe(session)
        playback = session.output.audio
        server.refuse = 503
        peer.cut()
        assert await words(seen) == "I am sorry. Please call again."
        event = await seen.close()
        assert isinstance(event.error.error, ConnectionLost)
        assert loudness(playback) > 5_000


async def test_a_call_that_was_ended_on_purpose_has_no_goodbye(make_model, server, goodbye):
    asked = []

    async def way_out(session, error):
        asked.append(error)

    outage = Outage(goodbye=goodbye, way_out=way_out)
    async with call(make_model(outage=outage), server) as (session, peer, seen):
        observe(session)
        playback = session.output.audio
        await peer.send(phonic.AssistantEndedConversation())
        assert isinstance((await seen.close()).error.error, ConversationEnded)
        assert not asked
        assert loudness(playback) == 0


async def test_the_author_can_go_on_with_another_model(make_model, server, goodbye):
    """The other one has the history, and the same caller."""
    async with PhonicServer() as other:
        another_model = make_model(base_url=other.url)

        async def way_out(session, error):
            history = session.history.copy(exclude_instructions=True)
            session.update_agent(
                Agent(instructions="You help out.", chat_ctx=history, llm=another_model)
            )
            return True

        outage = Outage(goodbye=goodbye, way_out=way_out)
        async with call(make_model(outage=outage, conn_options=SOON), server) as (
            session,
            peer,
            seen,
        ):
            observe(session)
            await peer.speak("We open at nine.", audio=SILENCE)
            assert await words(seen) == "We open at nine."
            server.refuse = 503
            peer.cut()
            stand_in = await other.accept()
            config = await stand_in.open_conversation()
            assert "We open at nine." in config.system_prompt
            await stand_in.speak("Where were we?", audio=SILENCE)
            assert await words(seen) == "I am sorry. Please call again."
            assert await words(seen) == "Where were we?"
            assert seen.closed.empty()


async def test_the_author_may_close_the_session(make_model, server):
    async def way_out(session, error):
        await session.aclose()

    model = make_model(outage=Outage(way_out=way_out), conn_options=SOON)
    async with call(model, server) as (session, peer, seen):
        observe(session)
        server.refuse = 503
        peer.cut()
        assert (await seen.close()).reason.value == "user_initiated"


async def fail(session, error):
    raise RuntimeError("the telephone exchange does not answer")


async def hang(session, error):
    await anyio.sleep_forever()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(care, "LONGEST_WAY_OUT", 0.05)


def raising(error):
    async def way_out(session, _):
        raise error("from a way out")

    return way_out


@pytest.mark.parametrize(
    ("way_out", "said"),
    [
        (fail, "way_out raised"),
        (hang, "way_out has not returned"),
        # No Exception, such as the result() of a superseded reply raises.
        (raising(asyncio.CancelledError), "way_out raised"),
        (raising(pytest.fail.Exception), "way_out raised"),
    ],
    ids=["fails", "hangs", "cancelled", "failed"],
)
@pytest.mark.usefixtures("impatient")
async def test_a_way_out_that_fails_ends_the_call(way_out, said, make_model, server, caplog):
    model = make_model(outage=Outage(way_out=way_out), conn_options=SOON)
    async with call(model, server) as (session, peer, seen):
        observe(session)
        server.refuse = 503
        peer.cut()
        assert isinstance((await seen.close()).error.error, ConnectionLost)
    assert said in caplog.text


async def test_a_caller_who_hangs_up_in_the_goodbye_is_not_waited_for(make_model, server, goodbye):
    asked = []

    async def way_out(session, error):
        asked.append(error)

    model = make_model(outage=Outage(goodbye=goodbye, way_out=way_out), conn_options=SOON)
    async with call(model, server) as (session, peer, _):
        observe(session)
        server.refuse = 503
        peer.cut()
        with anyio.fail_after(PATIENCE):
            while not session.output.audio.playing:  # noqa: ASYNC110 - it has no event for it
                await anyio.sleep(0.001)
            await session.aclose()
        assert not asked


async def test_without_an_agent_session_the_log_says_why_nothing_is_played(
    make_model, server, goodbye, caplog
):
    model = make_model(outage=Outage(goodbye=goodbye), conn_options=SOON)
    async with call(model, server, Receptionist()) as (_, peer, seen):
        server.refuse = 503
        peer.cut()
        assert isinstance((await seen.close()).error.error, ConnectionLost)
    assert "see observe()" in caplog.text


async def test_phonic_is_told_what_was_said_while_it_was_away(make_model, server, hold):
    outage = Outage(holding_line=hold, after=0.0)
    async with call(make_model(outage=outage), server) as (session, peer, seen):
        observe(session)
        peer.cut()
        resumed = await server.accept()
        await words(seen)
        await resumed.send(phonic.ConversationReconnected())
        session.generate_reply(instructions="Go on.")
        told = await resumed.expect(client.AddSystemMessage)
        assert "One moment, please." in told.system_message
        await resumed.expect(client.GenerateReply)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"after": -1}, "after must be a time"),
        ({"after": float("nan")}, "after must be a time"),
        ({"after": True}, "after must be a time"),
        ({"way_out": 3}, "way_out must be an async function"),
        ({"goodbye": "bye.wav"}, "goodbye must be a SpokenLine"),
        ({"holding_line": SpokenLine("missing.wav", "?")}, "holding_line: 'missing.wav' cannot be"),
        ({"goodbye": SpokenLine(__file__, "?")}, "goodbye: .* cannot be read as audio"),
    ],
)
def test_what_cannot_work_is_said_at_once(options, said):
    with pytest.raises(ValueError, match=said):
        Outage(**options)


async def test_the_model_takes_nothing_but_an_outage(make_model):
    with pytest.raises(ValueError, match="outage must be an Outage"):
        make_model(outage="hold.wav")
