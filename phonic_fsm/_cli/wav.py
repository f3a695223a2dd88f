"""Reads and writes WAV files as PCM16."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from phonic_fsm.testing._sound import Sound

from .failure import CommandFailed


def read_wav(path: Path) -> Sound:
    """A PCM WAV of any rate, 8 to 32 bits, mono or stereo.

    Raises:
        CommandFailed: there is no such file, or it is not such a WAV.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, _, _, _ = file.getparams()
            data = file.readframes(file.getnframes())
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror or error}") from error
    except (wave.Error, EOFError) as error:
        raise CommandFailed(f"{path} is not a PCM WAV file: {error or 'it is cut off'}") from error
    if channels not in (1, 2):
        raise CommandFailed(f"{path} has {channels} channels; one or two can be played")
    if not data:
        raise CommandFailed(f"{path} holds no audio")
    return Sound(_to_pcm16(data, width, channels), rate, channels)


def write_wav(path: Path, sound: Sound) -> None:
    """Write a WAV file. If that fails, no part of it is left.

    Raises:
        CommandFailed: the file cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    try:
        try:
            with wave.open(str(partial), "wb") as file:
                file.setnchannels(sound.channels)
                file.setsampwidth(2)
                file.setframerate(sound.sample_rate)
                file.writeframes(sound.pcm)
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror or error}") from error


def _to_pcm16(data: bytes, width: int, channels: int) -> bytes:
    data = data[: len(data) // (width * channels) * width * channels]
    if width == 2:
        return data
    if width == 1:
        # 8-bit WAV is unsigned.
        return ((np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8).tobytes()
    # The two upper bytes of each little-endian sample are its 16-bit value.
    return np.frombuffer(data, np.uint8).reshape(-1, width)[:, -2:].tobytes()
