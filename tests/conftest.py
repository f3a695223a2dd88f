"""What every test may use: a scripted Phonic server and a model that knows only that server."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from livekit.agents.telemetry import set_tracer_provider, tracer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from support import clock, processes
from support.published import Watch
from support.scripted import KEY, PATIENCE, PhonicServer
from support.spans import Exported

from phonic_fsm import RealtimeModel
from phonic_fsm.trace import _recorder


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """LiveKit runs on asyncio only."""
    return clock.backend()


settings.register_profile(
    "steady",
    # An example takes longer on a busy machine, which is no finding.
    deadline=None,
    # The fixtures of all tests, below, may be the same for all examples.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _traces_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a session waits for its trace, however slow the disk."""
    monkeypatch.setattr(_recorder, "LONGEST_WAIT", PATIENCE)


@pytest.fixture(scope="session")
def watch() -> Watch:
    """Sees what our client sends to any server, and what simulators send."""
    watch = Watch()
    watch.install()
    return watch


@pytest.fixture(autouse=True)
def _messages_are_as_published(watch: Watch) -> Iterator[None]:
    yield
    assert watch.take() == [], "a message is not as Phonic publishes it, see support/published.py"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("PHONIC_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
async def server() -> AsyncIterator[PhonicServer]:
    async with PhonicServer() as server:
        yield server


@pytest.fixture
def make_model(server: PhonicServer) -> Callable[..., RealtimeModel]:
    """Makes models that talk to the scripted server."""

    def make(**options: Any) -> RealtimeModel:
        return RealtimeModel(**{"api_key": KEY, "base_url": server.url, **options})

    return make


@pytest.fixture
def set_provider() -> Iterator[Callable[..., None]]:
    """Sets LiveKit's tracer provider for one test."""
    former = tracer._tracer_provider
    yield set_tracer_provider
    tracer.set_provider(former)


@pytest.fixture
def exported(set_provider: Callable[..., None]) -> Exported:
    """The spans of one test, with what was said in them."""
    exported = Exported()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported.exporter))
    set_provider(provider, allow_pii=True)
    return exported


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and phonic.test that nobody has signed; its key is beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    command = (
        "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
        "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1,DNS:phonic.test "
        "-keyout key.pem -out cert.pem"
    )
    folder = tmp_path_factory.mktemp("tls")
    made = processes.run(*command.split(), cwd=folder)
    assert made.returncode == 0, made.stderr
    return folder / "cert.pem"


@pytest.fixture(scope="session")
def own_certificate(certificate: Path) -> ssl.SSLContext:
    """How a server shows it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context
