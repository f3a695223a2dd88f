"""A session's audio, beside its trace: one mono WAV file (PCM16 LE, the wire's rate) per side.

Beside ``call.jsonl`` lies ``call.assistant.wav``: the audio in the order in which Phonic sent it,
which is ahead of its playback. A line's ``at`` says where its chunk begins in this file.
``call.caller.wav`` runs on the trace's clock: its second 7 was sent at ``t`` = 7, and it is silent
where nothing was sent.

If the process crashes, a file's header names more audio than the file has. Players play what is
there.
"""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ._destination import split_name
from ._sinks import lead_nowhere

ASSISTANT, CALLER = "assistant", "caller"

LARGEST_GAP = 0.1
"""If the caller's audio is late by more seconds than this, silence is put in."""

_ENDLESS = 0x7FFF_FFFF - 64
"""The number of frames in the header until the file is closed: the largest that fits."""


def side_files(trace: Path) -> dict[str, Path]:
    """The paths of a trace's audio, by side. The files need not exist."""
    stem, _ = split_name(trace)
    return {side: trace.with_name(f"{stem}.{side}.wav") for side in (ASSISTANT, CALLER)}


class SideAudio:
    """Writes both files. Each is made when its first audio comes."""

    def __init__(
        self,
        trace: Path,
        rate: int,
        to_pcm: Callable[[bytes], bytes] | None,
        largest: int,
    ) -> None:
        """``rate`` is in Hz; ``largest`` is the most bytes that a file may have; ``to_pcm`` decodes
        audio that is not PCM16 LE."""
        self._to_pcm = to_pcm
        paths = side_files(trace)
        self._assistant = _Wav(paths[ASSISTANT], rate, largest)
        self._caller = _Wav(paths[CALLER], rate, largest)

    def assistant(self, audio: bytes) -> float | None:
        """Add a chunk. Returns where it begins (s), or ``None`` if the file is full.

        Raises:
            OSError: the file cannot be written.
        """
        at = self._assistant.seconds
        return round(at, 6) if self._assistant.add(self._pcm(audio)) else None

    def caller(self, audio: bytes, until: float) -> None:
        """Add audio, of which the last sample was sent at ``until`` (s on the trace's clock).

        Raises:
            OSError: the file cannot be written.
        """
        pcm = self._pcm(audio)
        gap = until - self._caller.length_of(pcm) - self._caller.seconds
        if gap > LARGEST_GAP:
            self._caller.add_silence(gap)
        self._caller.add(pcm)

    def close(self) -> None:
        self._assistant.close()
        self._caller.close()

    def let_go(self) -> None:
        """Leave the files to the parent, in a forked child."""
        self._assistant.let_go()
        self._caller.let_go()

    def _pcm(self, audio: bytes) -> bytes:
        return audio if self._to_pcm is None else self._to_pcm(audio)


class _Wav:
    def __init__(self, path: Path, rate: int, largest: int) -> None:
        self._path = path
        self._rate = rate
        self._largest = largest
        self._frames = 0
        self._file: IO[bytes] | None = None
        self._wav: wave.Wave_write | None = None

    @property
    def seconds(self) -> float:
        return self._frames / self._rate

    def length_of(self, pcm: bytes) -> float:
        return len(pcm) / 2 / self._rate

    def add(self, pcm: bytes) -> bool:
        """Returns whether there was room for it."""
        if self._frames * 2 + len(pcm) > self._largest:
            return False
        if self._wav is None:
            self._wav = self._open()
        self._wav.writeframesraw(pcm)
        self._frames += len(pcm) // 2
        return True

    def add_silence(self, seconds: float) -> None:
        frames = round(seconds * self._rate)
        while frames > 0 and self.add(bytes(2 * min(frames, self._rate))):
            frames -= self._rate

    def close(self) -> None:
        if self._wav is not None and self._file is not None:
            with self._file:
                self._wav.close()

    def let_go(self) -> None:
        # The library writes into the file again when its object goes.
        if self._file is not None:
            lead_nowhere(self._file)

    def _open(self) -> wave.Wave_write:
        self._file = open(self._path, "xb")  # noqa: SIM115 - closed with the trace
        wav = wave.open(self._file, "wb")  # noqa: SIM115 - closed with the file
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(self._rate)
        wav.setnframes(_ENDLESS)
        return wav
