"""A worker that drains ends when its jobs have. The worker is LiveKit's own, in this process."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading

import pytest
from livekit.agents import AgentServer
from support.lasting_job import go_on

from phonic_fsm.durable import guard

pytestmark = pytest.mark.anyio


@pytest.mark.timeout(60)  # without it, such a worker stays for ever
async def test_a_worker_ends_if_two_jobs_end_in_the_same_turn_of_its_loop(directory, monkeypatch):
    monkeypatch.setenv("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")
    worker = AgentServer(num_idle_processes=0, port=0)
    worker.rtc_session(go_on)
    guard(directory, worker, url="ws://127.0.0.1:9", api_key="any", api_secret="any")
    started = asyncio.Event()
    worker.once("worker_started", started.set)
    running = asyncio.create_task(worker.run(devmode=True, unregistered=True))
    await started.wait()
    for name in ("one", "two"):
        await worker.simulate_job(name, fake_job=True)
    drained = asyncio.create_task(worker.drain())
    while not worker.draining:  # noqa: ASYNC110
        await asyncio.sleep(0)
    waiting = [one for one in threading.enumerate() if one.name == "proc_join_thread"]
    jobs = sorted(multiprocessing.active_children(), key=lambda job: job.pid or 0)
    for job, waits_for_it in zip(jobs, waiting, strict=True):
        job.kill()
        waits_for_it.join()  # this loop stands still, and then hears of both ends at once
    await drained
    await worker.aclose()
    await running
