"""What every test may use: a scripted Phonic server and a model that knows only that server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from scripted import PhonicServer

from phonic_fsm import RealtimeModel

KEY = "sk-test-key-that-must-not-leak"


@pytest.fixture
def anyio_backend() -> str:
    """LiveKit runs on asyncio only."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PHONIC_API_KEY", "PHONIC_BASE_URL", "PHONIC_FSM_TRACE"):
        monkeypatch.delenv(name, raising=False)


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
