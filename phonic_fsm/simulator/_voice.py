"""The sounds of a call, made by computation: speech-like audio from text, and background noise.

The words cannot be understood, but their rhythm, loudness and pitch are those of speech, which is
what speech detectors, level meters and human ears need. The same arguments always give the same
samples. Nothing here knows of messages, connections or time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle, groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phonic_fsm._audio.formats import WireFormat

CALLER_PITCH_HZ = 115.0
"""The pitch of the simulated caller's voice (Hz)."""
ASSISTANT_PITCH_HZ = 185.0
"""The pitch of the simulated assistant's voice (Hz)."""

CHUNK_MS = 20
"""How much audio the server sends at a time."""

_PEAK = 0.5  # of full scale: -6 dBFS
_LOUDEST_NOISE = 0.01  # of full scale: -40 dBFS
_TICK_MS = 10  # the grid on which a phone's duration, loudness and formants are laid out
_WORD = re.compile(r"\s*\S+(?:\s+\Z)?")

_FORMANTS = {
    "a": (730.0, 1090.0, 2440.0),
    "e": (530.0, 1840.0, 2480.0),
    "i": (350.0, 2050.0, 2700.0),
    "o": (550.0, 850.0, 2410.0),
    "u": (320.0, 900.0, 2240.0),
    "y": (300.0, 2200.0, 3000.0),
}
_NEUTRAL = (500.0, 1500.0, 2500.0)  # letters and digits without a vowel of their own
_MURMUR = (280.0, 1200.0, 2300.0)  # m, n, l, ...: voiced, but with the mouth half closed
_BANDWIDTHS_HZ = (90.0, 120.0, 180.0)
_FORMANT_LEVELS = (1.0, 0.55, 0.3)


class Word(NamedTuple):
    """One word of a text, and when it begins."""

    text: str
    """With the white space around it: the words of a speech, joined, are its text."""
    start_ms: int


@dataclass(frozen=True)
class Speech:
    """A text as audio: mono PCM16 LE at ``sample_rate`` Hz, with the start of each word."""

    pcm: bytes
    words: tuple[Word, ...]
    sample_rate: int

    @property
    def duration_ms(self) -> float:
        """How long the speech lasts (ms)."""
        return len(self.pcm) / 2 / self.sample_rate * 1000

    def text_between(self, start_ms: float, end_ms: float) -> str:
        """The words that begin at or after ``start_ms`` and before ``end_ms``."""
        return "".join(word.text for word in self.words if start_ms <= word.start_ms < end_ms)


class _Phone(NamedTuple):
    """A sound that does not change while it lasts; levels are factors, 1 being loudest."""

    ms: int
    voiced: float
    noise: float
    pitch: float
    formants: tuple[float, float, float]


def speak(text: str, sample_rate: int, *, pitch_hz: float = CALLER_PITCH_HZ) -> Speech:
    """Say ``text`` at about 165 words a minute, peaking at -6 dBFS.

    The same arguments always give the same samples, and the words of a text begin at the same
    time at every ``sample_rate`` (Hz). ``pitch_hz`` is the middle of the voice's range. A text
    without a word gives no audio.
    """
    return _speak(text, sample_rate, pitch_hz)


def background_noise(wire_format: WireFormat, level: float) -> Iterator[bytes]:
    """A hiss without end, in encoded chunks of 20 ms; ``level`` goes from 0 (silence) to 1 (peaks
    at -40 dBFS)."""
    noise = np.random.default_rng(0).uniform(-1, 1, wire_format.sample_rate)
    pcm = (noise * level * _LOUDEST_NOISE * 32767).round().astype("<i2").tobytes()
    step = 2 * (wire_format.sample_rate * CHUNK_MS // 1000)
    chunks = [pcm[start : start + step] for start in range(0, len(pcm), step)]
    encode = wire_format.encode
    return cycle(chunks if encode is None else [encode(chunk) for chunk in chunks])


@lru_cache(maxsize=64)  # a scenario's lines are said again and again
def _speak(text: str, sample_rate: int, pitch_hz: float) -> Speech:
    phones: list[_Phone] = []
    words: list[Word] = []
    elapsed_ms = pause_ms = words_in_phrase = 0
    for match in _WORD.finditer(text):
        word = match.group()
        if pause_ms:
            phones.append(_silence(pause_ms))
            elapsed_ms += pause_ms
        words.append(Word(word, elapsed_ms))
        said = _phones(word.strip(), pitch=max(0.88, 1.12 - 0.04 * words_in_phrase))
        phones += said
        elapsed_ms += sum(phone.ms for phone in said)
        pause_ms = _pause_after(word.rstrip())
        words_in_phrase = 0 if pause_ms > 100 else words_in_phrase + 1
    if not words:
        return Speech(b"", (), sample_rate)
    phones.append(_silence(40))
    return Speech(_synthesise(phones, sample_rate, pitch_hz), tuple(words), sample_rate)


def _silence(ms: int) -> _Phone:
    return _Phone(ms, 0.0, 0.0, 1.0, _NEUTRAL)


def _pause_after(word: str) -> int:
    mark = word.rstrip("\"')]}»”’")[-1:]
    if mark in {".", "!", "?", "…", "。"}:
        return 280
    if mark in {",", ";", ":", "—", "–", "-"}:
        return 160
    return 40


def _phones(word: str, *, pitch: float) -> list[_Phone]:
    """The sounds of one word: vowels carry it, and its end rises before a question mark."""
    letters = [letter for letter in word.lower() if letter.isalnum()]
    phones: list[_Phone] = []
    stress = 0.06
    for kind, run in groupby(letters, key=_kind):
        sounds = list(run)
        if kind == "neutral":  # digits, and scripts whose letters are whole syllables
            phones += [_Phone(150, 0.9, 0.0, pitch, _NEUTRAL) for _ in sounds]
        elif kind == "vowel":
            for place, letter in enumerate(sounds[:2]):
                formants = _FORMANTS[letter]
                phones.append(_Phone(60 if place else 130, 1.0, 0.0, pitch + stress, formants))
            stress = -0.04
        else:
            voiced, noise = (0.45, 0.0) if kind == "murmur" else (0.0, 0.3)
            phones.append(_Phone(60 if len(sounds) == 1 else 90, voiced, noise, pitch, _MURMUR))
    if phones and "?" in word:
        phones[-1] = phones[-1]._replace(pitch=pitch + 0.3)
    return phones


def _kind(letter: str) -> str:
    if letter in _FORMANTS:
        return "vowel"
    if letter in "cfhkpqstxz":
        return "noise"
    return "murmur" if letter.isascii() and letter.isalpha() else "neutral"


def _synthesise(phones: list[_Phone], sample_rate: int, pitch_hz: float) -> bytes:
    """Source and filter: a buzz at the voice's pitch shaped by formants, plus hiss."""
    track = np.array([(p.voiced, p.noise, p.pitch, *p.formants) for p in phones])
    track = np.repeat(track, [p.ms // _TICK_MS for p in phones], axis=0)
    padded = np.pad(track, ((1, 1), (0, 0)), mode="edge")
    track = (padded[:-2] + 2 * track + padded[2:]) / 4  # each sound runs into the next

    tick = sample_rate * _TICK_MS // 1000
    voiced, noise, pitch = (_per_sample(track[:, column], tick) for column in range(3))
    tone = _shape(_buzz(pitch * pitch_hz, sample_rate) * voiced, track[:, 3:], sample_rate)
    tone /= np.max(np.abs(tone)) or 1.0
    hiss = np.random.default_rng(0).random(len(tone) + 1, dtype=np.float32)
    sound = tone + (hiss[1:] - hiss[:-1]) * noise
    sound *= _PEAK * 32767 / (np.max(np.abs(sound)) or 1.0)
    return sound.round().astype("<i2").tobytes()


def _per_sample(column: NDArray[np.float64], tick: int) -> NDArray[np.float64]:
    """One value a tick as one a sample, in straight lines."""
    steps = np.diff(column, append=column[-1])
    return (column[:, None] + steps[:, None] * (np.arange(tick) / tick)).reshape(-1)


def _buzz(frequency: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """A sawtooth at ``frequency`` (Hz a sample), made of its harmonics up to 5 kHz or Nyquist."""
    highest = min(5000.0, 0.45 * sample_rate)
    spectrum = np.zeros(513, dtype=complex)
    harmonics = np.arange(1, min(512, int(highest / np.max(frequency))) + 1)
    spectrum[harmonics] = -1j / harmonics
    wave = np.fft.irfft(spectrum)
    phase = np.cumsum(frequency) * (len(wave) / sample_rate)
    return np.asarray(wave[phase.astype(np.int64) & (len(wave) - 1)])


def _shape(
    sound: NDArray[np.float64], formants: NDArray[np.float64], sample_rate: int
) -> NDArray[np.float64]:
    """Let ``sound`` through at ``formants`` (Hz, a row a tick), in overlapping frames of two
    ticks."""
    tick = len(sound) // len(formants)
    halves = np.zeros((len(formants) + 1, tick))
    halves[:-1] = sound.reshape(-1, tick)
    window = np.sqrt(np.hanning(2 * tick + 1)[:-1])
    spectrum = np.fft.rfft(np.concatenate([halves[:-1], halves[1:]], axis=1) * window)
    frequencies = np.arange(min(spectrum.shape[1], 5000 * 2 * tick // sample_rate))
    frequencies = frequencies * (sample_rate / (2 * tick))
    gain = np.zeros((len(formants), len(frequencies)))
    for column, (bandwidth, level) in enumerate(zip(_BANDWIDTHS_HZ, _FORMANT_LEVELS, strict=True)):
        distance = (frequencies - formants[:, column, None]) / bandwidth
        gain += level / (1 + distance * distance)
    spectrum[:, : len(frequencies)] *= gain
    spectrum[:, len(frequencies) :] = 0
    frames = np.fft.irfft(spectrum, 2 * tick) * window
    halves[:-1] = frames[:, :tick]
    halves[-1] = 0
    halves[1:] += frames[:, tick:]
    return halves[:-1].reshape(-1)
