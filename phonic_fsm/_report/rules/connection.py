"""The connection: how it opened, and what an outage cost."""

from __future__ import annotations

from collections.abc import Iterator

from phonic_fsm._core.outgoing import KEPT_UNTIL_RESUMED_MS

from ..findings import Finding, found
from ..lanes import Lanes, Link
from ..numbers import count, duration

HELD = KEPT_UNTIL_RESUMED_MS / 1000
"""Seconds of the caller's audio that are kept while a lost connection is resumed."""

SLOW_START = 3.0
"""If a conversation takes more seconds to open, that is marked."""

SLOW_TRIP = 0.5
"""If a ping and its answer take more seconds, that is marked, once for each stretch of them."""


def slow_start(lanes: Lanes) -> Iterator[Finding]:
    if not lanes.connection:
        return
    first = lanes.connection[0]
    took, tries = first.end - first.start, count(len(first.attempts), "attempt")
    if not first.restored:
        title = "The conversation never opened"
        sentence = f"In {duration(took)} and {tries}, Phonic did not say that it is ready."
    elif took > SLOW_START or len(first.attempts) > 1:
        title = f"Connecting took {duration(took)}"
        sentence = f"It took {duration(took)} and {tries} until Phonic was ready."
    else:
        return
    yield found("slow start", title, sentence, first, severity="error")


def outage(lanes: Lanes) -> Iterator[Finding]:
    for link in lanes.connection:
        if link.kind == "lost":
            yield found(
                "outage",
                f"No connection for {duration(link.end - link.start)}",
                " ".join(_about_outage(lanes, link)),
                link,
                severity="error",
            )


def _about_outage(lanes: Lanes, link: Link) -> Iterator[str]:
    lost = f"The connection to Phonic {link.cause}"
    took, tries = duration(link.end - link.start), count(len(link.attempts), "attempt")
    if not link.restored:
        yield f"{lost} and did not come back in {took} and {tries}."
    elif link.afresh:
        yield (
            f"{lost}. It could not be resumed; after {took} and {tries} the call went on in a "
            "fresh conversation that was given the history."
        )
    else:
        yield f"{lost}. After {took} and {tries} the conversation was resumed."
    for call in lanes.tools:
        given, sent = call.given, call.sent
        if given is None or not link.start <= given <= link.end:
            continue
        ready = f"{call.name}'s output was ready {duration(given - link.start)} into the outage"
        if sent is not None and sent >= link.end:
            yield f"{ready} and could not be sent until {duration(sent - given)} later."
        else:
            yield f"{ready} and was never sent."


def lost_audio(lanes: Lanes) -> Iterator[Finding]:
    for link in lanes.connection:
        missed = link.end - link.start - HELD
        if link.kind == "lost" and link.restored and missed > 0:
            yield found(
                "dropped audio",
                f"Up to {duration(missed)} of the caller not heard",
                f"Only the newest {HELD:g} s of the caller's audio are kept during an outage. What "
                f"the caller said in the first {duration(missed)} of it never reached Phonic.",
                link,
            )
    for span in lanes.discarded:
        yield found(
            "dropped audio",
            f"{duration(span.end - span.start)} of the assistant dropped",
            "The session had interrupted this turn; what Phonic still sent of it was dropped.",
            span,
        )


def slow_network(lanes: Lanes) -> Iterator[Finding]:
    slow = False
    for trip in lanes.trips:
        if trip.seconds > SLOW_TRIP and not slow:
            yield found(
                "slow network",
                f"A round trip to Phonic took {duration(trip.seconds)}",
                f"A ping and its answer took {duration(trip.seconds)}. Everything that is said "
                "arrives by half of that later, each way.",
                trip,
            )
        slow = trip.seconds > SLOW_TRIP
