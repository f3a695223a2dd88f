"""Changes the sample rate of a stream of PCM as it comes in.

FFmpeg's libswresample does the work, through PyAV, which LiveKit Agents also needs. LiveKit's own
``rtc.AudioResampler`` works in blocks and holds back 40 to 130 ms.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from av import AudioFrame
from av.filter import Graph


class Resampler:
    """A polyphase filter for mono PCM16. Pieces can have any length; their borders are inaudible.

    The filter holds back half of its length, 35 samples at the lower of the two rates: 4.4 ms at
    8 kHz, 1.5 ms at 24 kHz. It is flat to 0.1 dB up to 85 % of half the lower rate. To a lower
    rate, everything from half of that rate upwards is damped by 90 dB. To a higher rate, so are the
    mirror images of everything up to 90 % of half the lower rate.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        """Rates in Hz."""
        self._from_rate = from_rate
        graph = Graph()
        graph.threads = 1  # Otherwise each graph has its own pool of threads.
        source = graph.add_abuffer(sample_rate=from_rate, format="s16", layout="mono")
        filtered = graph.add("aresample", sample_rate=str(to_rate), filter_size="64", cutoff="0.92")
        graph.link_nodes(source, filtered, graph.add("abuffersink")).configure()
        self._graph = graph

    def push(self, pcm: bytes) -> bytes:
        """Put in the next samples, and return the output that is complete."""
        if not pcm:  # FFmpeg has no empty frames.
            return b""
        frame = AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16)[None], "s16", "mono")
        frame.sample_rate = self._from_rate
        self._graph.push(frame)
        return self._pull()

    def flush(self) -> bytes:
        """Return the rest of the output, so that no audio is lost. ``push`` must not follow."""
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> bytes:
        pieces = []
        with suppress(BlockingIOError, EOFError):
            while True:
                pieces.append(self._graph.pull().to_ndarray().tobytes())
        return b"".join(pieces)
