"""Every situation of a call under every variant of what is not known about Phonic.

``observe`` lives through one situation under one choice of variants and names the outcome; whatever
hangs, is lost, comes twice or stands in the wrong order raises instead. Run as a script it measures
the whole matrix and puts it into ``docs/reliability.md``::

    PYTHONPATH=tests python -m soak.doubts
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from livekit.agents import APIConnectOptions, llm
from soak.fault_proxy import Cut, Fault, FaultProxy, Passing, Swallow, at
from soak.ledger import SILENCE, SOUND, Ledger, failure_of, look_up
from soak.reliability import ENDS, Harm, in_a_hurry
from support.clock import PatientLoop

from phonic_fsm import RealtimeModel, State
from phonic_fsm._wire import client, server
from phonic_fsm.simulator import (
    Call,
    Doubts,
    PhonicSimulator,
    Scenario,
    Turn,
    load_scenario,
    scenario_names,
)
from phonic_fsm.trace import replay

PATIENCE = 25
"""Seconds for one situation."""

AT_A_TIME = 24
"""Situations that are lived through side by side when all are measured."""

SEEDS = range(12)
"""Of the random combinations in the matrix."""


@llm.function_tool
async def get_weather(city: str) -> str:
    """Look up the weather."""
    return city


@llm.function_tool
async def ponder() -> str:
    """Think about it."""
    return ""


class Life:
    """A session in one situation, and what a caller and LiveKit do to it."""

    def __init__(self, ledger: Ledger, simulator: PhonicSimulator, tool: anyio.Event) -> None:
        self.ledger = ledger
        self.session = ledger.session
        self.simulator = simulator
        self._tool = tool

    async def begin(self) -> None:
        await self.session.update_instructions("Be kind.")
        await self.session.update_tools([look_up, get_weather, ponder])
        await self.quiet()

    async def quiet(self) -> None:
        """Until the conversation is open and nothing goes on in it, or it is over."""
        await self.until(lambda: self.session.state is State.ready)

    async def until(self, condition: Callable[[], bool]) -> None:
        await self.ledger.until(lambda: self.ledger.closed or condition())

    async def until_said(self, words: str) -> None:
        await self.until(lambda: words in "".join(self.ledger.words))

    async def speak(self, *, answered: bool = False) -> None:
        """A turn of the caller; returns when its words are known, or when it was ``answered``."""
        known = len(self.ledger.transcripts)
        answers = self.ledger.count("in", "assistant_finished_speaking")
        self.ledger.speak()
        await self.until(lambda: len(self.ledger.transcripts) > known)
        if answered:
            await self.until(
                lambda: self.ledger.count("in", "assistant_finished_speaking") > answers
            )

    async def ask(self) -> None:
        """Ask for a reply, and get it."""
        reply = self.ledger.ask(self.session.generate_reply())
        await self.until(reply.done)
        if not self.ledger.closed and (failure := failure_of(reply)) is not None:
            self.ledger.complaints.append(f"it does not answer: {failure!r}")

    async def type(self, text: str) -> None:
        """Type something, and get the reply to it."""
        context = self.session.chat_ctx
        context.add_message(role="user", content=text)
        await self.session.update_chat_ctx(context)
        await self.ask()

    def let_tools_end(self) -> None:
        self._tool.set()


@dataclass(frozen=True)
class Situation:
    """What a session lives through."""

    scenario: Scenario
    live: Callable[[Life], Awaitable[None]]
    chains: tuple[tuple[str, ...], ...]
    """Lines that are spoken or typed, each in the order in which they must stand in the chat
    context. All that stands there must be of one of these."""
    about: frozenset[str] = frozenset()
    """The doubts that matter in it: the test suite plays it under their variants."""
    options: dict[str, Any] = field(default_factory=dict)
    push_to_talk: bool = False
    tools_wait: bool = False
    """The tools run until the situation lets them end."""
    fault: Callable[[PhonicSimulator, Passing], Fault | None] = lambda _, passing: None
    """What befalls the connection."""


LOOK_UP = Call(tool="look_up", then="It is {output}.")
PONDER = Call(tool="ponder", then="Tomorrow it is {output}.")
NICE = Turn(caller="Is it nice out?", assistant="One moment, please.", calls=(LOOK_UP,))
TOMORROW = Turn(caller="And tomorrow?", assistant="Nobody knows.")
PITY = Turn(caller="A pity.", assistant="Yes.")
STORY = Turn(
    caller="Tell me a story.", assistant="Once upon a time there was a king who loved the sea."
)
REPLIES = ("Here I am.", "So it is.", "Well then.", "Quite so.", "Go ahead.", "I see.", "Fine.")
ALPHABET = Turn(  # a word in nearly every chunk
    caller="Spell it.", assistant="Well, a b c d e f g h i j k l m n o p q r s t u v w x y z."
)
STOCK_REPLY = "What would you like to talk about?"
AT_ITS_PACE = {"stream_ahead_of_real_time": False}
TALK = (
    NICE.caller,
    "One moment, please.",
    "It is sunny.",
    TOMORROW.caller,
    "Nobody knows.",
    PITY.caller,
    "Yes.",
)


# -- the situations -------------------------------------------------------------------------------


async def _conversation(life: Life) -> None:
    await life.begin()
    await life.ask()
    await life.quiet()
    await life.speak()
    await life.speak()  # interrupts what would still be played
    await life.ledger.until_settled(life.simulator)
    await life.quiet()
    life.simulator.drop()
    await life.until(lambda: bool(life.ledger.recoveries))
    await life.ask()
    life.session.update_options(vad_min_silence_duration_ms=80)
    await life.simulator.received(client.Reset)
    await life.session.update_instructions("Be brief.")
    await life.speak()
    await life.quiet()
    await life.ask()
    told = "Be brief."
    await life.simulator.wait_for(lambda: life.ledger.closed or _is_told(life.simulator, told))


def _is_told(simulator: PhonicSimulator, instructions: str) -> bool:
    conversation = simulator.conversations[-1]
    assert conversation.config is not None
    messages = [m for m in conversation.received if isinstance(m, client.AddSystemMessage)]
    told = [conversation.config.system_prompt or "", *(m.system_message for m in messages)]
    return any(instructions in text for text in told)


async def _push_to_talk(life: Life) -> None:
    async def hold(*, with_a_pause: bool = False) -> None:
        """What LiveKit does when the caller holds the button and lets it go."""
        life.session.interrupt()
        life.session.start_user_activity()
        life.ledger.push(SOUND, 5)
        if with_a_pause:
            heard = len(life.ledger.transcripts)
            life.ledger.push(SILENCE, 5)
            if life.simulator.doubts.push_to_talk_pauses == "end_turns":
                await life.until(lambda: len(life.ledger.transcripts) > heard)
            life.ledger.push(SOUND, 5)
        known = len(life.ledger.transcripts)
        life.session.commit_audio()
        await life.ask()
        await life.until(lambda: len(life.ledger.transcripts) > known)
        await life.quiet()

    await life.begin()
    await hold()
    await hold(with_a_pause=True)
    life.session.update_options(audio_speed=1.1)
    await life.simulator.received(client.Reset)
    await hold()


async def _typed_text(life: Life) -> None:
    await life.begin()
    await life.type("What about tomorrow?")
    await life.until_said("You said: What")
    life.session.interrupt()  # as LiveKit does where text comes from the room
    await life.type("And on Sunday?")
    await life.until_said("You said: And")
    await life.ask()  # while the assistant speaks
    await life.quiet()
    await life.speak(answered=True)
    await life.quiet()
    await life.type("Or next week?")
    await life.quiet()


async def _burst(life: Life) -> None:
    life.ledger.push(SOUND, 100)
    life.ledger.push(SILENCE, 100)
    await life.begin()
    await life.until(lambda: bool(life.ledger.transcripts))
    await life.quiet()
    await life.ask()
    await life.quiet()
    if errors := [m for c in life.simulator.conversations for m in c.sent if _is_error(m)]:
        life.ledger.complaints.append(f"Phonic refused something: {errors}")


def _is_error(message: object) -> bool:
    return isinstance(message, server.Error)


async def _text_only(life: Life) -> None:
    await life.begin()
    await anyio.sleep(2.2)  # longer than the service waits for audio, not so long as for a word
    await life.ask()
    await life.quiet()


async def _audio_stops(life: Life) -> None:
    await life.begin()
    await life.until(lambda: bool(life.ledger.recoveries))
    await life.quiet()
    if not life.ledger.closed:
        await life.ask()


async def _error(life: Life) -> None:
    await life.begin()
    await life.speak()
    await life.until(lambda: bool(life.ledger.errors))
    await life.quiet()
    if life.simulator.doubts.error == "closes":
        await life.until(lambda: bool(life.ledger.recoveries))
    if not life.ledger.closed:
        await life.ask()
        await life.quiet()


async def _tool(life: Life) -> None:
    await life.begin()
    await life.speak()
    await life.until(lambda: bool(life.ledger.calls))
    life.session.update_options(audio_speed=1.1)
    await life.simulator.received(client.Reset)
    said = len(life.ledger.words)
    life.let_tools_end()
    await life.until(lambda: len(life.ledger.words) > said)
    await life.quiet()
    await life.speak()
    await life.ledger.until_settled(life.simulator)
    if life.simulator.doubts.async_output == "at_once":
        await life.until_said("Tomorrow it is sunny.")
        await life.quiet()
    await life.speak()
    await life.until_said("Yes.")
    await life.until_said("Tomorrow it is sunny.")
    await life.quiet()


async def _handoff(life: Life) -> None:
    await life.begin()
    await life.speak()
    await life.until_said("Well, a b")
    life.session.interrupt()
    life.session.clear_audio()
    await life.session._update_session(
        instructions="Now be short.", chat_ctx=life.session.chat_ctx, tools=[ponder]
    )
    await life.ask()
    await life.quiet()
    await life.speak(answered=True)
    await life.quiet()


async def _outage(life: Life) -> None:
    await life.begin()
    await life.speak()
    await life.until_said("Once upon a time")
    life.simulator.drop()
    await life.until(lambda: len(life.ledger.recoveries) == 1)
    await life.until(lambda: life.session.state is State.speaking)  # the answer that was due
    await life.quiet()
    while NICE.caller not in life.ledger.transcripts:  # a fresh conversation begins again
        await life.speak(answered=True)
    await life.until(lambda: len(life.ledger.recoveries) == 2)  # an acknowledgement was lost
    await life.ledger.until_settled(life.simulator)
    await life.quiet()
    life.session.restart()
    await life.until(lambda: len(life.ledger.recoveries) == 3)
    await life.ask()
    await life.quiet()


def _played(name: str) -> Situation:
    """A shipped scenario, turn by turn, as fast as it goes."""
    scenario = load_scenario(name)

    async def live(life: Life) -> None:
        await life.begin()
        if scenario.welcome:
            await life.until_said(scenario.welcome)
        for turn in scenario.turns:
            if turn.cancelled:
                life.ledger.speak()
                await life.until(lambda: life.ledger.count("in", "input_cancelled") > 0)
            else:
                await life.speak()
            if turn.interrupt_after_ms is not None and turn.assistant:
                await life.until_said(turn.assistant.split()[0])
            else:
                await life.ledger.until_settled(life.simulator)
                await life.quiet()
        await life.ask()
        await life.quiet()

    lines = [scenario.welcome]
    for turn in scenario.turns:
        lines += [turn.caller, turn.assistant]
        for call in turn.calls:
            lines += [call.meanwhile, call.then.format(output="sunny")]
    return Situation(
        scenario,
        live,
        (tuple(filter(None, lines)), (*scenario.replies, STOCK_REPLY)),
        options={"generate_welcome_message": scenario.welcome is not None},
    )


SITUATIONS = {
    "a conversation": Situation(
        Scenario(turns=(NICE, TOMORROW, PITY), replies=REPLIES),
        _conversation,
        (TALK, REPLIES),
        about=frozenset(
            {
                "opening",
                "transcript",
                "interrupted_response",
                "interrupted_turn_finishes",
                "longest_session",
                "reset_turn",
                "update_system_prompt",
            }
        ),
    ),
    "push-to-talk": Situation(
        Scenario(turns=(TOMORROW, PITY, STORY, NICE), replies=REPLIES),
        _push_to_talk,
        (
            (
                TOMORROW.caller,
                "Nobody knows.",
                PITY.caller,
                "Yes.",
                STORY.caller,
                str(STORY.assistant),
                *TALK[:3],
            ),
            REPLIES,
        ),
        about=frozenset(
            {"push_to_talk_begins", "unmute_starts_speech", "push_to_talk_pauses", "reset_mute"}
        ),
        push_to_talk=True,
    ),
    "typed text": Situation(
        Scenario(turns=(TOMORROW,)),
        _typed_text,
        (
            (
                "What about tomorrow?",
                "You said: What about tomorrow?",
                "And on Sunday?",
                "You said: And on Sunday?",
                TOMORROW.caller,
                "Nobody knows.",
                "Or next week?",
                "You said: Or next week?",
            ),
            (STOCK_REPLY,),
        ),
        about=frozenset({"user_message", "request_in_turn"}),
        options=AT_ITS_PACE,
    ),
    "a burst of audio": Situation(
        Scenario(turns=(TOMORROW,), replies=REPLIES),
        _burst,
        ((TOMORROW.caller, "Nobody knows."), REPLIES),
        about=frozenset({"audio_bursts"}),
    ),
    "no microphone": Situation(
        Scenario(replies=REPLIES, shorten_times_by=60),
        _text_only,
        (REPLIES,),
        about=frozenset({"idle_close"}),
    ),
    "audio that does not arrive": Situation(
        Scenario(replies=REPLIES, shorten_times_by=60),
        _audio_stops,
        (REPLIES,),
        about=frozenset({"idle_close"}),
        fault=lambda simulator, passing: (
            Swallow()
            if (passing.way, passing.kind) == ("to_server", "audio_chunk")
            and simulator.conversations[0].connections == 1
            else None
        ),
    ),
    "an error": Situation(
        Scenario(
            turns=(
                Turn(
                    caller="Hello?",
                    error=server.Problem("the model is busy", "busy"),
                    assistant="Yes.",
                ),
            ),
            replies=REPLIES,
        ),
        _error,
        (("Hello?", "Yes."), REPLIES),
        about=frozenset({"error"}),
    ),
    "tools": Situation(
        Scenario(
            turns=(NICE, Turn(caller="And tomorrow?", calls=(PONDER,)), PITY), replies=REPLIES
        ),
        _tool,
        (
            (NICE.caller, "One moment, please.", "It is sunny.", "And tomorrow?", PITY.caller),
            (PITY.caller, "Yes."),
            ("And tomorrow?", "Tomorrow it is sunny."),
            REPLIES,
        ),
        about=frozenset({"async_output", "reset_calls"}),
        options={"configs_for_tools": [{"name": "ponder", "execution_mode": "async"}]},
        tools_wait=True,
    ),
    "a handoff": Situation(
        Scenario(turns=(ALPHABET, TOMORROW), replies=REPLIES),
        _handoff,
        ((ALPHABET.caller, str(ALPHABET.assistant), TOMORROW.caller, "Nobody knows."), REPLIES),
        about=frozenset({"reset_turn", "reset_chunks", "reset_welcome", "null_welcome"}),
        options=AT_ITS_PACE,
    ),
    "an outage": Situation(
        Scenario(turns=(STORY, NICE), replies=REPLIES),
        _outage,
        ((STORY.caller, str(STORY.assistant), *TALK[:3]), REPLIES),
        about=frozenset({"early_resume", "resumed_turn", "repeated_output", "closed_by_client"}),
        options=AT_ITS_PACE,
        fault=lambda _, passing: at("tool_call_output_processed", Cut())(passing),
    ),
    **{f"scenario {name}": _played(name) for name in scenario_names()},
}
"""By the name in the matrix."""


# -- one observation ------------------------------------------------------------------------------


async def observe(situation: Situation, doubts: Doubts, directory: Path) -> str:
    """What becomes of a session that lives through this.

    Raises:
        Harm: something hangs, is lost, comes twice or stands in the wrong order.
    """
    trace = directory / "trace.jsonl"
    tool = anyio.Event()
    if not situation.tools_wait:
        tool.set()
    async with (
        PhonicSimulator(situation.scenario, doubts=doubts) as simulator,
        FaultProxy() as proxy,
        anyio.create_task_group() as tasks,
    ):
        proxy.connect(simulator.url, lambda passing: situation.fault(simulator, passing))
        model = RealtimeModel(
            api_key="any",
            base_url=proxy.url,
            trace=trace,
            audio_format="pcm_8000",
            vad_min_silence_duration_ms=60,
            conn_options=APIConnectOptions(max_retry=3, retry_interval=0.1, timeout=5),
            **situation.options,
        )
        session = model.session(turn_detection_disabled=situation.push_to_talk)
        ledger = Ledger(session, tasks, tool.wait)
        with anyio.move_on_after(PATIENCE) as life:
            await situation.live(Life(ledger, simulator, tool))
        closed, state = ledger.closed, session.state.value
        told = ", ".join(f"{way} {kind}" for way, kind, _ in ledger.messages)
        await session.aclose()
        with anyio.move_on_after(PATIENCE) as end:
            await ledger.until(lambda: not ledger.open_generations)
        tasks.cancel_scope.cancel()
    if life.cancelled_caught or end.cancelled_caught:
        raise Harm(f"it hangs in {state}; so far: {told}; {ledger.errors}")
    losses = [
        *ledger.losses(simulator.conversations),
        *_disorder(ledger, situation.chains, len(simulator.conversations)),
        *(f"the trace does not replay: {s.difference}" for s in replay(trace) if s.difference),
    ]
    if losses:
        raise Harm(f"{'; '.join(losses)}; {told}")
    final = [error for error in ledger.errors if not error.recoverable]
    if final:
        return f"{ENDS}`{type(final[0].error).__name__}`"
    if closed:
        raise Harm("the session closed and did not say why")
    if ledger.recoveries:
        return "fresh conversation" if ledger.turns_of_fate["fresh conversation"] else "resumed"
    return "goes on"


def _disorder(
    ledger: Ledger, chains: tuple[tuple[str, ...], ...], conversations: int
) -> Iterator[str]:
    """What stands in the chat context and was not said, was said once and stands there twice, or
    was said at another time. Each fresh conversation begins the scenario again."""
    items = [item for item in ledger.session.chat_ctx.items if item.type == "message"]
    said = [text for item in items if item.role != "system" and (text := item.text_content)]
    lines = {line for chain in chains for line in chain}
    for text in dict.fromkeys(said):
        if not any(_is_of(text, line) for line in lines):
            yield f"{text!r} stands in the chat context, and nobody said it"
        if text in lines and said.count(text) > conversations:
            yield f"{text!r} stands in the chat context {said.count(text)} times"
    for chain in chains:
        place, begun = 0, 1
        for text in said:
            fitting = [at for at, line in enumerate(chain) if _is_of(text, line)]
            later = [at for at in fitting if at >= place]
            if fitting and not later:
                begun += 1
            place = min(later or fitting, default=place)
        if begun > conversations:
            yield f"the chat context has {said}, which is not in the order of {chain}"


def _is_of(text: str, line: str) -> bool:
    """Whether it is the line, its beginning (the rest was cut off) or its end (it was resumed)."""
    return line.startswith(text) or line.endswith(text.strip())


# -- the matrix -----------------------------------------------------------------------------------

ROWS: dict[str, Doubts] = {
    "the defaults": Doubts(),
    **{f"`{doubts.differences()[0]}`": doubts for doubts in Doubts.each_variant()},
    **{f"seed {seed}": Doubts.at_random(seed) for seed in SEEDS},
}
"""The choices of variants, by their names in the matrix."""

Outcomes = dict[str, str]
"""Of one situation, by the choice's name."""


async def outcome(name: str, choice: str) -> str:
    """The outcome of a situation under a choice of variants, or the harm."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            return await observe(SITUATIONS[name], ROWS[choice], Path(directory))
        except Harm as harm:
            return f"**{harm}**"


async def outcomes(cells: Iterable[tuple[str, str]]) -> dict[str, Outcomes]:
    """The outcomes of situations under choices. They are lived through side by side."""
    found: dict[str, Outcomes] = {}
    places = anyio.CapacityLimiter(AT_A_TIME)

    async def fill(name: str, choice: str) -> None:
        async with places:
            found.setdefault(name, {})[choice] = await outcome(name, choice)

    async with anyio.create_task_group() as tasks:
        for cell in cells:
            tasks.start_soon(fill, *cell)
    return found


PART = re.compile(r"(<!-- measured: doubts -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = "| Situation | Outcome | Another outcome |\n|---|---|---|\n"


def table(matrix: Mapping[str, Outcomes]) -> str:
    """The matrix as the page has it: each situation's usual outcome, and what differs from it."""
    return HEAD + "".join(_line(name, matrix[name]) for name in SITUATIONS)


def _line(name: str, found: Outcomes) -> str:
    usual = found["the defaults"]
    others: dict[str, list[str]] = {}
    for choice in ROWS:
        if found[choice] != usual:
            others.setdefault(found[choice], []).append(choice)
    told = "; ".join(f"{', '.join(choices)}: {other}" for other, choices in others.items())
    return f"| {name} | {usual} | {told or '–'} |\n"


def matrix_of(page: str) -> dict[str, Outcomes]:
    """The outcomes that a page holds."""
    part = PART.search(page)
    assert part is not None
    matrix = {}
    for line in part.group().splitlines()[3:-1]:
        name, usual, told = line.strip("| ").split(" | ")
        found = dict.fromkeys(ROWS, usual)
        for group in told.split("; ") if told != "–" else ():
            choices, _, other = group.partition(": ")
            found |= dict.fromkeys(choices.split(", "), other)
        matrix[name] = found
    return matrix


PAGE = Path(__file__).parent.parent.parent / "docs" / "reliability.md"


async def main() -> None:
    logging.getLogger("phonic_fsm").setLevel(logging.CRITICAL)
    with in_a_hurry():
        matrix = await outcomes((name, choice) for name in SITUATIONS for choice in ROWS)
    text = PAGE.read_text(encoding="utf-8")
    part = table(matrix).replace("\\", r"\\")
    PAGE.write_text(PART.sub(rf"\g<1>{part}\g<2>", text), encoding="utf-8")


if __name__ == "__main__":
    anyio.run(main, backend_options={"loop_factory": PatientLoop})
