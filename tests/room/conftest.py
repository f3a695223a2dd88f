"""A LiveKit server, workers that run the examples, and calls between them.

The server and each worker serve all tests, since a worker takes seconds to start. The simulator
is a test's own: it comes to the address that the workers know.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from livekit import api
from support.ports import free_port
from support.redis_server import RedisServer
from support.rooms import EXAMPLES, PATIENCE, TRIAL
from support.takeovers import House

from phonic_fsm.testing import (
    AgentWorker,
    LiveKitMissing,
    LiveKitServer,
    PhonicSimulator,
    RoomCall,
    Scenario,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(180))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show what the workers wrote while a test failed."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, AgentWorker):
                report.sections.append((f"log of {name}", value.log[-8000:]))
    return report


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for all: the server and the workers live in it."""
    return "asyncio"


@pytest.fixture(scope="session")
async def livekit() -> AsyncIterator[LiveKitServer]:
    try:
        server = LiveKitServer()
    except LiveKitMissing as missing:
        pytest.skip(str(missing))
    async with server:
        yield server


@pytest.fixture(scope="session")
def phonic_port() -> int:
    """Where the workers expect Phonic."""
    return free_port()


@pytest.fixture(scope="session")
def environment(phonic_port: int) -> dict[str, str]:
    """What a worker is told."""
    return {"PHONIC_BASE_URL": f"ws://127.0.0.1:{phonic_port}", "PHONIC_API_KEY": "any"}


@pytest.fixture(scope="session")
async def worker(livekit: LiveKitServer, environment: dict[str, str]) -> AsyncIterator[AgentWorker]:
    """Runs ``examples/agent.py``, and takes every room that asks for no other."""
    example = EXAMPLES / "agent.py"
    async with AgentWorker(example, livekit, environment, patience=PATIENCE) as worker:
        yield worker


@pytest.fixture(scope="session")
async def keypad_worker(
    livekit: LiveKitServer, environment: dict[str, str]
) -> AsyncIterator[AgentWorker]:
    """Runs ``examples/dtmf.py``, for rooms that ask for ``keypad``."""
    named = {**environment, "LIVEKIT_AGENT_NAME": "keypad"}
    async with AgentWorker(EXAMPLES / "dtmf.py", livekit, named, patience=PATIENCE) as worker:
        yield worker


@pytest.fixture(scope="session")
async def trial_worker(
    livekit: LiveKitServer, environment: dict[str, str]
) -> AsyncIterator[AgentWorker]:
    """Runs the trial agent, for rooms that ask for ``trial``."""
    named = {**environment, "LIVEKIT_AGENT_NAME": "trial"}
    async with AgentWorker(TRIAL, livekit, named, patience=PATIENCE) as worker:
        yield worker


@pytest.fixture
async def simulate(phonic_port: int) -> AsyncIterator[Callable[..., Any]]:
    """Starts the simulator that a test's calls meet: ``await simulate(scenario)``."""
    async with AsyncExitStack() as stack:

        async def simulate(scenario: Scenario, **options: Any) -> PhonicSimulator:
            return await stack.enter_async_context(
                PhonicSimulator(scenario, port=phonic_port, **options)
            )

        yield simulate


@pytest.fixture
async def call(livekit: LiveKitServer) -> AsyncIterator[Callable[..., Any]]:
    """Joins rooms, of ``RoomCall``'s options: ``await call(identity="guest")``."""
    async with AsyncExitStack() as stack:

        async def call(**options: Any) -> RoomCall:
            options = {**livekit.credentials, "patience": PATIENCE, **options}
            return await stack.enter_async_context(RoomCall(livekit.url, **options))

        yield call


@pytest.fixture
def call_with(livekit: LiveKitServer, call: Callable[..., Any]) -> Callable[..., Any]:
    """Calls an agent whose job gets metadata: ``await call_with("clerk", "metadata")``."""

    async def call_with(agent_name: str, metadata: str) -> RoomCall:
        dispatch = api.RoomAgentDispatch(agent_name=agent_name, metadata=metadata)
        token = (
            api.AccessToken(livekit.api_key, livekit.api_secret)
            .with_identity("caller")
            .with_grants(
                api.VideoGrants(room_join=True, room=f"{agent_name}-{secrets.token_hex(4)}")
            )
            .with_room_config(api.RoomConfiguration(agents=[dispatch]))
        )
        joined: RoomCall = await call(api_key=None, api_secret=None, token=token.to_jwt())
        return joined

    return call_with


@pytest.fixture
def trial(trial_worker: AgentWorker, call_with: Callable[..., Any]) -> Callable[..., Any]:
    """Calls the trial agent, its switches set: ``await trial(session={...}, room={...})``."""

    async def trial(**switches: Any) -> RoomCall:
        joined: RoomCall = await call_with("trial", json.dumps(switches))
        return joined

    return trial


@pytest.fixture
async def server_api(livekit: LiveKitServer) -> AsyncIterator[api.LiveKitAPI]:
    """LiveKit's own API, for what a server's owner does."""
    async with api.LiveKitAPI(livekit.url, livekit.api_key, livekit.api_secret) as server_api:
        yield server_api


@pytest.fixture(scope="module", params=["directory", "redis"])
async def house(
    request: pytest.FixtureRequest,
    livekit: LiveKitServer,
    phonic_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """Two workers and a guard, with journals in a directory or in Redis."""
    folder = tmp_path_factory.mktemp("house")
    async with AsyncExitStack() as stack:
        place = str(folder / "journals")
        if request.param == "redis":
            place = stack.enter_context(RedisServer(folder / "redis")).url
        house = await stack.enter_async_context(House(livekit, place, folder, phonic_port))
        await house.open()
        yield house
