"""The connection: how it opened, and what an outage cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from phonic_fsm._core.outgoing import KEPT_UNTIL_READY_MS, KEPT_UNTIL_RESUMED_MS
from phonic_fsm._core.states import State

from ..findings import Finding, overlap
from ..lanes import GONE, MOVED, Lanes, Link, Span
from ..numbers import count, duration
from .rule import Rule, Seconds

HELD = KEPT_UNTIL_RESUMED_MS / 1000
"""Seconds of the caller's audio that are kept while a lost connection is resumed."""

HELD_AFRESH = KEPT_UNTIL_READY_MS / 1000
"""The same, while a conversation is opened."""

PING_ANSWERED = 10.0
"""If a ping is not answered within so many seconds, the connection is given up."""

AT_ONCE = 1.0
"""A session that is closed within so many seconds was not meant to wait for its conversation."""


class SlowStart(Rule, frozen=True, kw_only=True):
    """The conversation opened late, or not at all."""

    name = "slow-start"
    severities = ("error", "note")
    looks_for = (
        "the conversation opens after more than {seconds:g} s, or never; a second attempt that "
        "takes less is a note"
    )

    seconds: Seconds = 3.0
    """From the first attempt to connect until the conversation is open."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        if not lanes.connection:
            return
        first = lanes.connection[0]
        took = first.took
        tries = count(len(first.attempts), "attempt")
        if first.restored:
            if took > self.seconds or len(first.attempts) > 1:
                yield self.found(
                    _why_slow(lanes, first),
                    f"It took {duration(took)} and {tries} until Phonic was ready.",
                    first,
                    "error" if took > self.seconds else "note",
                    noticed=f"connecting took {duration(took)}",
                )
        elif lanes.end is None:
            if took > self.seconds:
                yield self.found(
                    _why_slow(lanes, first),
                    f"In {duration(took)} and {tries}, no conversation was opened so far.",
                    first,
                    noticed="the conversation is not open yet",
                )
        elif not any(trouble.ended for trouble in lanes.troubles):
            # Otherwise the error that ended the session is the finding.
            yield self.found(
                _why_slow(lanes, first) if took > AT_ONCE else "The session was closed at once",
                f"In {duration(took)} and {tries}, no conversation was opened.",
                first,
                "error" if took > AT_ONCE else "note",
                noticed="the conversation never opened",
            )


def _why_slow(lanes: Lanes, link: Link) -> str:
    """What the time was spent on, above all."""
    stood = sum(overlap(held, link) for held in lanes.held_up)
    if stood >= link.took / 2:
        return "The process stood still"
    waits = {
        State.connecting: "The websocket handshake took long",
        State.awaiting_inputs: "The session waited for instructions and tools",
        State.config_sent: "Phonic took long to be ready",
    }
    spent = {
        state: sum(overlap(span, link) for span in lanes.states if span.state == state.value)
        for state in waits
    }
    longest = max(spent, key=lambda state: spent[state])
    if link.problems and longest is State.connecting:
        return _as_title(link.problems[0])
    return waits[longest]


class Outage(Rule, frozen=True, kw_only=True):
    """The connection was lost in mid-call. What the caller waits because of it, is silence."""

    name = "outage"
    severities = ("warning",)
    looks_for = "the connection is lost in mid-call"

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for link in lanes.connection:
            if link.kind == "lost" and link.cause not in (GONE, MOVED):
                missing = (
                    f"no connection for {duration(link.took)}"
                    if link.restored
                    else "it did not come back"
                    if lanes.end is not None
                    else "it is not back yet"
                )
                yield self.found(
                    f"The connection {link.cause}",
                    " ".join(_about_outage(lanes, link)),
                    link,
                    noticed=f"nothing got through, then {missing}" if frozen([link]) else missing,
                )


def frozen(links: Iterable[Link]) -> list[Span]:
    """When nothing got through, before these connections were given up: a ping was not answered."""
    return [
        Span(step=link.step, start=max(0.0, link.start - PING_ANSWERED), end=link.start)
        for link in links
        if "ping" in link.cause
    ]


def _about_outage(lanes: Lanes, link: Link) -> Iterator[str]:
    lost = f"The connection to Phonic {link.cause}"
    took, tries = duration(link.took), count(len(link.attempts), "attempt")
    if not link.restored:
        yield f"{lost} and did not come back in {took} and {tries}."
    elif link.afresh:
        yield (
            f"{lost}. It could not be resumed; after {took} and {tries} the call went on in a "
            "fresh conversation that was given the history."
        )
    else:
        yield f"{lost}. After {took} and {tries} the conversation was resumed."
    if link.problems:
        yield f"The last attempt that failed: {link.problems[-1].rstrip('.')}."
    for call in lanes.tools:
        given, sent = call.given, call.sent
        if given is None or not link.start <= given <= link.end:
            continue
        ready = f"{call.name}'s output was ready {duration(given - link.start)} into the outage"
        if sent is not None and sent >= link.end:
            yield f"{ready} and could not be sent until {duration(sent - given)} later."
        elif call.carried is not None and call.carried >= given:
            later = duration(call.carried - given)
            yield f"{ready} and went with the history {later} later."
        elif call.told is not None:
            yield f"{ready}; Phonic, which did not await it, was told in words."
        elif lanes.end is not None:
            yield f"{ready} and was never sent."
        else:
            yield f"{ready} and is not sent yet."


class LostAudio(Rule, frozen=True, kw_only=True):
    """What the caller said in an outage was lost."""

    name = "lost-audio"
    severities = ("warning",)
    looks_for = "{seconds:g} s of the caller's audio or more are lost in an outage"

    seconds: Seconds = 0.1
    """So much was dropped, or would have been of a caller who spoke all the time."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for link in lanes.connection:
            if link.kind != "lost" or not link.restored or link.lost_audio < self.seconds:
                continue
            lost = duration(link.lost_audio)
            kept = f"While a conversation is resumed, the newest {HELD:g} s are kept"
            if link.afresh:
                kept += f", and until a fresh one is open, the newest {HELD_AFRESH:g} s"
            measured = lanes.lost_audio_is_measured
            yield self.found(
                f"An outage of {duration(link.took)}",
                f"{lost} of the caller's audio were dropped. {kept}."
                if measured
                else f"{kept}: if the caller spoke all the time, {lost} never reached Phonic.",
                link,
                noticed=f"{'' if measured else 'up to '}{lost} of the caller not heard",
            )


class SlowNetwork(Rule, frozen=True, kw_only=True):
    """Pings to Phonic took long."""

    name = "slow-network"
    severities = ("warning",)
    looks_for = "a ping to Phonic and its answer take more than {seconds:g} s"

    seconds: Seconds = 0.5
    """From the ping until its answer. A stretch of slow ones is marked once."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        slow = False
        for trip in lanes.trips:
            if trip.seconds > self.seconds and not slow:
                took = duration(trip.seconds)
                yield self.found(
                    f"A round trip to Phonic took {took}",
                    f"A ping and its answer took {took}. Everything that is said arrives by half "
                    "of that later, each way.",
                    trip,
                )
            slow = trip.seconds > self.seconds


def _as_title(problem: str) -> str:
    return problem[:1].upper() + problem[1:].rstrip(".")
