"""PCM of one rate as PCM of another, as it comes in.

The work is done by FFmpeg's libswresample, through PyAV, which LiveKit Agents needs too. LiveKit's
own ``rtc.AudioResampler`` works in blocks, of which it holds back 40 to 130 ms.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from av import AudioFrame
from av.filter import Graph


class Resampler:
    """A polyphase filter over mono PCM16 in pieces of any length; their borders leave no trace.

    It holds back half its length, 35 samples of the lower rate: 4.4 ms at 8 kHz, 1.5 ms at 24 kHz.
    It is flat (0.1 dB) up to 85 % of half the lower rate. Downwards, all from half the lower rate
    on is 90 dB down; upwards, so are the mirror images of all up to 90 % of it.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        """Rates in Hz."""
        self._from_rate = from_rate
        graph = Graph()
        graph.threads = 1  # Otherwise each graph has a pool of its own.
        source = graph.add_abuffer(sample_rate=from_rate, format="s16", layout="mono")
        filtered = graph.add("aresample", sample_rate=str(to_rate), filter_size="64", cutoff="0.92")
        graph.link_nodes(source, filtered, graph.add("abuffersink")).configure()
        self._graph = graph

    def push(self, pcm: bytes) -> bytes:
        """Take the next samples and give back all that they complete."""
        if not pcm:  # FFmpeg has no empty frames.
            return b""
        frame = AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16)[None], "s16", "mono")
        frame.sample_rate = self._from_rate
        self._graph.push(frame)
        return self._pull()

    def flush(self) -> bytes:
        """Give back the rest: in all, a second is a second. No push may follow."""
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> bytes:
        pieces = []
        with suppress(BlockingIOError, EOFError):
            while True:
                pieces.append(self._graph.pull().to_ndarray().tobytes())
        return b"".join(pieces)
