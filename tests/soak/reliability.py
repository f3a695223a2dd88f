"""Every fault at every point of the protocol, and what becomes of the session.

``observe`` has one fault happen at one point and names the outcome; whatever hangs, is lost or
goes silent raises instead. Run as a script it prints ``docs/faults.md``::

    PYTHONPATH=tests python -m soak.reliability > docs/faults.md
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import anyio
from livekit.agents import APIConnectOptions
from soak.fault_proxy import (
    Afterwards,
    Corrupt,
    Cut,
    CutMidFrame,
    Delay,
    Duplicate,
    Fault,
    FaultProxy,
    Passing,
    Plan,
    Refuse,
    Reorder,
    SayGoodbye,
    Stall,
    Way,
    at,
)
from soak.ledger import Ledger, failure_of, look_up
from support.clock import PatientLoop

from phonic_fsm import RealtimeModel, State
from phonic_fsm._adapter import model
from phonic_fsm._adapter.replies import Reply
from phonic_fsm._core import timers
from phonic_fsm._core.context import Settings
from phonic_fsm._runtime import connection
from phonic_fsm._wire import client
from phonic_fsm._wire.codec import MalformedMessage
from phonic_fsm.simulator import Call, ConversationRecord, PhonicSimulator, Scenario, Turn
from phonic_fsm.trace import ReplayedStep, replay

PATIENCE = 8
"""Seconds until an outcome must be there."""

SCENARIO = Scenario(
    turns=(
        Turn(
            caller="Is it nice out?",
            assistant="One moment, please.",
            calls=(Call(tool="look_up", then="It is {output}."),),
        ),
    ),
    replies=("Here I am.", "Here I am again."),
)


@dataclass(frozen=True)
class Point:
    """Where in the protocol: the message that the fault befalls, and how to get there."""

    kind: str
    drive: Callable[[Ledger], Reply | None]
    """What the caller or LiveKit does once the session is ready, so that the message comes."""
    nth: int = 1
    way: Way = "to_client"
    tool_waits: bool = False
    """What ends the connection comes right behind the message, not in its place, and the tool that
    is called runs until the connection is back."""
    cut_before: str | None = None
    """A message at which the connection is cut first."""


def nothing(ledger: Ledger) -> None:
    """The message comes by itself."""


def _speak(ledger: Ledger) -> None:
    ledger.speak()


def _ask(ledger: Ledger) -> Reply:
    return ledger.ask(ledger.session.generate_reply())


POINTS = {
    "connecting (handshake)": Point("handshake", nothing),
    "before `conversation_created`": Point("conversation_created", nothing),
    "config out": Point("ready_to_start_conversation", nothing),
    "`ready`": Point("user_started_speaking", _speak),
    "`listening`": Point("user_finished_speaking", _speak),
    "`speaking`": Point("audio_chunk", _speak, nth=5),
    "`tool_pending`": Point("tool_call", _speak, tool_waits=True),
    "tool output on its way": Point("tool_call_output", _speak, way="to_server"),
    "tool output unacknowledged": Point("tool_call_output_processed", _speak),
    "reply request on its way": Point("generate_reply", _ask, way="to_server"),
    "reply asked for": Point("assistant_started_speaking", _ask),
    "`reconnecting` (handshake)": Point(
        "handshake", _speak, nth=2, cut_before="user_started_speaking"
    ),
    "`reconnecting`": Point("conversation_reconnected", _speak, cut_before="user_started_speaking"),
}

CONNECTION_FAULTS: dict[str, Fault] = {
    "cut, no close frame": Cut(),
    "cut mid-frame": CutMidFrame(),
    "closed, 1000": SayGoodbye(1000),
    "closed, 1012": SayGoodbye(1012),
    "closed, 1001 restarting": SayGoodbye(1001, "restarting"),
    "closed, 4800": SayGoodbye(4800),
    "stalled": Stall(),
    "half-open": Stall(both_ways=False),
}

MESSAGE_FAULTS: dict[str, Fault] = {
    "delayed": Delay(),
    "duplicated": Duplicate(),
    "reordered": Reorder(),
    "corrupted": Corrupt(),
}

REFUSALS: dict[str, Fault] = {
    "TCP reset": Refuse(),
    "HTTP 503": Refuse(503),
    "HTTP 429, Retry-After": Refuse(429, retry_after=0.1),
    "HTTP 401": Refuse(401),
    "never answered": Stall(),
}

FAULTS = CONNECTION_FAULTS | MESSAGE_FAULTS | REFUSALS


@contextmanager
def in_a_hurry() -> Iterator[None]:
    """Have what takes seconds on purpose take less: the pings, and what an answer may take."""
    with (
        patch.object(connection, "PING_INTERVAL", 0.5),
        patch.object(timers, "SOON", 0.2),
        patch.object(model, "Settings", partial(Settings, turn_timeout=1.0)),
    ):
        yield


class Harm(AssertionError):
    """A fault did what none may do."""


def _plan(point: Point, fault: Fault) -> Plan:
    if point.tool_waits and fault in CONNECTION_FAULTS.values():
        fault = Afterwards(fault)
    plan = at(point.kind, fault, nth=point.nth, way=point.way)
    first = at(point.cut_before, Cut()) if point.cut_before else lambda passing: None

    def both(passing: Passing) -> Fault | None:
        return first(passing) or plan(passing)

    return both


async def observe(point: Point, fault: Fault, directory: Path) -> str:
    """What becomes of a session to which this happens.

    Raises:
        Harm: something hangs or was lost, or the session went silent.
    """
    trace = directory / "trace.jsonl"
    async with (
        PhonicSimulator(SCENARIO) as simulator,
        FaultProxy() as proxy,
        anyio.create_task_group() as tasks,
    ):
        proxy.connect(simulator.url, _plan(point, fault))
        model = RealtimeModel(
            api_key="any",
            base_url=proxy.url,
            trace=trace,
            audio_format="pcm_8000",
            vad_min_silence_duration_ms=60,
            conn_options=APIConnectOptions(
                max_retry=2,
                retry_interval=0,
                timeout=0.7 if isinstance(fault, (Stall, Corrupt)) else 5,
            ),
        )
        run_tool = anyio.Event()
        if not point.tool_waits:
            run_tool.set()
        ledger = Ledger(model.session(), tasks, run_tool.wait)
        tasks.start_soon(_remark_while_the_connection_is_lost, ledger)
        with anyio.move_on_after(PATIENCE) as life:
            await _live_through(ledger, proxy, point, fault, run_tool)
            if not ledger.closed:
                await ledger.until_settled(simulator)
                told = simulator.conversations
                await simulator.wait_for(lambda: not ledger.recoveries or _knows_remark(told[-1]))
        closed, state = ledger.closed, ledger.session.state.value
        with anyio.move_on_after(PATIENCE) as end:
            await ledger.session.aclose()
            await ledger.until(lambda: not ledger.open_generations)
        tasks.cancel_scope.cancel()
    if life.cancelled_caught or end.cancelled_caught:
        raise Harm(f"it hangs in state {state}; so far: {_told(ledger)}")
    losses = ledger.losses(simulator.conversations)
    if ledger.heard != ledger.words:
        losses.append(f"{ledger.words} was said, {ledger.heard} came out")
    if losses:
        raise Harm("; ".join(losses))
    return _outcome(ledger, closed, list(replay(trace)))


REMARK = "The shop closes soon."


async def _remark_while_the_connection_is_lost(ledger: Ledger) -> None:
    await ledger.until(lambda: ledger.session.state is State.reconnecting)
    context = ledger.session.chat_ctx
    context.add_message(role="system", content=REMARK)
    await ledger.session.update_chat_ctx(context)


def _knows_remark(conversation: ConversationRecord) -> bool:
    assert conversation.config is not None
    prompt = conversation.config.system_prompt or ""
    return client.AddSystemMessage(REMARK) in conversation.received or REMARK in prompt


def _told(ledger: Ledger) -> str:
    return ", ".join(f"{way} {kind}" for way, kind, _ in ledger.messages) + f"; {ledger.errors}"


async def _live_through(
    ledger: Ledger, proxy: FaultProxy, point: Point, fault: Fault, run_tool: anyio.Event
) -> None:
    """Get to the point, let the fault happen, and see that the session answers or is over."""
    await ledger.session.update_instructions("Be kind.")
    await ledger.session.update_tools([look_up])
    await ledger.until(lambda: ledger.closed or ledger.session.state is State.ready)
    reply = point.drive(ledger)
    await proxy.strikes(2 if point.cut_before else 1)
    if point.drive is not nothing and fault in CONNECTION_FAULTS.values():
        await ledger.until(lambda: ledger.closed or bool(ledger.recoveries))
    run_tool.set()
    if reply is None:
        await ledger.until(lambda: ledger.closed or ledger.session.state is State.ready)
        reply = ledger.ask(ledger.session.generate_reply())
    await ledger.until(lambda: ledger.closed or reply.done())


def _outcome(ledger: Ledger, closed: bool, steps: list[ReplayedStep]) -> str:
    if (difference := steps[-1].difference) is not None:
        raise Harm(f"the trace does not replay: {difference}")
    final = [error for error in ledger.errors if not error.recoverable]
    if closed and not final:
        raise Harm("the session closed and did not say why")
    if not final and (failure := failure_of(ledger.replies[-1])) is not None:
        raise Harm(f"it does not answer any more: {failure!r}")
    if final:
        return f"{ENDS}`{type(final[0].error).__name__}`"
    if ledger.recoveries:
        return "fresh conversation" if "fresh conversation" in ledger.turns_of_fate else "resumed"
    if ledger.errors:
        return "connects again"
    if any(isinstance(step.step.event, MalformedMessage) for step in steps):
        return "goes on, warned"
    return "goes on"


def faults_at(point: Point) -> dict[str, Fault]:
    """Those that can happen there."""
    faults = dict(CONNECTION_FAULTS)
    if point.way == "to_client":
        faults |= MESSAGE_FAULTS
    if point.kind == "handshake":
        faults |= REFUSALS
        # One answer has nothing that it could change places with.
        del faults["reordered"]
    return faults


Row = dict[str, str]
"""Outcomes by the faults' names."""


async def observe_row(name: str) -> Row:
    """The outcomes of all the faults at a point, which happen side by side."""
    point = POINTS[name]
    outcomes: Row = {}

    async def cell(fault: str) -> None:
        with tempfile.TemporaryDirectory() as directory:
            try:
                outcomes[fault] = await observe(point, FAULTS[fault], Path(directory))
            except Harm as harm:
                outcomes[fault] = f"**{harm}**"

    async with anyio.create_task_group() as cells:
        for fault in faults_at(point):
            cells.start_soon(cell, fault)
    return outcomes


# -- the document --------------------------------------------------------------------------------

OUTCOMES = {
    "goes on": "Nothing is lost; no error is emitted.",
    "goes on, warned": "The message is dropped, with a warning in the log; all else goes on.",
    "connects again": "A recoverable `ConnectionFailed`; the next attempt succeeds.",
    "resumed": "A recoverable `ConnectionLost`; the conversation is resumed, what was "
    "under way in it is finished or asked for again.",
    "fresh conversation": "A recoverable `ConnectionLost`; a fresh conversation goes on with the "
    "history.",
}
ENDS = "ends: "

TABLES = {
    "What ends or stalls a connection": CONNECTION_FAULTS,
    "What happens to a single message": MESSAGE_FAULTS,
    "How a connection is refused": REFUSALS,
}

HEAD = """# Faults

This page says what becomes of a call for every fault at every point of the protocol. The tables are
measured, not written: `PYTHONPATH=tests python -m soak.reliability` runs a real session against the
simulator through a proxy that does the harm, and prints this page. `tests/soak/test_reliability.py`
does the same and fails if an outcome is another one.

A session that survives a fault is asked for a reply, and the reply must come. No transcript, tool
call, output, reply or word that has arrived may be lost or come twice. The session's trace must
replay to the same steps.
"""


def document(rows: Mapping[str, Row]) -> str:
    """``docs/faults.md``: of each point, the outcomes."""
    parts = [HEAD]
    for title, faults in TABLES.items():
        parts.append(f"## {title}\n")
        parts.append(_line("At", *faults))
        parts.append(_line(*["---"] * (1 + len(faults))))
        parts += [
            _line(point, *(row.get(fault, "–") for fault in faults))
            for point, row in rows.items()
            if any(fault in row for fault in faults)
        ]
        parts.append("")
    parts.append("## What the words mean\n")
    parts += [f"- *{outcome}*: {meaning}" for outcome, meaning in OUTCOMES.items()]
    parts.append(
        "- *ends*: one unrecoverable error of this type, and the `AgentSession` closes with it."
    )
    return "\n".join(parts) + "\n"


def rows_of(text: str) -> dict[str, Row]:
    """The outcomes that a document holds."""
    rows: dict[str, Row] = {}
    faults: list[str] = []
    for line in text.splitlines():
        if line.startswith("| At |"):
            faults = _cells(line)[1:]
        elif line.startswith("| ") and not line.startswith("| ---"):
            point, *outcomes = _cells(line)
            found = zip(faults, outcomes, strict=True)
            rows.setdefault(point, {}).update({f: o for f, o in found if o != "–"})
    return rows


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


async def main() -> None:
    with in_a_hurry():
        rows = {name: await observe_row(name) for name in POINTS}
    sys.stdout.write(document(rows))


if __name__ == "__main__":
    anyio.run(main, backend_options={"loop_factory": PatientLoop})
