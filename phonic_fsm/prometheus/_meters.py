"""A meter provider of OpenTelemetry whose instruments are those of ``prometheus_client``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import prometheus_client
import psutil
from opentelemetry import metrics
from prometheus_client import multiprocess
from prometheus_client.metrics import MetricWrapperBase

from .._adapter.meters import METRICS

_UNITS = {"s": "seconds"}
_LABELS = {metric.name: metric.attributes for metric in METRICS}


class PrometheusMeters(metrics.MeterProvider):
    """Makes the meters of this package. Those of other libraries measure nothing."""

    __module__ = "phonic_fsm.prometheus"

    def __init__(self) -> None:
        if place := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            _prepare_directory(Path(place))

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> metrics.Meter:
        if name == "phonic_fsm":
            return _Meter(name, version, schema_url)
        return metrics.NoOpMeter(name, version, schema_url)


class _Meter(metrics.NoOpMeter):
    """Makes the kinds of instruments that this package has; the others do nothing."""

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        made = prometheus_client.Counter(_name(name, unit), description, _labels(name))
        return _Counter(name, made)

    def create_up_down_counter(
        self, name: str, unit: str = "", description: str = ""
    ) -> metrics.UpDownCounter:
        made = prometheus_client.Gauge(
            # What a process counted that has died is no longer there.
            _name(name, unit),
            description,
            _labels(name),
            multiprocess_mode="livesum",
        )
        return _UpDownCounter(name, made)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> metrics.Histogram:
        made = prometheus_client.Histogram(
            _name(name, unit),
            description,
            _labels(name),
            buckets=explicit_bucket_boundaries_advisory
            or prometheus_client.Histogram.DEFAULT_BUCKETS,
        )
        return _Histogram(name, made)


class _Series:
    """The series of one instrument, by its attributes."""

    def __init__(self, name: str, made: MetricWrapperBase) -> None:
        self._made = made
        self._attributes = _LABELS[name]

    def of(self, attributes: Any) -> Any:
        if not self._attributes:
            return self._made
        given = attributes or {}
        return self._made.labels(*(str(given.get(name, "")) for name in self._attributes))


class _Counter(metrics.NoOpCounter):
    def __init__(self, name: str, made: prometheus_client.Counter) -> None:
        super().__init__(name)
        self._series = _Series(name, made)

    def add(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        self._series.of(attributes).inc(amount)


class _UpDownCounter(metrics.NoOpUpDownCounter):
    def __init__(self, name: str, made: prometheus_client.Gauge) -> None:
        super().__init__(name)
        self._series = _Series(name, made)

    def add(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        self._series.of(attributes).inc(amount)


class _Histogram(metrics.NoOpHistogram):
    def __init__(self, name: str, made: prometheus_client.Histogram) -> None:
        super().__init__(name)
        self._series = _Series(name, made)

    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        self._series.of(attributes).observe(amount)


def _prepare_directory(place: Path) -> None:
    """Make it, and drop what processes counted that were killed: their sessions are over."""
    place.mkdir(parents=True, exist_ok=True)
    for file in place.glob("gauge_live*.db"):
        pid = int(file.stem.rsplit("_", 1)[1])
        if not psutil.pid_exists(pid):
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _labels(name: str) -> list[str]:
    return [attribute.replace(".", "_") for attribute in _LABELS[name]]


def _name(name: str, unit: str) -> str:
    """As OpenTelemetry says that a metric is named at Prometheus."""
    words = name.replace(".", "_")
    return f"{words}_{_UNITS[unit]}" if unit in _UNITS else words
