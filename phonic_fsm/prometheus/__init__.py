"""Shows this package's figures at a worker's own ``/metrics``, those of its jobs included.

Set ``PrometheusMeters`` as OpenTelemetry's meter provider where the agent's module is imported, so
that every job process has it::

    from livekit.agents import AgentServer
    from opentelemetry import metrics
    from phonic_fsm.prometheus import PrometheusMeters

    metrics.set_meter_provider(PrometheusMeters())
    server = AgentServer(prometheus_port=9100)

Start the worker with ``PROMETHEUS_MULTIPROC_DIR`` set to a directory. There ``prometheus_client``,
which LiveKit serves, adds up what its processes count. It looks for that variable when it is
imported, so to set it in the agent's code is too late. OpenTelemetry's own exporter for Prometheus
knows one process only.

Of other libraries' meters nothing is shown: an attribute with an id in it, such as LiveKit's
``job_id``, would make a series for each call.
"""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from ._meters import PrometheusMeters

__all__ = ["PrometheusMeters"]

__getattr__, __dir__ = lazy(__name__, {"._meters": "PrometheusMeters"})
