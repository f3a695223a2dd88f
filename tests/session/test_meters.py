"""A session's metrics, as they arrive at a receiver of OTLP, and at a worker's ``/metrics``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import DEVNULL
from threading import Thread
from typing import Any

import anyio
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from support.ports import free_port
from support.processes import run
from support.prometheus import DASHBOARD, prometheus

from phonic_fsm._adapter.meters import METRICS
from phonic_fsm.testing._leash import leashed

TESTS = Path(__file__).parents[1]


class Receiver:
    """Takes OTLP by HTTP."""

    def __init__(self) -> None:
        self.points: dict[str, dict[tuple[tuple[str, str], ...], Any]] = {}
        """By the metric's name and by attributes."""
        self.units: dict[str, str] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/metrics"

    def take(self, body: bytes) -> None:
        request = ExportMetricsServiceRequest.FromString(body)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                if scope.scope.name == "phonic_fsm":
                    for metric in scope.metrics:
                        self.units[metric.name] = metric.unit
                        data = getattr(metric, str(metric.WhichOneof("data")))
                        self.points[metric.name] = {
                            tuple(
                                sorted((a.key, a.value.string_value) for a in point.attributes)
                            ): point
                            for point in data.data_points
                        }

    def _point(self, name: str, attributes: dict[str, str]) -> Any:
        wanted = tuple(sorted((key.replace("__", "."), v) for key, v in attributes.items()))
        return self.points[name][wanted]

    def sum(self, name: str, **attributes: str) -> float:
        """Of all that a histogram has recorded."""
        return float(self._point(name, attributes).sum)

    def value(self, name: str, **attributes: str) -> float:
        """Of a counter; of a histogram, how often it was recorded."""
        point = self._point(name, attributes)
        value = point.count if hasattr(point, "bucket_counts") else point.as_double or point.as_int
        return float(value)


@pytest.fixture(scope="module")
def received() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = Thread(target=receiver.server.serve_forever)
    thread.start()
    try:
        done = run(sys.executable, "-m", "support.metered_call", receiver.url, cwd=TESTS)
        assert done.returncode == 0, done.stderr
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


def test_every_metric_arrives_with_its_unit(received: Receiver) -> None:
    assert received.units == {metric.name: metric.unit for metric in METRICS}


def test_no_series_has_attributes_that_are_not_listed(received: Receiver) -> None:
    for metric in METRICS:
        for attributes in received.points[metric.name]:
            assert {key for key, _ in attributes} <= set(metric.attributes)


def test_sessions_are_counted_where_they_are(received: Receiver) -> None:
    by_state = {
        attributes[0][1]: point
        for attributes, point in received.points["phonic.session.active"].items()
    }
    assert {"connecting", "ready", "listening", "reconnecting"} <= set(by_state)
    assert not any(point.as_int or point.as_double for point in by_state.values()), "all have ended"


def test_a_session_that_ends_tells_how_long_it_lasted_and_why_it_failed(received: Receiver) -> None:
    duration = "phonic.session.duration"
    assert received.value(duration, error__type="conversation_ended") == 1
    assert received.value(duration, error__type="connection_lost") == 1
    assert received.sum(duration, error__type="connection_lost") > received.sum(
        "phonic.outage.duration", phonic__outcome="given_up", phonic__event="connection_closed"
    )


def test_conversations_and_outages_say_how_they_went_on(received: Receiver) -> None:
    for start, times in (("new", 4), ("resumed", 2), ("fresh", 1)):
        starts = received.value("phonic.conversation.starts", phonic__conversation__start=start)
        assert starts == times, start
    for outcome in ("resumed", "fresh", "given_up"):
        lost = {"phonic__outcome": outcome, "phonic__event": "connection_closed"}
        assert received.value("phonic.outage.duration", **lost) == 1
        assert received.sum("phonic.outage.duration", **lost) > 0


def test_an_answer_is_measured_by_us_and_by_phonic(received: Receiver) -> None:
    assert received.value("phonic.response.latency") == 1
    assert received.sum("phonic.response.latency") > 0
    part = {"phonic__response__part": "llm_ms"}
    assert received.value("phonic.response.part.duration", **part) == 1
    assert received.sum("phonic.response.part.duration", **part) == pytest.approx(0.21)


def test_answers_that_are_cut_off_are_counted(received: Receiver) -> None:
    # By the caller, and by a move that could wait no longer.
    assert received.value("phonic.interruptions") == 2


def test_tool_calls_have_the_names_that_their_authors_gave_them(received: Receiver) -> None:
    for name, outcome in (
        ("opening_hours", "processed"),
        ("unknown", "abandoned"),
        ("unknown", "interrupted"),
    ):
        call = {"gen_ai__tool__name": name, "phonic__outcome": outcome}
        assert received.value("phonic.tool_call.duration", **call) == 1
        assert received.sum("phonic.tool_call.duration", **call) > 0


def test_replies_that_did_not_come_are_counted_by_reason(received: Receiver) -> None:
    for reason in ("timed_out", "declined", "closed"):
        assert received.value("phonic.reply.failures", error__type=reason) == 1, reason


def test_errors_are_counted(received: Receiver) -> None:
    # Three connections broke off, and one could not be made again.
    assert received.value("phonic.errors", error__type="connection_lost") == 4
    assert received.value("phonic.errors", error__type="conversation_ended") == 1


def test_a_call_that_changes_its_process_is_counted_in_both(received: Receiver) -> None:
    for outcome in ("stayed", "forced", "moved"):
        assert received.value("phonic.moves", phonic__outcome=outcome) == 1, outcome
    assert received.value("phonic.takeover.gap", phonic__takeover__cause="move") == 1
    # The processes that have left have not failed.
    assert received.value("phonic.session.duration") == 3
    assert not any("superseded" in str(series) for series in received.points["phonic.errors"])


def test_journals_are_measured_whether_or_not_their_store_works(received: Receiver) -> None:
    appends = "phonic.journal.append.duration"
    assert received.value(appends) > 0
    assert received.value(appends, error__type="store_failed") > 0
    assert 0 < received.value("phonic.journal.delay") <= received.value(appends)


def test_what_was_bounded_is_counted_by_its_bound(received: Receiver) -> None:
    for bound in ("message_values", "kept_audio"):
        assert received.value("phonic.bound.hits", phonic__bound=bound) == 1, bound


def test_audio_is_counted_by_what_became_of_it(received: Receiver) -> None:
    assert received.value("phonic.usage.spoken") == pytest.approx(0.06)
    for fate, seconds in (("sent", 0.02), ("dropped", 3.0)):
        heard = received.value("phonic.usage.heard", phonic__audio__fate=fate)
        assert heard == pytest.approx(seconds), fate
    assert received.value("phonic.usage.heard", phonic__audio__fate="filled") > 0.1


@pytest.mark.anyio
async def test_each_query_of_the_dashboard_has_an_answer(tmp_path):
    port = free_port()
    command = leashed(sys.executable, "-m", "support.metered_call", str(port))
    async with (
        await anyio.open_process(command, cwd=TESTS, stdout=DEVNULL, stderr=DEVNULL) as calls,
        prometheus(port, tmp_path) as prom,
    ):
        # What has happened last.
        await prom.until('phonic_moves_total{phonic_outcome="moved"}')
        for query in DASHBOARD:
            if "lk_agents" not in query:  # LiveKit's own are a worker's: tests/room/test_metrics.py
                await prom.until(query)
        calls.kill()
