"""Audio, both ways."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from livekit import rtc
from scripted import SILENCE, conversation, read, settle, started

from phonic_fsm.runtime import mulaw
from phonic_fsm.runtime.audio_format import WIRE_FORMATS
from phonic_fsm.runtime.uplink import Uplink
from phonic_fsm.wire import client
from phonic_fsm.wire import server as phonic

pytestmark = pytest.mark.anyio

RATES = [44100, 24000, 16000, 8000]
FRAME_RATES = [8000, 16000, 22050, 24000, 44100, 48000]


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


# -- the uplink by itself ----------------------------------------------------------------------


class Line:
    """An uplink with an open gate, and what comes out of it."""

    def __init__(self, wire_format):
        self.wire_format = WIRE_FORMATS[wire_format]
        self.rate = self.wire_format.sample_rate
        self.chunks = []
        self.uplink = Uplink(self.wire_format, lambda chunk: self.chunks.append(chunk.audio))
        self.uplink.set_gate("open")

    def push(self, samples, rate, channels=1):
        for frame in frames(samples, rate, channels):
            self.uplink.push(frame)

    def finish(self):
        """20 ms of silence of the wire's rate: it pushes out what a resampler still holds."""
        self.push(np.zeros(self.rate // 50, np.int16), self.rate)

    def samples(self):
        decode = self.wire_format.decode or bytes
        return np.frombuffer(decode(b"".join(self.chunks)), np.int16)


def pitch(samples, rate):
    """Frequency (Hz) of the strongest partial."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 4 * rate))
    return np.argmax(spectrum) / 4


def level(samples):
    """RMS in dB, relative to a tone of amplitude 8000."""
    return 20 * np.log10(max(np.sqrt(2 * np.mean(samples.astype(float) ** 2)), 1e-9) / 8000)


def assert_is_the_tone(samples, rate):
    """Samples that begin with one second of the tone, all of it in its place."""
    assert pitch(samples[:rate], rate) == pytest.approx(440, abs=2)
    assert level(samples[rate // 10 : -rate // 10]) == pytest.approx(0, abs=0.5)
    strayed = samples[:rate].astype(float) - tone(1000, rate)
    assert level(strayed) < -35


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frame_rate", FRAME_RATES)
@pytest.mark.parametrize("wire_format", WIRE_FORMATS)
def test_a_second_stays_a_second(wire_format, frame_rate, channels):
    line = Line(wire_format)
    line.push(tone(1000, frame_rate, channels), frame_rate, channels)
    line.finish()
    assert {len(chunk) for chunk in line.chunks} == {
        line.rate // 50 * line.wire_format.sample_bytes
    }
    heard = line.samples()
    # With what finishes it; less what has begun the next chunk.
    assert line.rate <= len(heard) <= line.rate + line.rate // 50
    assert_is_the_tone(heard, line.rate)


@pytest.mark.parametrize("wire_format", WIRE_FORMATS)
def test_changes_of_rate_and_channels_lose_nothing(wire_format):
    line = Line(wire_format)
    # 110 periods each: together they are one long tone.
    for rate, channels in [(48000, 2), (48000, 1), (16000, 1), (44100, 2)]:
        line.push(tone(250, rate, channels), rate, channels)
    line.finish()
    heard = line.samples()
    assert line.rate <= len(heard) <= line.rate + line.rate // 50
    assert_is_the_tone(heard, line.rate)


def test_a_change_of_channels_alone_does_not_touch_the_samples():
    line = Line("pcm_24000")
    for channels in (1, 2, 3, 1):
        line.push(tone(250, 24000, channels), 24000, channels)
    assert np.array_equal(line.samples(), np.tile(tone(250), 4))


@pytest.mark.parametrize("channels", [2, 3])
def test_the_downmix_does_not_overflow(channels):
    for extreme in (-32768, 32767):
        line = Line("pcm_24000")
        line.push(np.full(480 * channels, extreme, np.int16), 24000, channels)
        assert line.samples().tolist() == [extreme] * 480


@pytest.mark.parametrize("wire_format", ["pcm_8000", "mulaw_8000"])
def test_what_is_too_high_for_the_wire_is_not_heard_as_something_else(wire_format):
    line = Line(wire_format)
    times = np.arange(48000) / 48000
    line.push((np.sin(2 * np.pi * 6000 * times) * 8000).astype(np.int16), 48000)
    assert level(line.samples()[800:]) < -40


def test_a_chunk_leaves_with_the_frame_that_fills_it():
    line = Line("pcm_24000")
    for count, frame in enumerate(frames(tone(200), milliseconds=10), start=1):
        line.uplink.push(frame)
        assert len(line.chunks) == count // 2


@pytest.mark.parametrize("frame_rate", [24000, 48000])
def test_nothing_from_before_a_closed_gate_is_heard_after_it(frame_rate):
    line = Line("pcm_24000")
    line.push(tone(110, frame_rate), frame_rate)
    line.uplink.set_gate("closed")
    line.push(tone(110, frame_rate), frame_rate)
    line.uplink.set_gate("open")
    del line.chunks[:]
    line.push(np.zeros(frame_rate // 5, np.int16), frame_rate)
    line.finish()
    assert len(line.chunks) == 11
    # The resampler dithers the lowest bit.
    assert np.abs(line.samples()).max() <= 1


def test_audio_that_was_held_goes_on_without_a_seam():
    line = Line("pcm_24000")
    sound = np.split(tone(1000, 48000), 4)
    for gate, part in zip(["open", "holding", "open", "open"], sound, strict=True):
        line.uplink.set_gate(gate)
        line.push(part, 48000)
    line.finish()
    assert_is_the_tone(line.samples(), 24000)


# -- mu-law ------------------------------------------------------------------------------------

ALL_SAMPLES = np.arange(-32768, 32768).astype("<i2")
ALL_CODES = bytes(range(256))


def test_mulaw_is_what_the_standard_library_made():
    audioop = pytest.importorskip("audioop", reason="Python 3.13 has no audioop to compare with")
    assert mulaw.encode(ALL_SAMPLES.tobytes()) == audioop.lin2ulaw(ALL_SAMPLES.tobytes(), 2)
    assert mulaw.decode(ALL_CODES) == audioop.ulaw2lin(ALL_CODES, 2)


@pytest.mark.parametrize(
    ("code", "sample"),
    [
        (0xFF, 0), (0xFE, 8), (0xF0, 120), (0xEF, 132), (0xDF, 396), (0xCF, 924), (0xBF, 1980),
        (0xAF, 4092), (0x9F, 8316), (0x8F, 16764), (0x80, 32124), (0x7E, -8), (0x00, -32124),
    ],
)  # fmt: skip
def test_mulaw_has_the_values_of_the_standard(code, sample):
    """G.711, tables 2a and 2b, times 4: they are about 14 bits."""
    assert np.frombuffer(mulaw.decode(bytes([code])), "<i2").tolist() == [sample]
    assert mulaw.encode(np.array([sample], "<i2").tobytes()) == bytes([code])


def test_mulaw_keeps_samples_within_a_quantisation_step():
    there_and_back = np.frombuffer(mulaw.decode(mulaw.encode(ALL_SAMPLES.tobytes())), "<i2")
    size, error = np.abs(ALL_SAMPLES.astype(int)), np.abs(there_and_back - ALL_SAMPLES.astype(int))
    # Half a step, which grows with the segment, and the two bits that are cut off.
    assert (error <= (size + 132) / 32 + 4).all()
    assert (np.diff(there_and_back.astype(int)) >= 0).all()


def test_mulaw_codes_survive_a_round_trip():
    # 0x7F is a negative zero: the only code that has a twin.
    assert mulaw.encode(mulaw.decode(ALL_CODES)) == ALL_CODES.replace(b"\x7f", b"\xff")


def test_no_audio_is_no_mulaw():
    assert mulaw.encode(b"") == mulaw.decode(b"") == b""


async def test_mulaw_holds_both_ways(make_model, server):
    async with started(make_model(audio_format="mulaw_8000")) as (session, emitted):
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        config = await peer.open_conversation()
        assert config.input_format == config.output_format == "mulaw_8000"
        await emitted.state("ready")

        push(session, tone(40, 8000), 8000)
        chunks = await peer.receive_audio(2)
        assert [len(chunk) for chunk in chunks] == [160, 160]
        assert b"".join(chunks) == mulaw.encode(tone(40, 8000).tobytes())

        # An odd number of bytes: each is a sample.
        code = mulaw.encode(tone(20, 8000).tobytes())[:159]
        await peer.speak("Hm.", audio=code)
        message = await anext(aiter((await emitted.next("generation_created")).message_stream))
        frame = await anext(aiter(message.audio_stream))
        assert (frame.sample_rate, frame.num_channels, frame.samples_per_channel) == (8000, 1, 159)
        assert bytes(frame.data) == mulaw.decode(code)
