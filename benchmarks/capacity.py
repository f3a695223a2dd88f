"""What a call costs beside its job: in Redis, on the disk, and at LiveKit's server.

``python -m benchmarks.capacity redis://127.0.0.1:6379/0`` writes ``docs/capacity.json``, from which
``docs/capacity.md`` is computed. The Redis must be empty, and nobody else may use it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
from livekit.agents import Agent, AgentSession
from redis import Redis

from phonic_fsm import RealtimeModel
from phonic_fsm._load.plan import QUESTION, SCENARIO
from phonic_fsm.durable import Holder
from phonic_fsm.durable._redis import RedisJournals
from phonic_fsm.testing import AgentWorker, LiveKitServer, PhoneCall, PhonicSimulator, RoomCall

FIGURES = Path(__file__).parent.parent / "docs" / "capacity.json"
AGENT = Path(__file__).parent.parent / "examples" / "agent.py"

TURNS = 6
ROOMS = 3
JOURNALS = 2_000


async def one_call(url: str) -> dict[str, float]:
    """A call that is traced and has a journal in Redis: questions, each answered."""
    redis = Redis.from_url(url)
    with tempfile.TemporaryDirectory() as folder:
        async with PhonicSimulator(SCENARIO) as phonic:
            model = RealtimeModel(
                api_key="any", base_url=phonic.url, journal=url, trace=Path(folder) / "call.jsonl"
            )
            before, began = _of_redis(redis), time.monotonic()
            session: AgentSession[None] = AgentSession(llm=model)
            async with PhoneCall(session, Agent(instructions="Be kind.")) as call:
                for _ in range(TURNS):
                    await call.say(QUESTION)
                    await call.until_answer()
                    await call.until_quiet()
            seconds = time.monotonic() - began
            await asyncio.sleep(1.0)  # the journal is ended after a moment
        after = _of_redis(redis)
        disk = _bytes_in(Path(folder))
    return {
        "seconds": seconds,
        "redis_scripts_per_s": (after["scripts"] - before["scripts"]) / seconds,
        "redis_us_per_s": (after["us"] - before["us"]) / seconds,
        "redis_in_kB_per_s": (after["in"] - before["in"]) / seconds / 1e3,
        "redis_memory_kB_per_s": (after["memory"] - before["memory"]) / seconds / 1e3,
        "trace_kB_per_s": disk / seconds / 1e3,
    }


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _of_redis(redis: Redis) -> dict[str, float]:
    commands: Any = redis.info("commandstats")
    stats: Any = redis.info("stats")
    memory = sum(redis.memory_usage(key, samples=0) or 0 for key in redis.scan_iter())
    scripts = commands.get("cmdstat_evalsha", {"calls": 0, "usec": 0})
    return {
        "scripts": scripts["calls"],
        "us": scripts["usec"],
        "in": stats["total_net_input_bytes"],
        "memory": memory,
    }


def a_guards_look(url: str) -> dict[str, float]:
    """The processor time of a guard's look at a journal (µs), when there are many."""
    store = RedisJournals(url)
    for number in range(JOURNALS):
        store.begin(f"room-{number}.job", Holder("host", 1, 0.0, "room", "job", "agent", "me"))
    began = time.process_time()
    assert len(store.statuses()) >= JOURNALS
    return {"guard_us": (time.process_time() - began) / JOURNALS * 1e6}


async def in_rooms() -> dict[str, float]:
    """What LiveKit's server spends on a call: caller and agent, audio both ways."""
    async with PhonicSimulator(SCENARIO) as phonic, LiveKitServer() as livekit:
        environment = {"PHONIC_BASE_URL": phonic.url, "PHONIC_API_KEY": "any"}
        async with AgentWorker(AGENT, livekit, environment, patience=60):
            assert livekit._process is not None
            server = psutil.Process(livekit._process.pid)
            calls = [
                RoomCall(livekit.url, **livekit.credentials, patience=60) for _ in range(ROOMS)
            ]
            for call in calls:
                await call.__aenter__()
            try:
                await asyncio.gather(*(call.until_answer() for call in calls))
                began, used = time.monotonic(), _cpu(server)
                await asyncio.gather(*(_talk(call) for call in calls))
                seconds, used = time.monotonic() - began, _cpu(server) - used
            finally:
                for call in calls:
                    await call.hang_up()
    return {"livekit_core": used / seconds / ROOMS * 100}


async def _talk(call: RoomCall) -> None:
    for _ in range(2):
        await call.until_quiet()
        await call.say(QUESTION)
        await call.until_answer()
    await call.until_quiet()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def main(url: str) -> None:
    """Measure all of it, and write the figures."""
    found = {**await one_call(url), **a_guards_look(url), **await in_rooms()}
    text = msgspec.json.format(msgspec.json.encode({k: round(v, 3) for k, v in found.items()}))
    FIGURES.write_bytes(text + b"\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
