"""Without a socket: the machine alone, and replaying a trace."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from livekit.agents.utils import shortuuid
from transitions import Machine

from phonic_fsm._core import events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._wire import server
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace import replay
from phonic_fsm.trace._recorder import TraceRecorder
from phonic_fsm.trace._recording import checked_recording

from .contestants import SILENCE, Name
from .measuring import Benchmark, Cpu, Figures

BEGINNING = (
    events.Open(),
    events.UpdateSession(instructions="Be kind.", tools=(), items=()),
    events.ConnectionOpened(),
    server.ConversationCreated("conv_1"),
    server.ReadyToStartConversation(),
    server.AssistantStartedSpeaking(),
)

CHUNK = server.AudioChunk(SILENCE)

TRACED_STEPS = 1_000
"""In one trace: about as many as a recorder takes at once."""


async def step(name: Name, url: str, *, steps: int) -> Figures:
    """A chunk of the assistant's turn; the floor is a bare transition that does nothing."""
    if name == "floor":
        return {"us": _us_per(_bare_transition(), steps)}
    with tempfile.TemporaryDirectory() as directory:
        traced_us = [
            await _record(Path(directory) / f"{number}.jsonl")
            for number in range(steps // TRACED_STEPS)
        ]
    return {"us": _us_per(_speaking(), steps), "traced_us": median(traced_us)}


async def replaying(name: Name, url: str, *, times: int) -> Figures:
    """A trace of a long turn, read, replayed and compared."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "call.jsonl"
        await _record(path)
        cpu = Cpu()
        steps = sum(replayed.difference is None for _ in range(times) for replayed in replay(path))
        return {"us": cpu.us_per(steps), "steps_per_s": steps / cpu.seconds()}


def _us_per(take: Callable[[server.AudioChunk], object], steps: int) -> float:
    cpu = Cpu()
    for _ in range(steps):
        take(CHUNK)
    return cpu.us_per(steps)


def _speaking() -> Callable[[server.AudioChunk], object]:
    machine = SessionMachine(_settings())
    for event in BEGINNING:
        machine.step(event)
    return machine.step


def _settings() -> Settings:
    return Settings(id_seed=shortuuid(), config=ConfigOptions(output_format="pcm_24000"))


def _bare_transition() -> Callable[[server.AudioChunk], object]:
    class Model:
        state = "speaking"

    machine = Machine(model=None, states=["speaking"], initial="speaking", auto_transitions=False)
    machine.add_transition("audio_chunk", "speaking", None)
    trigger, model = machine.events["audio_chunk"].trigger, Model()
    return lambda chunk: trigger(model, model, chunk)


async def _record(path: Path) -> float:
    """The step with a trace (µs): the thread that writes it counts too."""
    settings = _settings()
    machine = SessionMachine(settings)
    recorder = TraceRecorder(checked_recording(path), settings, Secrets())
    for event in BEGINNING:
        recorder.record(machine.step(event))
    cpu = Cpu()
    for _ in range(TRACED_STEPS):
        recorder.record(machine.step(CHUNK))
    recorder.close()
    await recorder.written()
    return cpu.us_per(TRACED_STEPS)


BENCHMARKS = (
    Benchmark(
        name="machine",
        title="the machine alone, one step with its effects (CPU)",
        measure=step,
        contestants=("phonic_fsm", "floor"),
        arguments={"steps": 20_000},
        quick={"steps": 5_000},
    ),
    Benchmark(
        name="replay",
        title="replay of a trace, a step",
        measure=replaying,
        contestants=("phonic_fsm",),
        arguments={"times": 10},
        quick={"times": 2},
    ),
)
