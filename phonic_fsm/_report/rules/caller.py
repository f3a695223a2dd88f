"""The caller's audio: whether any came, how it came, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from phonic_fsm._core.events import is_flat

from ..findings import Finding, overlap, step_at
from ..lanes import CallerAudio, Lanes, Span, spanning
from ..numbers import count, duration
from .connection import frozen
from .rule import Level, Rule, Seconds, Times

SLACK = 0.1
"""A process that is late for such a share of the time loses audio of the caller itself."""

STEADY = 0.8
"""A sound that is steady for such a share of the time is a noise."""

LOUD = -7.0
"""dBFS. A second of speech is softer, unless its peaks are clipped."""

FULL_SCALE = 0.1
"""Decibels below the loudest sample there is."""

TO_NOTICE = 1.0
"""Seconds that Phonic may take to notice that the caller speaks, or has stopped."""

CATCHES_UP = 1.0
"""What waits within so many seconds after the conversation has opened was said before."""


class NotHeard(Rule, frozen=True, kw_only=True):
    """The caller was not heard in the whole call."""

    name = "caller-not-heard"
    severities = ("error",)
    looks_for = (
        "nothing that the caller says is understood in {seconds:g} s and more of conversation; "
        "below {quiet:g} dBFS the caller is too quiet"
    )

    seconds: Seconds = 15.0
    """A shorter conversation may pass without a word."""
    quiet: Level = -50.0
    """If no sample of a call is louder, nobody would understand a word of it."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        stuck = frozen(lanes.connection)
        talked = sum(
            link.took - sum(overlap(span, link) for span in stuck)
            for link in lanes.connection
            if link.kind == "open"
        )
        if not lanes.caller_audio or talked < self.seconds or _was_heard(lanes):
            return
        opened = next(link for link in lanes.connection if link.kind == "open")
        call = Span(step=opened.step, start=opened.start, end=lanes.seconds)
        cause, sentence = self._why(lanes)
        if lanes.withdrawn:
            sounds = count(len(lanes.withdrawn), "sound")
            sentence += f" Phonic took {sounds} for the caller's voice, and took that back."
        yield self.found(cause, sentence, call, noticed="the caller was not heard")

    def _why(self, lanes: Lanes) -> tuple[str, str]:
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
        speech = [part for part in audio if part.peak is not None and part.peak >= self.quiet]
        if speech and not any(part.sent_ms for part in speech):
            # Silence is sent in the place of what is kept back; its newest second waits.
            muted = any(part.filled_ms for part in speech)
            return (
                "Nothing of the caller's audio was sent",
                f"Audio came, up to {loudest:g} dBFS, and nothing that was loud enough for speech "
                "went to Phonic: "
                + (
                    "the caller was muted all the time. With push-to-talk, start_user_activity() "
                    "opens the way."
                    if muted
                    else "the connection took none of it."
                ),
            )
        if loudest < self.quiet:
            return (
                "Nothing as loud as speech came from the caller",
                f"The loudest sample reached {loudest:g} dBFS: the caller said nothing, or the "
                "microphone is far too quiet.",
            )
        if lanes.uncommitted is not None:
            return (
                "The caller's turn was never committed",
                "With push-to-talk, the caller's turn lasts until commit_user_turn() is called, "
                f"which it was not for {duration(lanes.uncommitted.took)}.",
            )
        if sum(_lasted(part) for part in speech if _is_steady(part)) > STEADY * sum(
            map(_lasted, speech)
        ):
            return (
                "Little but a steady sound came from the caller",
                "Most of what was as loud as speech was a steady sound: hum, noise, or an offset "
                "of the samples. Phonic gave no transcript of anything.",
            )
        if (
            sum(_lasted(part) for part in speech if _is_overdriven(part))
            > sum(map(_lasted, speech)) / 2
        ):
            return (
                "The caller's audio was overdriven",
                "It was sent, and Phonic gave no transcript of it. Most of what was as loud as "
                f"speech reached full scale and was above {LOUD:g} dBFS on average: the caller's "
                "microphone, or what is behind it, amplifies too much, or it was music.",
            )
        return (
            "The caller said nothing that was understood",
            f"Audio came, up to {loudest:g} dBFS, and was sent. Phonic gave no transcript of it.",
        )


class Overdriven(Rule, frozen=True, kw_only=True):
    """The caller's audio was so loud that it was distorted."""

    name = "overdriven"
    severities = ("warning",)
    looks_for = (
        "{seconds:g} s of the caller's audio reach full scale, and are above {loud:g} dBFS on the "
        "average of a second: speech is so loud only if its peaks are clipped"
    )

    seconds: Seconds = 3.0
    """So much in the whole call."""
    loud: Level = LOUD
    """Speech that just reaches full scale is ten decibels softer."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        loud = [part for part in lanes.caller_audio if _is_overdriven(part, self.loud)]
        total = sum(map(_lasted, loud))
        if total >= self.seconds and _was_heard(lanes):
            yield self.found(
                "The caller's audio was overdriven",
                f"{duration(total)} of it reached full scale and were above {self.loud:g} dBFS on "
                "average: the caller's microphone, or what is behind it, amplifies too much. "
                "Phonic may understand other words than were said.",
                spanning(loud),
            )


class LateEnd(Rule, frozen=True, kw_only=True):
    """Phonic noticed late, or never, that the caller had stopped."""

    name = "late-end"
    severities = ("error",)
    looks_for = (
        "no sound comes any more that is nearly as loud as what the caller said, and {seconds:g} s "
        "pass until Phonic says that the turn is over; or a turn lasts to the end of the call, "
        "{open:g} s or more, in steady sound"
    )

    seconds: Seconds = 3.0
    """From the caller's last sound to the end of the turn."""
    open: Seconds = 10.0
    """From the beginning of a turn that has no end."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for turn in lanes.caller:
            held = lanes.uncommitted is not None and lanes.uncommitted.start <= turn.end
            never = turn.end >= lanes.over
            if held or turn.committed:
                continue  # it is the agent's code that ends it
            if turn.silent is not None:
                wait = Span(step=turn.step, start=turn.silent, end=turn.end)
                lost = [link for link in lanes.connection if link.kind != "open"]
                busy = sum(overlap(one, wait) for one in (*lanes.assistant, *lanes.held_up, *lost))
                if turn.silent > turn.start and wait.took - busy >= self.seconds:
                    took = duration(wait.took)
                    said = "never said" if never else f"said only after {took}"
                    yield self.found(
                        f"Phonic did not notice for {took} that the caller had stopped",
                        "No sound came any more that was nearly as loud as what the caller had "
                        f"said, and Phonic {said} that the turn was over.",
                        wait,
                        noticed="no answer came" if never else "the answer came late",
                    )
            elif never and not turn.text and turn.took >= self.open:
                parts = [part for part in lanes.caller_audio if overlap(part, turn) > 0]
                loudest = max((part.peak for part in parts if part.peak is not None), default=None)
                if loudest is not None and _steady(lanes, turn) >= STEADY * turn.took:
                    yield self.found(
                        "Phonic took a steady sound for speech",
                        f"The caller's turn has lasted for {duration(turn.took)}. A steady sound "
                        f"of up to {loudest:g} dBFS came all the time; Phonic did not notice that "
                        "the caller had stopped.",
                        turn,
                        noticed="no answer came",
                    )


class Unnoticed(Rule, frozen=True, kw_only=True):
    """Phonic took no notice of sounds like the caller's speech."""

    name = "unnoticed"
    severities = ("warning", "note")
    looks_for = (
        "sounds nearly as loud as the speech that Phonic understood, and not steady, come for "
        "{seconds:g} s outside the caller's turns: a warning if Phonic notices the caller right "
        "after that, or from {long:g} s on; a note if they are shorter or the assistant speaks"
    )

    seconds: Seconds = 2.0
    """For so long, with pauses as in speech."""
    long: Seconds = 5.0
    """So long is a warning, if the assistant is silent for half of it or more."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for sound in _unnoticed(lanes):
            took = sound.took
            if took < self.seconds or not _got_through(lanes, sound):
                continue
            if _steady(lanes, sound) >= STEADY * took:
                continue  # a noise
            spoken = sum(overlap(speech, sound) for speech in lanes.assistant)
            late = any(0 <= turn.start - sound.end <= TO_NOTICE for turn in lanes.caller)
            if late:
                yield self.found(
                    f"Phonic noticed the caller only after {duration(took)}",
                    f"For {duration(took)}, sounds came that were nearly as loud as what Phonic "
                    "understood of the caller. Then Phonic said that the caller had begun to "
                    "speak.",
                    sound,
                    "warning",
                )
            elif spoken > took / 2:
                yield self.found(
                    f"Phonic took no notice of sounds for {duration(took)}",
                    "They were nearly as loud as what Phonic understood of the caller, and the "
                    "assistant spoke: the caller talked over it in vain, its own voice came back, "
                    "or it was a noise.",
                    sound,
                    "note",
                )
            else:
                yield self.found(
                    f"Phonic took no notice of sounds like speech for {duration(took)}",
                    "They were nearly as loud as what Phonic understood of the caller, and were "
                    "sent: the caller spoke, or it was a noise.",
                    sound,
                    "warning" if took >= self.long else "note",
                )


class MicrophoneGone(Rule, frozen=True, kw_only=True):
    """The caller's microphone gave nothing for a while."""

    name = "microphone-gone"
    severities = ("note",)
    looks_for = "for {seconds:g} s no audio of the caller comes, or nothing but digital silence"

    seconds: Seconds = 5.0
    """For so long, while the conversation is open."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        if not _was_heard(lanes):
            return  # then it is the finding that the caller was not heard at all
        for stretch in _stretches(lanes, _nothing_came, self.seconds):
            yield self.found(
                f"No audio from the caller for {duration(stretch.took)}",
                "LiveKit handed over no frame of the caller. The microphone was not published, the "
                "agent did not subscribe to it, or the session's audio input was off.",
                stretch,
            )
        for stretch in _stretches(lanes, _is_silent, self.seconds):
            yield self.found(
                f"Digital silence from the caller for {duration(stretch.took)}",
                "Frames came, and every sample in them was zero: the microphone was muted, or its "
                "audio was taken out on the way.",
                stretch,
            )


class WrongRate(Rule, frozen=True, kw_only=True):
    """The caller's audio came faster, or slower, than time passed."""

    name = "wrong-rate"
    severities = ("error",)
    looks_for = (
        "for {seconds:g} s, {times:g} times more or less audio of the caller comes than time "
        "passes, though the process is not late: the frames name a rate that is not theirs, or "
        "some are lost on the way"
    )

    times: Times = 1.3
    """So many times more, or less, audio than time has passed."""
    seconds: Seconds = 5.0
    """For so long, while the conversation is open."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for stretch in _stretches(lanes, self._is_off, self.seconds):
            part = next(part for part in lanes.caller_audio if part.step == stretch.step)
            times = part.received_ms / 1000
            if times < 1:
                late = sum(overlap(held, stretch) for held in lanes.held_up)
                if late < stretch.took * SLACK:
                    yield self.found(
                        f"Only {part.received_ms} ms of the caller's audio came in a second",
                        f"For {duration(stretch.took)}, less audio came than time "
                        "passed. Frames were lost on the way, or by a device that is too slow; or "
                        f"they name a rate, {part.rate:,} Hz, that is higher than that of their "
                        "samples, and Phonic hears them too high.",
                        stretch,
                    )
                continue
            yield self.found(
                f"The caller's audio came {times:.1f} times as fast as time passes",
                f"The frames say {part.rate:,} Hz and {part.channels} channel(s), and "
                f"{part.received_ms:,} ms of them came in a second. If the frames name a rate "
                "that their samples do not have, Phonic hears them too high or too low.",
                stretch,
            )

    def _is_off(self, part: CallerAudio) -> bool:
        little, much = 1000 / self.times, 1000 * self.times
        return part.received_ms > much or 100 < part.received_ms < little


class CallerBehind(Rule, frozen=True, kw_only=True):
    """The caller's audio reached Phonic late."""

    name = "caller-behind"
    severities = ("error", "warning")
    looks_for = (
        "more than {waiting:g} s of the caller's audio wait to be sent while the conversation is "
        "open, for {seconds:g} s; or the connection takes too little, and {lost:g} s are lost"
    )

    waiting: Seconds = 1.0
    """So much audio waits: the caller is answered as much later."""
    seconds: Seconds = 5.0
    """For so long."""
    lost: Seconds = 0.2
    """So much is lost, as it waits longer than it is kept."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        overflows = [
            (stretch, lost)
            for stretch in _stretches(lanes, _overflows, 0)
            if (lost := _overflowed(lanes, stretch)) >= self.lost
        ]
        for stretch, lost in overflows:
            yield self.found(
                "The connection took too little",
                f"{duration(lost)} of the caller's audio never reached Phonic. What the connection "
                "does not take waits, and the oldest is dropped when more than 2 s do: the network "
                "to Phonic was too slow, or stood still, or Phonic did not read.",
                stretch,
                noticed=f"{duration(lost)} of the caller's audio was lost",
            )
        for stretch in _stretches(lanes, self._waits, self.seconds):
            if any(overlap(stretch, lossy) for lossy, _ in overflows):
                continue  # the same cause
            opened = any(
                link.kind == "open" and abs(link.start - stretch.start) < CATCHES_UP
                for link in lanes.connection
            )
            cause, why = (
                (
                    "What the caller had said before was still to be sent",
                    "what is kept while there is no conversation is sent at twice the pace of "
                    "speech once there is one",
                )
                if opened
                else (
                    "Audio of the caller piled up",
                    "the network to Phonic is too slow, or more audio comes than time passes",
                )
            )
            yield self.found(
                cause,
                f"More than {duration(self.waiting)} of the caller's audio waited to be sent, for "
                f"{duration(stretch.took)}: {why}.",
                stretch,
                "warning",
                noticed="the caller's audio fell behind",
            )

    def _waits(self, part: CallerAudio) -> bool:
        return part.waiting_ms > 1000 * self.waiting


class DeafAtStart(Rule, frozen=True, kw_only=True):
    """LiveKit let nothing of the caller through while the assistant began."""

    name = "deaf-at-start"
    severities = ("note",)
    looks_for = (
        "LiveKit hands over digital silence, and nothing else, in the first {seconds:g} s of the "
        "assistant's first words"
    )

    seconds: Seconds = 4.0
    """LiveKit's own ``aec_warmup_duration`` is 3 s; the seconds of a trace are not that exact."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        if not lanes.assistant:
            return
        first = lanes.assistant[0]
        begins = Span(step=first.step, start=first.start, end=first.start + self.seconds)
        # A microphone that is muted is silent before, or for longer.
        silent = [
            part
            for part in lanes.caller_audio
            if _is_silent(part)
            and part.start >= first.start - 1
            and part.end <= begins.end
            and overlap(part, begins) >= 1
        ]
        if silent:
            yield self.found(
                "Only digital silence came while the assistant began",
                "LiveKit handed over digital silence while the assistant spoke for the first "
                "time. In a room it does so for 3 s, until its echo cancellation has settled "
                "(aec_warmup_duration): a caller who talks over these seconds is not heard. A "
                "caller in a test may just have been silent.",
                Span(step=first.step, start=silent[0].start, end=silent[-1].end),
            )


def _unnoticed(lanes: Lanes) -> Iterator[Span]:
    """What of the caller's sounds lies outside the caller's turns.

    With push-to-talk, Phonic may say nothing of a turn before it is committed.
    """
    turns = sorted([*lanes.caller, *lanes.pressed], key=lambda turn: turn.start)
    for sound in lanes.sounds:
        at = sound.start
        for turn in [*turns, None]:
            until = sound.end if turn is None else min(turn.start, sound.end)
            if until > at:
                yield Span(step=step_at(lanes, at), start=at, end=until)
            if turn is None or until == sound.end:
                break
            at = max(at, turn.end + TO_NOTICE)


def _got_through(lanes: Lanes, sound: Span) -> bool:
    """Whether the caller's audio was sent all the time, as far as the trace tells."""
    stuck = frozen(lanes.connection)
    return (
        any(link.kind == "open" and overlap(link, sound) == sound.took for link in lanes.connection)
        and not any(overlap(span, sound) for span in stuck)
        and all(part.sent_ms for part in lanes.caller_audio if overlap(part, sound) > 0)
    )


def _lasted(part: CallerAudio) -> float:
    """For how long the caller's audio was so: a second whose level varies stands for itself."""
    return part.took if is_flat(part.levels) else min(part.took, 1.0)


def _is_steady(part: CallerAudio) -> bool:
    return bool(part.levels) and is_flat(part.levels)


def _steady(lanes: Lanes, span: Span) -> float:
    """For how many seconds of it the caller's audio was a steady sound."""
    return sum(overlap(part, span) for part in lanes.caller_audio if _is_steady(part))


def _is_overdriven(part: CallerAudio, loud: float = LOUD) -> bool:
    return part.dbfs is not None and part.dbfs > loud and (part.peak or 0.0) > -FULL_SCALE


def _was_heard(lanes: Lanes) -> bool:
    return lanes.typed or any(speech.text for speech in lanes.caller)


def _nothing_came(part: CallerAudio) -> bool:
    return part.received_ms == 0


def _is_silent(part: CallerAudio) -> bool:
    return part.received_ms > 0 and part.dbfs is None


def _overflows(part: CallerAudio) -> bool:
    return part.overflowed_ms > 0


def _overflowed(lanes: Lanes, stretch: Span) -> float:
    """How much of the caller's audio (s) was lost there behind a slow connection."""
    return sum(part.overflowed_ms / 1000 * overlap(part, stretch) for part in lanes.caller_audio)


def _stretches(
    lanes: Lanes, is_so: Callable[[CallerAudio], bool], lasting: float
) -> Iterator[Span]:
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
                if stretch.took >= lasting:
                    yield stretch
                stretch = None
