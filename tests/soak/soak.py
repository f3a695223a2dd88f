"""Many sessions at once, each through faults at random points and under the random variants of what
is not known about Phonic; beside them, calls in which next to nothing is said. Nothing may be lost.

A few seconds of it are ``test_soak.py``; the long form is ``tox -e soak``, or::

    PYTHONPATH=tests python -m soak.soak --minutes 10 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import logging
import math
import os
import random
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import mean
from types import TracebackType
from typing import Any

import anyio
from livekit.agents import APIConnectOptions, llm
from soak.fault_proxy import (
    Afterwards,
    Bloat,
    Corrupt,
    Cut,
    CutMidFrame,
    Delay,
    Duplicate,
    Fault,
    FaultProxy,
    Passing,
    Refuse,
    Reorder,
    SayGoodbye,
    Stall,
    Swallow,
)
from soak.http_proxy import behind_the_proxy, http_proxy
from soak.ledger import SILENCE, SOUND, Ledger, failure_of, look_up
from soak.long_calls import CALLS, stay
from soak.reliability import in_a_hurry

import phonic_fsm
from phonic_fsm import RealtimeModel, RealtimeSession, SessionBroke, State
from phonic_fsm._adapter.replies import Reply
from phonic_fsm._core import events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm.simulator import Call, Doubts, PhonicSimulator, Scenario, Turn
from phonic_fsm.trace import TraceError, _writer, replay
from phonic_fsm.trace._recorder import TraceRecorder
from phonic_fsm.trace._recording import checked_recording

WORKERS = 32
"""Sessions at a time."""

PATIENCE = 60
"""Seconds until a session hangs."""

MAX_RETRY = 3
"""Of every model."""

MOST_FLAPS = 2 * (MAX_RETRY + 1)
"""How often in a row a conversation may be resumed that then brings nothing. (An answer to a resume
may come twice.)"""

MOST_LOSSES = 50
"""That are printed."""

SAMPLES = 60
"""How often tasks, file descriptors and memory are counted."""

TOLERANCE = 1.25
"""How much more of them there may be in the last tenth of the time than in the first: sessions
come and go."""

PACKAGE = str(Path(phonic_fsm.__file__).parent)
"""What the names of its files begin with."""

_libc = ctypes.CDLL(None)

LOOK_UP = Call(tool="look_up", parameters={"city": "Rome"}, then="It is {output}.")
SCENARIO = Scenario(
    turns=(
        Turn(caller="Hello.", assistant="Hi."),
        Turn(caller="And the weather?", assistant="Well.", calls=(LOOK_UP,)),
        Turn(caller="Hm."),
        Turn(caller="Here and there?", calls=(LOOK_UP, LOOK_UP), backchannel="Mm."),
        Turn(caller="Press one.", dtmf="1", assistant="Done."),
    ),
    replies=("Here I am.", "So.", "Right."),
)

MENDABLE: tuple[tuple[float, Fault], ...] = (
    (4, Cut()),
    (4, CutMidFrame()),
    (3, SayGoodbye(1012)),
    (2, SayGoodbye(1001, "restarting")),
    (1, Stall(5)),
    (1, Stall(5, both_ways=False)),
)
LAST: tuple[tuple[float, Fault], ...] = ((0.3, SayGoodbye(1000)), (0.3, SayGoodbye(4800)))
HANDSHAKE = (
    *MENDABLE,
    *LAST,
    (3, Refuse()),
    (3, Refuse(503)),
    (2, Refuse(429, retry_after=0.2)),
    (0.2, Refuse(401)),
)
TO_SERVER = (*MENDABLE, *LAST, (6, Delay()))
TO_CLIENT = (
    *TO_SERVER,
    (6, Duplicate()),
    (6, Reorder()),
    *((2, Corrupt(n)) for n in range(3)),
    *((1, Bloat(n)) for n in range(5)),
)

FLAPS = 0.05
"""How often a session's connections are cut again and again, as soon as it has been resumed."""

STALLS = 0.1
"""How often an answer stalls: from some chunk on, nothing more of it comes, and no end."""


class Chance:
    """One session's plan: faults at random, until it is told that it is enough."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._flaps = rng.random() < FLAPS
        self._until_it_stalls = math.inf
        """Chunks of the answer that still pass."""
        self.enough = False

    def __call__(self, passing: Passing) -> Fault | None:
        if passing.way == "to_client" and self._has_stalled(passing.kind):
            return Swallow()
        if self._flaps and not self.enough and passing.kind == "conversation_reconnected":
            return Afterwards(Cut())
        often = {"handshake": 0.1, "audio_chunk": 0.002}.get(passing.kind, 0.04)
        if self.enough or self._rng.random() > often:
            return None
        # An error is not among the messages of which the session could know that it came twice.
        once = passing.way == "to_server" or passing.kind == "error"
        faults = TO_SERVER if once else TO_CLIENT
        weights, choices = zip(*(HANDSHAKE if passing.kind == "handshake" else faults), strict=True)
        chosen: Fault | None = self._rng.choices(choices, weights)[0]
        return chosen

    def _has_stalled(self, kind: str) -> bool:
        """Whether this message of the assistant's answer is one of those that do not come."""
        if kind == "assistant_started_speaking":
            stalls = not self.enough and self._rng.random() < STALLS
            self._until_it_stalls = self._rng.randint(1, 20) if stalls else math.inf
        elif kind == "audio_chunk":
            self._until_it_stalls -= 1
            return self._until_it_stalls < 0
        return kind == "assistant_finished_speaking" and self._until_it_stalls < math.inf


# -- one session ---------------------------------------------------------------------------------


class User:
    """Does to a session what a caller, an agent and LiveKit may do, in any order."""

    def __init__(self, ledger: Ledger, rng: random.Random, *, push_to_talk: bool) -> None:
        self._ledger = ledger
        self._session = ledger.session
        self._rng = rng
        talk = [self._hold, self._let_go, self._take_back] if push_to_talk else [self._speak] * 4
        self._actions: list[Callable[[], object]] = [
            *talk,
            *talk,
            self._sound,
            self._ask,
            self._ask,
            self._ask_and_think_better,
            self._say,
            self._session.interrupt,
            self._change_options,
            self._change_instructions,
            self._remark,
            self._type,
            self._hand_over,
            lambda: self._session.set_external_id("call-7"),
            self._session.restart,
            self._fork,
        ]

    async def act(self) -> None:
        """Do something, and let a little time pass."""
        result = self._rng.choice(self._actions)()
        if asyncio.iscoroutine(result):
            await result
        await anyio.sleep(self._rng.uniform(0, 0.4))

    def _speak(self) -> None:
        self._ledger.speak()

    def _sound(self) -> None:
        self._ledger.push(self._rng.choice([SOUND, SILENCE]), self._rng.randint(1, 10))

    def _hold(self) -> None:
        self._session.start_user_activity()
        self._ledger.push(SOUND, 5)

    def _let_go(self) -> None:
        self._hold()
        self._session.commit_audio()

    def _take_back(self) -> None:
        self._session.clear_audio()

    def _ask(self) -> None:
        self._ledger.ask(self._session.generate_reply())

    def _ask_and_think_better(self) -> None:
        self._ledger.ask(self._session.generate_reply(instructions="Be quick.")).cancel()

    def _say(self) -> None:
        self._ledger.ask(self._session.say("One moment."))

    def _change_options(self) -> None:
        self._session.update_options(audio_speed=self._rng.choice([1.0, 1.1, 1.2]))

    async def _change_instructions(self) -> None:
        await self._session.update_instructions(f"Be kind, {self._rng.random()}.")

    async def _remark(self) -> None:
        await self._add("system", "The shop closes soon.")

    async def _type(self) -> None:
        await self._add("user", "What about tomorrow?")
        self._ask()

    async def _fork(self) -> None:
        """A library forks the process. The child goes on with the session for a moment, and has a
        call of its own, so that a thread of its own writes traces."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there are other threads
            child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(PATIENCE)
                self._session._runtime.dispatch(events.EventLoopLate(1.0))
                _record_another_call()
                status = 0
            finally:
                os._exit(status)
        _, status = await anyio.to_thread.run_sync(os.waitpid, child, 0)
        if status:
            self._ledger.complaints.append("a forked process cannot record a call of its own")

    async def _add(self, role: llm.ChatRole, text: str) -> None:
        context = self._session.chat_ctx
        context.add_message(role=role, content=text)
        await self._session.update_chat_ctx(context)

    async def _hand_over(self) -> None:
        await self._session._update_session(
            instructions="Now be short.", chat_ctx=self._session.chat_ctx, tools=[look_up]
        )


# -- the account ---------------------------------------------------------------------------------


@dataclass
class Figures:
    """What a soak comes to."""

    sessions: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: Counter[str] = field(default_factory=Counter)
    outages: list[float] = field(default_factory=list)
    """Seconds from each loss until the conversation went on."""
    ends: Counter[str] = field(default_factory=Counter)
    replies: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    closing: list[float] = field(default_factory=list)
    """Seconds that each ``aclose`` took."""
    samples: list[dict[str, float]] = field(default_factory=list)
    """What there is of tasks and so on, counted at regular times."""
    left: dict[str, int] = field(default_factory=dict)
    """What was not there before."""
    losses: list[str] = field(default_factory=list)

    def enter(self, ledger: Ledger, faults: Iterable[Fault], *, ended: bool) -> None:
        """Add a session that is over; ``ended``: not by its user."""
        self.sessions += 1
        self.faults.update(type(fault).__name__ for fault in faults)
        self.recoveries += ledger.turns_of_fate
        self.outages += ledger.recoveries
        final = [error.error for error in ledger.errors if not error.recoverable]
        self.ends[type(final[0]).__name__ if ended and final else "closed by the user"] += 1
        self.replies.update(_outcome(reply) for reply in ledger.replies)
        self.passed["transcripts"] += len(ledger.transcripts)
        self.passed["tool calls"] += len(ledger.calls)
        self.passed["words"] += len(ledger.heard)

    def course(self, name: str) -> list[float]:
        """A count's mean over each tenth of the time."""
        values = [sample[name] for sample in self.samples]
        edges = [len(values) * tenth // 10 for tenth in range(11)]
        return [mean(values[start:end]) for start, end in pairwise(edges)]

    def grown(self) -> list[str]:
        """The counts that were clearly higher in the last tenth than in the first."""
        courses = {name: self.course(name) for name in self.samples[0]}
        return [name for name, course in courses.items() if course[-1] > TOLERANCE * course[0]]

    def __str__(self) -> str:
        rows = {
            "sessions": self.sessions,
            "faults": f"{self.faults.total()}: {_list(self.faults)}",
            "recoveries": _list(self.recoveries),
            "outages": _seconds(self.outages),
            "ends": _list(self.ends),
            "replies": _list(self.replies),
            "passed on": _list(self.passed),
            "aclose": _seconds(self.closing),
            **{
                name: " ".join(f"{value:.0f}" for value in self.course(name))
                for name in self.samples[0]
            },
            "grown": ", ".join(self.grown()) or "nothing",
            "left behind": _list(self.left),
            "lost": len(self.losses) or "nothing",
        }
        lines = [f"{name:18}{value}" for name, value in rows.items()]
        return "\n".join(lines + [f"    {loss}" for loss in self.losses[:MOST_LOSSES]])


def _list(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name}" for name, count in ordered)


def _seconds(values: list[float]) -> str:
    return f"mean {mean(values):.2f} s, longest {max(values):.2f} s" if values else "–"


def _outcome(reply: Reply) -> str:
    failure = failure_of(reply)
    return "answered" if failure is None else getattr(failure, "code", "cancelled")


# -- one session, and many -----------------------------------------------------------------------


class Worker:
    """Has one session after the other, with one model, until it is time to end."""

    def __init__(
        self, name: str, figures: Figures, *, traces: Path, keep: Path | None, until: float
    ) -> None:
        self._name = name
        self._figures = figures
        self._traces = traces / name
        self._keep = keep
        self._until = until

    async def run(self) -> None:
        self._traces.mkdir()
        async with FaultProxy() as proxy:
            # The models are the same all the time: what they kept of their sessions would show.
            # Where audio comes at its pace, a reset falls into the middle of a line. The last ones
            # connect through an HTTP proxy.
            models = [
                RealtimeModel(
                    api_key="any",
                    base_url=url,
                    trace=self._traces,
                    audio_format="pcm_8000",
                    vad_min_silence_duration_ms=60,
                    stream_ahead_of_real_time=ahead,
                    conn_options=APIConnectOptions(
                        max_retry=MAX_RETRY, retry_interval=0.3, timeout=2
                    ),
                )
                for url, ahead in (
                    (proxy.url, True),
                    (proxy.url, False),
                    (behind_the_proxy(proxy.url), True),
                )
            ]
            number = 0
            while anyio.current_time() < self._until:
                number += 1
                model = models[number % len(models)]
                await self._have_a_session(f"{self._name}-{number}", model, proxy)

    async def _have_a_session(self, name: str, model: RealtimeModel, proxy: FaultProxy) -> None:
        rng = random.Random(name)
        losses = []
        doubts = Doubts.at_random(rng.randrange(10**6)) if rng.random() < 0.5 else Doubts()
        async with (
            PhonicSimulator(SCENARIO, doubts=doubts) as simulator,
            anyio.create_task_group() as tasks,
        ):
            proxy.connect(simulator.url, chance := Chance(rng))
            push_to_talk = rng.random() < 0.2
            session = model.session(turn_detection_disabled=push_to_talk)
            ledger = Ledger(session, tasks, lambda: anyio.sleep(rng.uniform(0, 0.5)))
            with anyio.move_on_after(PATIENCE) as life:
                await self._live(User(ledger, rng, push_to_talk=push_to_talk), ledger, rng)
                if rng.random() < 0.7:
                    chance.enough = True
                    await _answer(ledger)
                    await ledger.until_settled(simulator)
            if life.cancelled_caught:
                losses.append(f"it hangs in {session.state.value}")
            ended, began = ledger.closed, anyio.current_time()
            with anyio.move_on_after(PATIENCE) as end:
                await session.aclose()
                self._figures.closing.append(anyio.current_time() - began)
                await ledger.until(lambda: not ledger.open_generations)
            if end.cancelled_caught:
                losses.append("its end hangs")
            tasks.cancel_scope.cancel()
        [trace] = self._traces.iterdir()
        try:
            difference = list(replay(trace))[-1].difference
            if difference is not None:
                losses.append(f"its trace does not replay: {difference}")
        except TraceError as error:
            losses.append(f"its trace cannot be read: {error}")
        losses += ledger.losses(simulator.conversations)
        losses += [f"it breaks: {e.error}" for e in ledger.errors if _is_ours(e)]
        if (flaps := _flaps(ledger)) > MOST_FLAPS:
            losses.append(f"it was resumed {flaps} times in a row for nothing")
        if losses and self._keep is not None:
            trace.rename(self._keep / f"{name}.jsonl")
        else:
            trace.unlink()
        self._figures.losses += [f"{name}: {loss}" for loss in losses]
        self._figures.enter(ledger, (fault for _, fault in proxy.struck), ended=ended)

    async def _live(self, user: User, ledger: Ledger, rng: random.Random) -> None:
        await ledger.session.update_instructions("Be kind.")
        await ledger.session.update_tools([look_up])
        for _ in range(rng.randint(0, 30)):
            if ledger.closed or anyio.current_time() > self._until:
                break
            await user.act()


async def _answer(ledger: Ledger) -> None:
    """See that the session, if it lives, still answers."""
    for _ in range(3):
        reply = ledger.ask(ledger.session.generate_reply())
        await ledger.until(reply.done)
        if failure_of(reply) is None or ledger.closed:
            return
        await anyio.sleep(0.5)
    if ledger.session.state not in (State.last_words, State.closed):
        ledger.complaints.append(f"it is silent in {ledger.session.state.value}")


def _is_ours(event: llm.RealtimeModelError) -> bool:
    """Whether the session ends by a fault of the package."""
    return isinstance(event.error, SessionBroke)


def _flaps(ledger: Ledger) -> int:
    """How often in a row, at most, the conversation was resumed and brought no turn."""
    longest = row = 0
    for _, kind, _ in ledger.messages:
        if kind == "conversation_reconnected":
            row += 1
            longest = max(longest, row)
        elif kind in ("input_text", "assistant_finished_speaking", "config"):
            row = 0
    return longest


def _record_another_call() -> None:
    """In a forked child: record a call, and wait until its trace is complete."""
    _writer.FILES._interval = 0.0  # whoever else it writes for is looked at, too
    with tempfile.TemporaryDirectory() as traces:
        machine = SessionMachine(Settings(id_seed="child"))
        recorder = TraceRecorder(
            checked_recording(f"{traces}/"), machine.context.settings, Secrets()
        )
        recorder.record(machine.step(events.Open()))
        recorder.close()
        recorder._written.result(PATIENCE)


async def soak(
    seed: int,
    seconds: float,
    workers: int = WORKERS,
    keep: Path | None = None,
    samples: int = SAMPLES,
) -> Figures:
    """Have so many sessions at a time for so long, and beside them calls without trouble in which
    next to nothing is said; ``keep`` gets the traces of what was lost."""
    figures = Figures()

    async def stay_quiet(name: str) -> None:
        figures.losses += await stay(name, seconds)

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What is raised into the event loop is a loss, if it comes from the package."""
        error = context.get("exception")
        if any(PACKAGE in frame.filename for frame in traceback.extract_tb(_trace_of(error))):
            figures.losses.append(f"{error!r} is raised into the event loop")
        else:
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(note)
    before = _count()
    until = anyio.current_time() + seconds
    with tempfile.TemporaryDirectory() as traces:
        async with (
            http_proxy(random.Random(seed), figures.faults),
            anyio.create_task_group() as tasks,
        ):
            for number in range(workers):
                worker = Worker(
                    f"{seed}-{number}", figures, traces=Path(traces), keep=keep, until=until
                )
                tasks.start_soon(worker.run)
            for name in CALLS:
                tasks.start_soon(stay_quiet, name)
            while anyio.current_time() < until:
                await anyio.sleep(seconds / samples)
                figures.samples.append(_count())
    await anyio.sleep(0.1)  # sockets that were closed last are let go of in the next turn
    after = _count()
    figures.left = {name: int(after[name] - before[name]) for name in ("tasks", "file descriptors")}
    figures.left["sessions"] = sum(isinstance(o, RealtimeSession) for o in gc.get_objects())
    return figures


def _trace_of(error: BaseException | None) -> TracebackType | None:
    return None if error is None else error.__traceback__


def _count() -> dict[str, float]:
    gc.collect()
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)  # what the allocator keeps for later is nobody's
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "tasks": len(asyncio.all_tasks()),
        "file descriptors": len(os.listdir("/proc/self/fd")),
        "Python's blocks": sys.getallocatedblocks(),
        "memory (MB)": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Many sessions in trouble: nothing may be lost.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--workers", type=int, default=WORKERS, help="sessions at a time")
    parser.add_argument("--keep", type=Path, help="a directory for the traces of what was lost")
    arguments = parser.parse_args()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    logging.getLogger("phonic_fsm").setLevel(logging.CRITICAL)
    sys.stdout.write(f"{arguments.minutes:g} minutes, seed {arguments.seed}\n")
    sys.stdout.flush()
    with in_a_hurry():
        figures = anyio.run(
            soak, arguments.seed, arguments.minutes * 60, arguments.workers, arguments.keep
        )
    sys.stdout.write(f"{figures}\n")
    return 1 if figures.losses or any(figures.left.values()) or figures.grown() else 0


if __name__ == "__main__":
    sys.exit(main())
