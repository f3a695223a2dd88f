"""Mixes the call's audio into one sound, as the caller heard it; Phonic's recording is another.

A sound runs on the trace's clock, as the caller's file does. The assistant's audio came ahead of
its playback, so each piece of it is put where ``lanes`` says that it was heard.
"""

from __future__ import annotations

import struct
import wave
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from phonic_fsm._audio import mulaw
from phonic_fsm.trace._audio import ASSISTANT, CALLER, side_files

from .lanes import Heard

RATES = (16_000, 8_000)
"""The possible sampling rates (Hz), the better one first. A sample is one byte."""

LARGEST = 22_000_000
"""The most bytes of a sound: 45 minutes at 8 kHz. In base64, every browser takes so many."""


class Sound(Struct, frozen=True):
    wav: bytes = b""
    """µ-law, mono; empty if there is none."""
    remark: str = ""
    """Why there is no sound, although audio lies beside the trace."""


def sound_of(trace: Path, heard: Iterable[Heard], seconds: float) -> Sound:
    """Mix the audio beside a trace, from 0 to ``seconds`` on its clock."""
    try:
        with ExitStack() as stack:
            sides = {
                side: stack.enter_context(_opened(path))
                for side, path in side_files(trace).items()
                if path.exists()
            }
            if not sides or not seconds:
                return Sound()
            best = min(wav.getframerate() for wav in sides.values())
            fit = [rate for rate in RATES if rate <= best and rate * seconds <= LARGEST]
            if not fit:
                return Sound(remark=f"{seconds / 60:.0f} minutes are too long for a page")
            rate = fit[0]
            mix = np.zeros(round(seconds * rate), np.float32)
            pieces = {ASSISTANT: heard, CALLER: _minutes(seconds)}
            for side, wav in sides.items():
                for piece in pieces[side]:
                    _add(mix, rate, wav, piece)
    except (OSError, EOFError, wave.Error) as error:
        return Sound(remark=f"it cannot be read: {error}")
    return Sound(_wav(mix, rate))


def recording_of(files: Iterable[tuple[Path, float]], seconds: float) -> Sound:
    """Mix Phonic's recordings, of which each began at a moment of the trace's clock (s)."""
    try:
        with ExitStack() as stack:
            opened = [(stack.enter_context(_opened(path, 2)), began) for path, began in files]
            best = min(wav.getframerate() for wav, _ in opened)
            fit = [rate for rate in RATES if rate <= best and rate * seconds <= LARGEST]
            if not fit:
                return Sound(remark=f"{seconds / 60:.0f} minutes are too long for a page")
            mix = np.zeros(round(seconds * fit[0]), np.float32)
            for wav, began in opened:
                for minute in _minutes(max(0.0, seconds - began)):
                    piece = Heard(
                        start=minute.start + began, end=minute.end + began, source=minute.source
                    )
                    _add(mix, fit[0], wav, piece)
    except (OSError, EOFError, wave.Error) as error:
        return Sound(remark=f"it cannot be read: {error}")
    return Sound(_wav(mix, fit[0]))


def _opened(path: Path, most_channels: int = 1) -> wave.Wave_read:
    wav = wave.open(str(path), "rb")  # noqa: SIM115 - closed by the caller's stack
    if wav.getnchannels() > most_channels or wav.getsampwidth() != 2:
        wav.close()
        raise wave.Error(f"{path.name} is not {'mono ' if most_channels == 1 else ''}PCM16")
    return wav


def _minutes(seconds: float) -> Iterable[Heard]:
    """The whole time in pieces of a minute, so that little is in memory at once."""
    for start in range(0, int(seconds) + 1, 60):
        yield Heard(start=start, end=min(start + 60, seconds), source=start)


def _add(mix: np.ndarray[Any, Any], rate: int, wav: wave.Wave_read, piece: Heard) -> None:
    own = wav.getframerate()
    wav.setpos(min(round(piece.source * own), wav.getnframes()))
    pcm = wav.readframes(round((piece.end - piece.start) * own))
    channels = wav.getnchannels()
    whole = len(pcm) // (2 * channels)  # a crash may leave half a sample
    samples = np.frombuffer(pcm, "<i2", whole * channels).reshape(-1, channels).mean(axis=1)
    # A new sample is the mean of the old samples of the same time.
    sums = np.concatenate(([0.0], np.cumsum(samples, dtype=np.float64)))
    edges = np.arange(round(len(samples) * rate / own) + 1) * (own / rate)
    means = np.diff(np.interp(edges, np.arange(len(sums)), sums)) * (rate / own)
    place = mix[round(piece.start * rate) :][: len(means)]
    place += means[: len(place)]


def _wav(mix: np.ndarray[Any, Any], rate: int) -> bytes:
    data = mulaw.encode(np.clip(np.rint(mix), -32768, 32767).astype("<i2").tobytes())
    # Written by hand: the library's ``wave`` writes PCM only.
    form = struct.pack("<HHIIHH", 7, 1, rate, rate, 1, 8)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body
