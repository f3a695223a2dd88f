"""What a session's metrics cost, where a provider of OpenTelemetry's SDK is set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from phonic_fsm._adapter.meters import SessionMeters
from phonic_fsm._audio.formats import WIRE_FORMATS
from phonic_fsm._core.effects import PushAudio
from phonic_fsm._core.machine import Step
from phonic_fsm._core.states import State
from phonic_fsm._runtime.caller_meter import Passage
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._wire import server

from .contestants import SILENCE, Name
from .measuring import Benchmark, Cpu, Figures


class _Nowhere(MetricExporter):
    """Takes what was collected, and sends it to nobody."""

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 0, **_: Any
    ) -> MetricExportResult:
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
        pass


def collect_metrics() -> None:
    """Collect them once a second from now on. A process can begin this once."""
    reader = PeriodicExportingMetricReader(_Nowhere(), export_interval_millis=1_000)
    metrics.set_meter_provider(MeterProvider([reader]))


def meters(name: Name, url: str, *, times: int) -> Figures:
    """A chunk of an answer, and a second of the caller's audio, some of it filled in."""
    collect_metrics()
    session = SessionMeters(
        WIRE_FORMATS["pcm_24000"].bytes_per_second, Secrets(), lambda: (), State.ready
    )
    chunk = Step(server.AudioChunk(SILENCE), State.speaking, State.speaking, [PushAudio(SILENCE)])
    second = Passage(sent=900, filled=100)
    return {
        "us": _least(lambda: session.record(chunk), times),
        "second_us": _least(lambda: session.passed(second), times),
    }


AT_ONCE = 500


def _least(work: Callable[[], object], times: int) -> float:
    """The least that one takes (µs): other programs only add to it."""
    return min(_us_per(work) for _ in range(times // AT_ONCE))


def _us_per(work: Callable[[], object]) -> float:
    cpu = Cpu()
    for _ in range(AT_ONCE):
        work()
    return cpu.us_per(AT_ONCE)


BENCHMARKS = (
    Benchmark(
        name="meters",
        title="metrics of a session, an assistant chunk (CPU)",
        measure=meters,
        contestants=("phonic_fsm",),
        arguments={"times": 20_000},
        quick={"times": 5_000},
        fresh=True,
    ),
)
