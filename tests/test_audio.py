"""Audio, both ways."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from livekit import rtc
from scripted import SILENCE, conversation, read, settle, started

from phonic_fsm.wire import client
from phonic_fsm.wire import server as phonic

pytestmark = pytest.mark.anyio

RATES = [44100, 24000, 16000, 8000]


def tone(milliseconds, rate=24000, channels=1, amplitude=8000):
    """A 440 Hz tone, the same in each channel."""
    times = np.arange(rate * milliseconds // 1000) / rate
    mono = (np.sin(2 * np.pi * 440 * times) * amplitude).astype(np.int16)
    return np.repeat(mono, channels)


def frames(samples, rate=24000, channels=1, milliseconds=10):
    size = rate * milliseconds // 1000 * channels
    for start in range(0, len(samples), size):
        part = samples[start : start + size]
        yield rtc.AudioFrame(part.tobytes(), rate, channels, len(part) // channels)


def push(session, samples, rate=24000, channels=1, milliseconds=10):
    for frame in frames(samples, rate, channels, milliseconds):
        session.push_audio(frame)


async def everything_heard(session, peer):
    """All audio that the server gets until the session, which is closed, has gone."""
    await session.aclose()
    assert await peer.receive() is None
    return np.frombuffer(b"".join(peer.audio), np.int16)


async def test_caller_audio_is_dropped_until_the_server_is_ready(make_model, server):
    async with started(make_model()) as (session, emitted):
        push(session, tone(100))
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.expect(client.Config)
        push(session, tone(100))
        await peer.send(phonic.ReadyToStartConversation())
        await emitted.state("ready")
        push(session, np.full(480, 7, np.int16))
        heard = await everything_heard(session, peer)
    assert heard.tolist() == [7] * 480


async def test_audio_of_the_wire_rate_goes_out_unchanged_in_20_ms_chunks(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        push(session, tone(100))
        chunks = await peer.receive_audio(5)
    assert [len(chunk) for chunk in chunks] == [960] * 5
    assert b"".join(chunks) == tone(100).tobytes()


async def test_caller_audio_is_base64_on_the_wire(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        push(session, tone(20))
        message = await peer.receive_json()
    assert message == {
        "type": "audio_chunk",
        "audio": base64.b64encode(tone(20).tobytes()).decode(),
    }


@pytest.mark.parametrize("milliseconds", [5, 10, 30, 100])
async def test_frames_of_any_length_are_cut_into_chunks(milliseconds, make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        push(session, tone(600), milliseconds=milliseconds)
        chunks = await peer.receive_audio(30)
    assert {len(chunk) for chunk in chunks} == {960}
    assert b"".join(chunks) == tone(600).tobytes()


async def test_stereo_is_mixed_down(make_model, server):
    stereo = np.tile(np.array([1000, 3000], np.int16), 480)
    async with conversation(make_model(), server) as (session, peer, _):
        push(session, stereo, channels=2)
        [chunk] = await peer.receive_audio(1)
    assert np.frombuffer(chunk, np.int16).tolist() == [2000] * 480


async def test_another_rate_is_resampled(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        push(session, tone(1000, 48000, 2), 48000, 2)
        heard = await everything_heard(session, peer)
    # The resampler still holds the newest 20 ms or so, and the next chunk may have begun.
    assert 24000 - 960 <= len(heard) <= 24000
    loudness = np.sqrt(np.mean(heard[2400:-2400].astype(float) ** 2))
    assert loudness == pytest.approx(8000 / np.sqrt(2), rel=0.02)
    crossings = np.count_nonzero(np.diff(np.signbit(heard[2400:21600])))
    assert crossings == pytest.approx(2 * 440 * 0.8, abs=4)


async def test_a_change_of_rate_loses_no_audio(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        for rate, channels in [(48000, 2), (16000, 1), (44100, 2), (24000, 1)]:
            push(session, tone(250, rate, channels), rate, channels)
        heard = await everything_heard(session, peer)
    assert abs(len(heard) - 24000) <= 480


@pytest.mark.parametrize("rate", RATES)
async def test_the_audio_format_holds_both_ways(rate, make_model, server):
    async with started(make_model(audio_format=f"pcm_{rate}")) as (session, emitted):
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        config = await peer.open_conversation()
        assert config.input_format == config.output_format == f"pcm_{rate}"
        await emitted.state("ready")

        push(session, tone(40, rate), rate)
        assert [len(chunk) for chunk in await peer.receive_audio(2)] == [rate // 50 * 2] * 2

        pcm = tone(20, rate).tobytes()
        await peer.speak("Hm.", audio=pcm)
        message = await anext(aiter((await emitted.next("generation_created")).message_stream))
        frame = await anext(aiter(message.audio_stream))
        assert (frame.sample_rate, frame.num_channels, bytes(frame.data)) == (rate, 1, pcm)


async def test_assistant_audio_arrives_as_it_was_sent(make_model, server):
    pcm = tone(500).tobytes()
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            *(phonic.AudioChunk(pcm[start : start + 960], "la ") for start in range(0, 24000, 960)),
            phonic.AssistantFinishedSpeaking(),
        )
        heard = await read(await emitted.next("generation_created"))
    assert heard.audio == pcm


async def test_chunks_without_text_and_without_a_turn_are_dropped(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.AudioChunk(tone(20).tobytes()))
        assert await settle(peer, emitted) == []
        await peer.speak("Hm.")
        assert (await read(await emitted.next("generation_created"))).audio == SILENCE


async def test_half_a_sample_at_a_chunks_end_is_left_out(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.speak("Hm.", audio=b"\1\2\3\4\5")
        assert (await read(await emitted.next("generation_created"))).audio == b"\1\2\3\4"


async def test_a_chunk_with_text_alone_has_no_audio(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.speak("Hm.", audio=b"")
        heard = await read(await emitted.next("generation_created"))
    assert (heard.text, heard.audio) == ("Hm.", b"")
