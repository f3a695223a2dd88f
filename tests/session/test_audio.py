"""Audio, both ways."""

from __future__ import annotations

import base64
import itertools
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from support.scripted import SILENCE, conversation, read, settle, started

from phonic_fsm._audio import mulaw
from phonic_fsm._audio.formats import WIRE_FORMATS
from phonic_fsm._runtime.uplink import Uplink, silence
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio

RATES = [44100, 24000, 16000, 8000]
FRAME_RATES = [8000, 16000, 22050, 24000, 44100, 48000]

every_way = pytest.mark.parametrize(
    ("wire_format", "frame_rate"), list(itertools.product(WIRE_FORMATS, FRAME_RATES))
)


def tone(milliseconds, rate=24000, channels=1, amplitude=8000, frequency=440):
    """A tone, the same in each channel."""
    times = np.arange(rate * milliseconds // 1000) / rate
    mono = (np.sin(2 * np.pi * frequency * times) * amplitude).astype(np.int16)
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
    assert datetime.fromisoformat(message.pop("iso_date_time")).utcoffset() == timedelta(0)
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
    assert_is_the_tone(heard, 24000)
    assert 24000 - 480 <= len(heard) <= 24000


async def test_a_change_of_rate_loses_no_audio(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        for rate, channels in [(48000, 2), (16000, 1), (44100, 2), (24000, 1)]:
            push(session, tone(250, rate, channels), rate, channels)
        heard = await everything_heard(session, peer)
    assert_is_the_tone(heard, 24000)
    assert 24000 - 480 <= len(heard) <= 24000


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
        self.uplink = Uplink(
            self.wire_format,
            lambda chunk: self.chunks.append(chunk.audio),
            lambda: self.chunks.append(silence(self.wire_format)[0].audio),
        )
        self.set_gate("open")

    def set_gate(self, gate, keep_ms=2000, now=0.0):
        self.uplink.set_gate(gate, keep_ms, now)

    def push(self, samples, rate, channels=1):
        for frame in frames(samples, rate, channels):
            self.uplink.push(frame)

    def chunk_samples(self):
        return [len(chunk) // self.wire_format.sample_bytes for chunk in self.chunks]

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
    """All that there is of the tone is in its place."""
    assert pitch(samples, rate) == pytest.approx(440, abs=2)
    assert level(samples[rate // 10 : -rate // 10]) == pytest.approx(0, abs=0.5)
    assert level(strayed(samples, rate)) < -35


def strayed(samples, rate, frequency=440):
    """What is in the samples beside the tone that begins with them."""
    seconds = -(-len(samples) // rate)
    return samples.astype(float) - tone(1000 * seconds, rate, frequency=frequency)[: len(samples)]


@pytest.mark.parametrize("channels", [1, 2])
@every_way
def test_a_second_that_is_said_is_a_second_that_is_sent(wire_format, frame_rate, channels):
    line = Line(wire_format)
    line.push(tone(1000, frame_rate, channels), frame_rate, channels)
    assert set(line.chunk_samples()) == {line.rate // 50}
    heard = line.samples()
    # Nothing was flushed: the caller may speak on. Less than a chunk is on its way.
    assert line.rate - line.rate // 50 <= len(heard) <= line.rate
    assert_is_the_tone(heard, line.rate)


@every_way
def test_a_flush_sends_all_that_was_said(wire_format, frame_rate):
    line = Line(wire_format)
    line.push(tone(1010, frame_rate), frame_rate)
    line.uplink.flush()
    *whole, last = line.chunk_samples()
    assert whole == [line.rate // 50] * 50
    assert last == pytest.approx(line.rate // 100, abs=1)
    assert_is_the_tone(line.samples(), line.rate)


@pytest.mark.parametrize("frame_rate", [24000, 48000])
def test_what_is_said_after_a_flush_follows_it(frame_rate):
    line = Line("pcm_24000")
    # 55 periods each.
    for part in np.split(tone(1000, frame_rate), 8):
        line.push(part, frame_rate)
        line.uplink.flush()
    assert line.chunk_samples() == ([480] * 6 + [120]) * 8
    assert_is_the_tone(line.samples(), 24000)


@pytest.mark.parametrize("frame_rate", [24000, 48000])
def test_a_flush_of_nothing_sends_nothing(frame_rate):
    line = Line("pcm_24000")
    line.uplink.flush()
    assert line.chunks == []
    line.push(tone(110, frame_rate), frame_rate)
    for _ in range(2):
        line.uplink.flush()
        assert len(line.chunks) == 6


@pytest.mark.parametrize("frame_rate", [24000, 48000])
def test_a_flush_keeps_to_the_gate(frame_rate):
    line = Line("pcm_24000")
    for gate in ("closed", "holding"):
        line.set_gate(gate)
        line.push(tone(110, frame_rate), frame_rate)
        line.uplink.flush()
    assert line.chunks == []
    line.set_gate("open")
    line.uplink.flush()
    assert line.chunk_samples() == [480] * 5 + [240]


@pytest.mark.parametrize("wire_format", WIRE_FORMATS)
def test_changes_of_rate_and_channels_lose_nothing(wire_format):
    line = Line(wire_format)
    # 220 periods each: together they are one long tone.
    for rate, channels in [
        (48000, 2), (48000, 1), (8000, 1), (44100, 2), (22050, 1), (24000, 2), (16000, 1),
    ]:  # fmt: skip
        line.push(tone(500, rate, channels), rate, channels)
    heard = line.samples()
    assert line.rate * 3.48 <= len(heard) <= line.rate * 3.5 + 1
    assert_is_the_tone(heard, line.rate)


@every_way
def test_the_length_of_frames_is_not_heard(wire_format, frame_rate):
    samples = tone(500, frame_rate)
    even, odd = Line(wire_format), Line(wire_format)
    even.push(samples, frame_rate)
    ends = np.cumsum(np.resize([1, 997, 2, 61, 480, 7, 13], 400))
    for part in np.split(samples, ends[ends < len(samples)]):
        odd.uplink.push(rtc.AudioFrame(part.tobytes(), frame_rate, 1, len(part)))
    assert np.array_equal(even.samples(), odd.samples())


def test_a_frame_without_samples_is_no_audio():
    line = Line("pcm_24000")
    line.uplink.push(rtc.AudioFrame(b"", 48000, 1, 0))
    line.uplink.flush()
    assert line.chunks == []


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


@pytest.mark.parametrize("frame_rate", [22050, 24000, 44100, 48000])
@pytest.mark.parametrize("wire_format", ["pcm_8000", "mulaw_8000", "pcm_16000"])
def test_what_is_too_high_for_the_wire_is_not_heard_as_something_else(wire_format, frame_rate):
    line = Line(wire_format)
    line.push(tone(1000, frame_rate, frequency=line.rate * 0.625), frame_rate)
    assert level(line.samples()[line.rate // 10 :]) < -60


@pytest.mark.parametrize("frequency", [150, 3000, 3400])
@every_way
def test_speech_keeps_its_highs_and_gets_no_others(wire_format, frame_rate, frequency):
    line = Line(wire_format)
    line.push(tone(1000, frame_rate, frequency=frequency), frame_rate)
    inside = slice(line.rate // 10, -line.rate // 10)
    # What mu-law strays by itself is 37 dB down.
    floor = -35 if line.wire_format.decode else -50
    assert level(strayed(line.samples(), line.rate, frequency)[inside]) < floor


def test_a_chunk_leaves_with_the_frame_that_fills_it():
    line = Line("pcm_24000")
    for count, frame in enumerate(frames(tone(200), milliseconds=10), start=1):
        line.uplink.push(frame)
        assert len(line.chunks) == count // 2


@pytest.mark.parametrize("frame_rate", [24000, 48000])
def test_nothing_from_before_a_closed_gate_is_heard_after_it(frame_rate):
    line = Line("pcm_24000")
    line.push(tone(110, frame_rate), frame_rate)
    line.set_gate("closed")
    line.push(tone(110, frame_rate), frame_rate)
    line.set_gate("open")
    del line.chunks[:]
    line.push(np.zeros(frame_rate // 5, np.int16), frame_rate)
    line.uplink.flush()
    assert line.chunk_samples() == [480] * 10
    assert not line.samples().any()


def test_audio_that_was_held_goes_on_without_a_seam():
    line = Line("pcm_24000")
    sound = np.split(tone(1000, 48000), 4)
    gates: list[Any] = ["open", "holding", "open", "open"]
    for gate, part in zip(gates, sound, strict=True):
        line.set_gate(gate)
        line.push(part, 48000)
    line.uplink.flush()
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
