"""Records mystery.jsonl: a call that goes quiet, and nobody says why.

    python examples/traces/record_mystery.py

A real session talks to the simulator over a network that fails for a while, in the middle of a
tool call. ``phonic-fsm report mystery.jsonl --out mystery.html`` shows what happened.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from livekit.agents import Agent, AgentSession, APIConnectOptions, function_tool

from phonic_fsm import RealtimeModel
from phonic_fsm.simulator import Call, PhonicSimulator, Scenario, Turn, speak
from phonic_fsm.testing import Sound
from phonic_fsm.testing._caller import Caller
from phonic_fsm.testing._playback import Playback

TRACE = Path(__file__).parent / "mystery.jsonl"
RATE = 24_000

SCENARIO = Scenario(
    turns=(
        Turn(
            caller="When is breakfast?",
            assistant="Breakfast is served from seven until half past ten, on the terrace, and "
            "on Sundays there is music as well.",
            interrupt_after_ms=3000,
        ),
        Turn(
            caller="Thanks. Can I have a table for two tonight?",
            calls=(Call(tool="find_table", parameters={"guests": 2}, then="{output}"),),
        ),
        Turn(caller="Perfect, thank you!", assistant="With pleasure. See you tonight!"),
    ),
)


class Network:
    """Passes bytes on between the session and the simulator, while it is up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def up(self, port: int = 0) -> int:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    def down(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _connect(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {to_near, to_far}
        async with anyio.create_task_group() as both:
            both.start_soon(self._pass_on, near, to_far)
            both.start_soon(self._pass_on, far, to_near)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()
        self._writers.discard(sink)


class Concierge(Agent):
    def __init__(self, network: Network, port: int) -> None:
        super().__init__(instructions="You are the concierge of a small hotel. Be brief.")
        self._network = network
        self._port = port

    @function_tool
    async def find_table(self, guests: int) -> str:
        """Look for a free table in the restaurant.

        Args:
            guests: How many people.
        """
        await anyio.sleep(0.3)
        self._network.down()
        await anyio.sleep(0.8)
        asyncio.get_running_loop().call_later(1.4, self._come_back)
        return f"There is a table for {guests} by the window, at eight."

    def _come_back(self) -> None:
        self._back = asyncio.ensure_future(self._network.up(self._port))


async def main() -> None:
    TRACE.unlink(missing_ok=True)
    async with PhonicSimulator(SCENARIO) as simulator:
        network = Network(urlsplit(simulator.url).port or 0)
        port = await network.up()
        model = RealtimeModel(
            api_key="any",
            base_url=f"ws://127.0.0.1:{port}",
            welcome_message="Hotel Miramar, good evening. How can I help?",
            trace=TRACE,
            conn_options=APIConnectOptions(retry_interval=1.6),
        )
        session: AgentSession[None] = AgentSession(llm=model)
        caller, playback = Caller(RATE), Playback(RATE)
        session.input.audio, session.output.audio = caller, playback
        await session.start(Concierge(network, port))
        try:
            await answered(playback, 1)
            for number, turn in enumerate(SCENARIO.turns, start=2):
                await anyio.sleep(0.6)
                await caller.say(Sound(speak(turn.caller, RATE).pcm, RATE))
                if turn.interrupt_after_ms:
                    while playback.segments < number:  # noqa: ASYNC110
                        await anyio.sleep(0.02)
                    await anyio.sleep(turn.interrupt_after_ms / 1000)
                else:
                    await answered(playback, number)
        finally:
            await session.aclose()
            network.down()


async def answered(playback: Playback, number: int) -> None:
    """Until this many answers have been played."""
    while playback.segments < number or playback.playing:  # noqa: ASYNC110
        await anyio.sleep(0.02)


if __name__ == "__main__":
    anyio.run(main)
