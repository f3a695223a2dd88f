"""The caller's audio: whether any came, how it came, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..findings import Finding, found, overlap
from ..lanes import CallerAudio, Lanes, Span
from ..numbers import duration

LONG_ENOUGH = 15.0
"""Seconds of open conversation after which it stands out that the caller has said nothing."""

LASTING = 5.0
"""For so many seconds the caller's audio must be as it should not be."""

TOO_QUIET = -50.0
"""If the loudest sample of a call is below (dBFS), nobody would understand a word of it."""

OFF_BY = 1.3
"""So many times more, or less, audio than time has passed."""

MUCH_WAITS = 1.0
"""If more seconds of audio wait to be sent, the caller is answered late."""

WARM_UP = 4.0
"""LiveKit's own is 3 s (``aec_warmup_duration``); seconds of trace are not that exact."""


def not_heard(lanes: Lanes) -> Iterator[Finding]:
    talked = sum(link.end - link.start for link in lanes.connection if link.kind == "open")
    if not lanes.caller_audio or talked < LONG_ENOUGH:
        return
    opened = next(link for link in lanes.connection if link.kind == "open")
    if not any(speech.text for speech in lanes.caller) and not lanes.typed:
        call = Span(step=opened.step, start=opened.start, end=lanes.seconds)
        cause, sentence = _why_nothing_was_heard(lanes)
        yield found("caller not heard", cause, sentence, call, "error")
        return
    for why, is_so in (("no audio", _nothing_came), ("digital silence", _is_silent)):
        for stretch in _stretches(lanes, is_so):
            yield found(
                "caller not heard",
                f"{why.capitalize()} from the caller for {duration(stretch.end - stretch.start)}",
                f"LiveKit handed over {why} of the caller. The microphone was muted, or had gone.",
                stretch,
                "note",
            )


def _why_nothing_was_heard(lanes: Lanes) -> tuple[str, str]:
    audio = lanes.caller_audio
    loudest = max((part.peak for part in audio if part.peak is not None), default=None)
    if not any(part.received_ms for part in audio):
        return (
            "No audio came from the caller",
            "LiveKit handed over no frame in the whole call: no microphone was published, the "
            "agent does not subscribe to it, or the session's audio input is off.",
        )
    if loudest is None:
        return (
            "Only digital silence came from the caller",
            "Frames came, and every sample in them was zero: the microphone is muted in the "
            "device, or its audio is taken out on the way.",
        )
    if not any(part.sent_ms for part in audio):
        return (
            "Nothing of the caller's audio was sent",
            f"Audio came, up to {loudest:g} dBFS, and none of it went to Phonic: the caller was "
            "muted in the whole call. With push-to-talk, start_user_activity() opens the way.",
        )
    if loudest < TOO_QUIET:
        return (
            "The caller's audio was too quiet",
            f"Its loudest sample reached {loudest:g} dBFS, so Phonic heard no speech in it.",
        )
    return (
        "The caller said nothing that was understood",
        f"Audio came, up to {loudest:g} dBFS, and was sent. Phonic gave no transcript of it.",
    )


def wrong_rate(lanes: Lanes) -> Iterator[Finding]:
    for stretch in _stretches(lanes, _is_off):
        part = next(part for part in lanes.caller_audio if part.step == stretch.step)
        times = part.received_ms / 1000
        yield found(
            "wrong rate",
            f"The caller's audio came {times:.1f} times as fast as time passes",
            f"The frames say {part.rate:,} Hz and {part.channels} channel(s), and "
            f"{part.received_ms:,} ms of them came in a second. If the frames name a rate that "
            "their samples do not have, Phonic hears them too high or too low.",
            stretch,
            "error",
        )


def falls_behind(lanes: Lanes) -> Iterator[Finding]:
    for stretch in _stretches(lanes, _waits):
        yield found(
            "caller's audio late",
            "The caller's audio fell behind",
            f"More than {duration(MUCH_WAITS)} of it waited to be sent, for "
            f"{duration(stretch.end - stretch.start)}: the network to Phonic is too slow, or more "
            "audio comes than time passes.",
            stretch,
        )


def deaf_at_the_start(lanes: Lanes) -> Iterator[Finding]:
    if not lanes.assistant:
        return
    first = lanes.assistant[0]
    warming_up = Span(step=first.step, start=first.start, end=first.start + WARM_UP)
    # A microphone that is muted is silent before, or for longer.
    silent = [
        part
        for part in lanes.caller_audio
        if _is_silent(part)
        and part.start >= first.start - 1
        and part.end <= warming_up.end
        and overlap(part, warming_up) >= 1
    ]
    if silent:
        stretch = Span(step=first.step, start=silent[0].start, end=silent[-1].end)
        yield found(
            "deaf at the start",
            "Only digital silence came while the assistant began",
            "LiveKit handed over digital silence while the assistant spoke for the first time. In "
            "a room it does so for 3 s, until its echo cancellation has settled "
            "(aec_warmup_duration): a caller who talks over these seconds is not heard. A caller "
            "in a test may just have been silent.",
            stretch,
            "note",
        )


def _nothing_came(part: CallerAudio) -> bool:
    return part.received_ms == 0


def _is_silent(part: CallerAudio) -> bool:
    return part.received_ms > 0 and part.dbfs is None


def _is_off(part: CallerAudio) -> bool:
    return part.received_ms > 1000 * OFF_BY or 100 < part.received_ms < 1000 / OFF_BY


def _waits(part: CallerAudio) -> bool:
    return part.waiting_ms > 1000 * MUCH_WAITS


def _stretches(lanes: Lanes, is_so: Callable[[CallerAudio], bool]) -> Iterator[Span]:
    """Where the caller's audio was so, for long enough, while the conversation was open."""
    for link in lanes.connection:
        if link.kind != "open":
            continue
        stretch: Span | None = None
        for part in [*lanes.caller_audio, None]:
            if part is not None and is_so(part) and overlap(part, link) > 0:
                start, end = max(part.start, link.start), min(part.end, link.end)
                if stretch is None:
                    stretch = Span(step=part.step, start=start, end=end)
                else:
                    stretch.end = end
            elif stretch is not None:
                if stretch.end - stretch.start >= LASTING:
                    yield stretch
                stretch = None
