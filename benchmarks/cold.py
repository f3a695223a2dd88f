"""``python -m benchmarks.cold NAME URL PROMPT``: what a new process does for its first session.

An agent's process has imported LiveKit Agents; that is not counted.
"""

from __future__ import annotations

import asyncio
import sys
import time

import livekit.agents  # noqa: F401 - see above

from .models import model


async def first_session(name: str, url: str, prompt: str) -> None:
    """Print the CPU time (s) of the import, and of all until the session was greeted."""
    began = time.process_time()
    made = model(name, url)
    imported = time.process_time()
    session = made.session()
    greeted = asyncio.Event()
    session.on("generation_created", lambda _: greeted.set())
    await session.update_instructions(prompt)
    await session.update_tools([])
    await greeted.wait()
    print(imported - began, time.process_time() - began)  # noqa: T201
    await session.aclose()


if __name__ == "__main__":
    asyncio.run(first_session(*sys.argv[1:]))
