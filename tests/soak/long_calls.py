"""Calls in which next to nothing is said, against the service's own times.

Phonic ends a connection after a minute without audio, and a conversation after three minutes of
silence. A caller who types, and one who holds a button only now and then, must not lose the line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from soak.ledger import SILENCE, SOUND, Ledger, failure_of

from phonic_fsm import RealtimeModel
from phonic_fsm._audio.formats import WIRE_FORMATS
from phonic_fsm._wire import client
from phonic_fsm.simulator import PhonicSimulator, Scenario, Turn

NOW_AND_THEN = 80.0
"""Seconds between two words: longer than Phonic waits for audio, not so long as for a word."""

FORMAT: Final = "mulaw_8000"

SCENARIO = Scenario(turns=(Turn(caller="Still here.", assistant="Good."),))

Say = Callable[[Ledger], Awaitable[None]]


async def _type(ledger: Ledger) -> None:
    context = ledger.session.chat_ctx
    context.add_message(role="user", content="Still here.")
    await ledger.session.update_chat_ctx(context)
    await _ask(ledger)


async def _hold_the_button(ledger: Ledger) -> None:
    """As LiveKit does for a button. The microphone is open all the time."""
    for _ in range(50):
        ledger.push(SILENCE, 1)
    ledger.session.interrupt()
    ledger.session.start_user_activity()
    ledger.push(SOUND, 25)
    ledger.session.commit_audio()
    await _ask(ledger)


async def _ask(ledger: Ledger) -> None:
    reply = ledger.ask(ledger.session.generate_reply())
    await ledger.until(lambda: reply.done() or ledger.closed)


CALLS: dict[str, Say] = {"text-only": _type, "push-to-talk": _hold_the_button}


async def stay(name: str, seconds: float) -> list[str]:
    """What goes wrong in a call of this kind and length (s, by the clock of the event loop)."""
    async with PhonicSimulator(SCENARIO) as simulator, anyio.create_task_group() as tasks:
        # The simulator keeps the audio of both sides.
        model = RealtimeModel(api_key="any", base_url=simulator.url, audio_format=FORMAT)
        session = model.session(turn_detection_disabled=name == "push-to-talk")
        ledger = Ledger(session, tasks)
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        await simulator.received(client.Config)
        began = anyio.current_time()
        while not ledger.closed and anyio.current_time() - began < seconds:
            await CALLS[name](ledger)
            left = began + seconds - anyio.current_time()
            await anyio.sleep(max(0.0, min(NOW_AND_THEN, left)))
        lasted = anyio.current_time() - began
        wrong = [f"it ended after {lasted:.0f} s"] if ledger.closed else []
        await session.aclose()
        await ledger.until(lambda: not ledger.open_generations)
        tasks.cancel_scope.cancel()
    (conversation,) = simulator.conversations
    streamed = len(conversation.audio) / WIRE_FORMATS[FORMAT].bytes_per_second
    # What a busy machine holds up for longer than a second is not made up for. It may also be too
    # late for a ping of the soak's, which is in a hurry; then the conversation was resumed.
    if not 0.8 * lasted <= streamed <= 1.05 * lasted + 2:
        wrong.append(f"{streamed:.0f} s of audio were sent in {lasted:.0f} s")
    lost = [
        str(event.error) for event in ledger.errors if "answer to a ping" not in str(event.error)
    ]
    wrong += [f"an error came: {error}" for error in lost]
    wrong += [
        f"no reply came: {failure}" for reply in ledger.replies if (failure := failure_of(reply))
    ]
    return [f"{name}: {problem}" for problem in [*wrong, *ledger.losses(simulator.conversations)]]
