"""A job that lasts until its process is killed. It is a module that a job's process can import."""

from __future__ import annotations

import asyncio

from livekit.agents import JobContext


async def go_on(context: JobContext) -> None:
    await asyncio.Event().wait()
