"""Cancels what LiveKit waits for, if LiveKit interrupts the speech that it belongs to.

LiveKit itself cancels a request for a reply when the speech is interrupted. But it awaits the
future of ``say()`` to its end (``AgentActivity._realtime_reply_task``, livekit-agents 1.8.9). For
5 s then it plays nothing else, and whatever Phonic says meanwhile is taken for those words and
dropped, such as the answer to the caller who has interrupted them.

Which speech it is, stands in a note on LiveKit's task. Only a private function of LiveKit's reads
that.

A test in ``tests/session/test_interruption.py`` fails once LiveKit has mended this. Then this
module can go.
"""

from __future__ import annotations

import asyncio
from typing import Any

from livekit.agents.voice import SpeechHandle, agent


def cancel_if_interrupted(reply: asyncio.Future[Any]) -> None:
    """Have the reply cancelled as soon as the speech is interrupted for which LiveKit awaits it.

    There is none where it is not LiveKit that asks, but the author: in a tool, or anywhere else.
    """
    speech = _asking()
    if speech is not None:
        watching = asyncio.create_task(_watch(speech, reply), name="phonic-interruption")
        reply.add_done_callback(lambda _: watching.cancel())


async def _watch(speech: SpeechHandle, reply: asyncio.Future[Any]) -> None:
    await speech.wait_if_not_interrupted([reply])
    reply.cancel()


def _asking() -> SpeechHandle | None:
    task = asyncio.current_task()
    note: Any = None if task is None else agent._get_activity_task_info(task)
    if note is None or note.function_call is not None:
        return None
    speech: SpeechHandle | None = note.speech_handle
    return speech
