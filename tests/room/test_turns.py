"""A conversation with ``examples/agent.py`` in a room: what the caller hears and reads."""

from __future__ import annotations

import pytest
from support.rooms import ask, greeted, said

from phonic_fsm.simulator import ASSISTANT_PITCH_HZ, speak
from phonic_fsm.testing import Call, Scenario, Turn

pytestmark = pytest.mark.anyio

SIGHTS = "Begin at the river, walk along its left bank, then cross over to the island, and rest."


async def test_the_greeting_is_heard_to_its_end(worker, simulate, call):
    await simulate(Scenario(replies=("Welcome to the hotel!",)))
    guest = await call()
    await greeted(guest)
    [heard] = guest.ear.stretches
    spoken = speak("Welcome to the hotel!", 24_000, pitch_hz=ASSISTANT_PITCH_HZ)
    assert heard.ended - heard.began > 0.8 * spoken.duration_ms / 1000
    assert said(guest) == [("agent", "Welcome to the hotel!")]


async def test_turn_by_turn_each_transcript_stands_once_and_in_order(worker, simulate, call):
    scenario = Scenario(
        replies=("Welcome!",),
        turns=(
            Turn(caller="Do you have a pool?", assistant="We do. It is on the roof."),
            Turn(caller="Is it warm?", assistant="It is, all year."),
        ),
    )
    await simulate(scenario)
    guest = await call()
    await greeted(guest)
    for turn in scenario.turns:
        await ask(guest, turn.caller)
        assert guest.latency > 0
    assert said(guest) == [
        ("agent", "Welcome!"),
        ("caller", "Do you have a pool?"),
        ("agent", "We do. It is on the roof."),
        ("caller", "Is it warm?"),
        ("agent", "It is, all year."),
    ]


async def test_a_tool_runs_and_its_output_is_spoken(worker, simulate, call):
    weather = Call(tool="get_weather", parameters={"city": "Paris"}, then="I hear: {output}")
    await simulate(
        Scenario(
            replies=("Welcome!",),
            turns=(Turn(caller="How is the weather in Paris?", calls=(weather,)),),
        )
    )
    guest = await call()
    await greeted(guest)
    await ask(guest, "How is the weather in Paris?")
    assert said(guest)[-1] == ("agent", "I hear: sunny and 21 degrees in Paris")


async def test_the_agent_hands_over_to_another(worker, simulate, call):
    transfer = Call(tool="transfer_to_bookings")
    phonic = await simulate(
        Scenario(
            replies=("Welcome!", "Bookings. For which dates?"),
            turns=(
                Turn(caller="I need a room.", calls=(transfer,)),
                Turn(caller="For tonight.", assistant="You have it."),
            ),
        )
    )
    guest = await call()
    await greeted(guest)
    await ask(guest, "I need a room.")
    assert said(guest)[-1] == ("agent", "Bookings. For which dates?")
    await ask(guest, "For tonight.")
    assert said(guest)[-1] == ("agent", "You have it.")
    [conversation] = phonic.conversations
    assert "You take room bookings." in conversation.config.system_prompt
    assert "I need a room." in conversation.config.system_prompt


async def test_a_caller_who_barges_in_is_listened_to(worker, simulate, call):
    scenario = Scenario(
        replies=("Welcome to the hotel, and to the city!",),
        turns=(
            Turn(caller="What is there to see?", assistant=SIGHTS, interrupt_after_ms=1000),
            Turn(caller="No, I meant to eat.", assistant="The market hall."),
        ),
    )
    await simulate(scenario)
    guest = await call()
    await guest.until_answer()
    await guest.play(scenario)

    answer = ("agent", "The market hall.")
    await guest.until(lambda: said(guest)[-1:] == [answer], "the answer's transcript")
    (_, cut_off), barged_in, _ = said(guest)[-3:]
    assert barged_in == ("caller", "No, I meant to eat.")
    assert SIGHTS.startswith(cut_off.rstrip())
    assert cut_off != SIGHTS
    spoken = [scenario.replies[0], SIGHTS, answer[1]]
    whole = sum(speak(line, 24_000, pitch_hz=ASSISTANT_PITCH_HZ).duration_ms for line in spoken)
    heard = sum(sound.ended - sound.began for sound in guest.ear.stretches if sound.ended)
    assert heard < whole / 1000 - 1, "the agent fell silent"


async def test_what_the_caller_types_is_answered(worker, simulate, call):
    await simulate(Scenario(replies=("Welcome!", "We open at nine.")))
    guest = await call()
    await greeted(guest)
    heard = len(guest.ear.stretches)
    await guest.write("When do you open?")
    await guest.until(lambda: len(guest.ear.stretches) > heard, "an answer to the message")
    await guest.until_quiet()
    assert said(guest)[-1] == ("agent", "We open at nine.")


async def test_the_agent_says_what_it_does(worker, simulate, call):
    await simulate(Scenario(replies=("Welcome!",)))
    guest = await call()
    await guest.until(lambda: guest.agent_state == "speaking", "the state speaking")
    await guest.until_answer()
    await guest.until(lambda: guest.agent_state == "listening", "the state listening")
