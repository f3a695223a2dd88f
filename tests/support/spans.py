"""What arrives at an exporter of OpenTelemetry spans."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Exported:
    """The spans that have ended, by their names."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def all(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.all(name)
        return span

    def names(self) -> list[str]:
        """The session's spans in the order in which they began."""
        spans = sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
        return [span.name for span in spans if span.name.startswith("phonic_")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The attributes of the span events of this name, from all spans."""
        spans = self.exporter.get_finished_spans()
        return [dict(e.attributes or {}) for span in spans for e in span.events if e.name == name]

    def everything(self) -> str:
        """All that the spans hold, as text."""
        return "\n".join(span.to_json() for span in self.exporter.get_finished_spans())
