"""A conversation with everything in it, under every variant of what is not known about Phonic."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from livekit.agents import APIConnectOptions
from soak.ledger import Ledger, failure_of, look_up
from soak.reliability import in_a_hurry

from phonic_fsm import RealtimeModel
from phonic_fsm._core.states import State
from phonic_fsm._wire import client
from phonic_fsm.simulator import Call, Doubts, PhonicSimulator, Scenario, Turn
from phonic_fsm.trace import replay

PATIENCE = 15
"""Seconds for all of it."""

LOOK_UP = Call(tool="look_up", then="It is {output}.")
SCENARIO = Scenario(
    turns=(
        Turn(caller="Is it nice out?", assistant="One moment, please.", calls=(LOOK_UP,)),
        Turn(caller="And tomorrow?", assistant="Nobody knows."),
        Turn(caller="A pity.", assistant="Yes."),
    ),
    replies=("Here I am.", "Here I am again.", "So it is."),
)

VARIANTS = [
    *(pytest.param(doubts, id=doubts.differences()[0]) for doubts in Doubts.each_variant()),
    *(pytest.param(Doubts.at_random(seed), id=f"seed {seed}") for seed in range(4)),
]


@pytest.mark.anyio
@pytest.mark.parametrize("doubts", [pytest.param(Doubts(), id="defaults"), *VARIANTS])
async def test_a_conversation_loses_nothing(doubts: Doubts, tmp_path: Path) -> None:
    trace = tmp_path / "call.jsonl"
    with in_a_hurry():
        async with (
            PhonicSimulator(SCENARIO, doubts=doubts) as simulator,
            anyio.create_task_group() as tasks,
        ):
            model = RealtimeModel(
                api_key="any",
                base_url=simulator.url,
                trace=trace,
                audio_format="pcm_8000",
                vad_min_silence_duration_ms=60,
                conn_options=APIConnectOptions(max_retry=3, retry_interval=0.1, timeout=5),
            )
            ledger = Ledger(model.session(), tasks)
            with anyio.move_on_after(PATIENCE) as life:
                await live(ledger, simulator)
            state = ledger.session.state.value
            await ledger.session.aclose()
            await ledger.until(lambda: not ledger.open_generations)
            tasks.cancel_scope.cancel()
    told = ", ".join(f"{way} {kind}" for way, kind, _ in ledger.messages)
    assert not life.cancelled_caught, f"it hangs in {state}: {told}; {ledger.errors}"
    assert ledger.losses(simulator.conversations) == [], told
    assert [step.difference for step in replay(trace) if step.difference] == []


async def live(ledger: Ledger, simulator: PhonicSimulator) -> None:
    session = ledger.session

    async def quiet() -> None:
        await ledger.until(lambda: ledger.closed or session.state is State.ready)

    async def ask(text: str | None = None) -> None:
        reply = ledger.ask(session.generate_reply())
        await ledger.until(reply.done)
        assert failure_of(reply) is None, failure_of(reply)
        await quiet()

    await session.update_instructions("Be kind.")
    await session.update_tools([look_up])
    await quiet()
    await ask()
    for number in (1, 2):  # the second interrupts what would still be played
        ledger.speak()
        await ledger.until(lambda n=number: len(ledger.transcripts) >= n)  # type: ignore[misc]
    await ledger.until_settled(simulator)
    await quiet()
    simulator.drop()
    await ledger.until(lambda: bool(ledger.recoveries))
    await ask()
    session.update_options(vad_min_silence_duration_ms=80)
    await simulator.received(client.Reset)
    ledger.speak()
    await ledger.until(lambda: len(ledger.transcripts) >= 3)
    await quiet()
    await ask()
    assert not ledger.closed
