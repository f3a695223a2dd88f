"""The demo's conversation: a real AgentSession talks to the simulator, and prints what happens."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
from livekit.agents import Agent, AgentSession, function_tool, llm
from livekit.agents.voice.events import (
    ConversationItemAddedEvent,
    ErrorEvent,
    FunctionToolsExecutedEvent,
    UserInputTranscribedEvent,
)
from msgspec import structs
from rich.console import Console
from rich.text import Text

from phonic_fsm import RealtimeModel, StateChanged
from phonic_fsm.simulator import PhonicSimulator, Scenario
from phonic_fsm.testing._call import SAMPLE_RATE, PhoneCall
from phonic_fsm.testing._caller import Caller
from phonic_fsm.testing._sound import Sound

from .text import printable

LONGEST = 60.0
"""A demo is ended after so many seconds."""


class Concierge(Agent):
    """The demo's agent, with one tool."""

    def __init__(self) -> None:
        super().__init__(instructions="You are a concierge. Be brief.")

    @function_tool
    async def get_weather(self, city: str) -> str:
        """Look up the weather.

        Args:
            city: The city to look up.
        """
        await anyio.sleep(0.3)
        return f"sunny and 21 degrees in {city}"


class Demo:
    """One conversation of the simulator, the session and the caller, and what is printed of it."""

    def __init__(self, scenario: Scenario, recorded_caller: Sound | None) -> None:
        self._scenario = scenario
        self._recorded_caller = recorded_caller
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._agent = Concierge()
        self._cut_off: str | None = None
        self._interruptions = self._tool_calls = 0
        self.failed = False
        self.recording = Sound(b"", SAMPLE_RATE)

    async def run(self, trace: Path) -> None:
        async with PhonicSimulator(self._scenario) as simulator:
            model = RealtimeModel(
                api_key="any",
                base_url=simulator.url,
                trace=trace,
                generate_welcome_message=self._scenario.welcome is not None,
            )
            session: AgentSession[None] = AgentSession(llm=model)
            session.on("user_input_transcribed", self._show_transcript)
            session.on("conversation_item_added", self._show_message)
            session.on("function_tools_executed", self._show_tools)
            session.on("error", self._show_error)
            voice = self._recorded_caller or Sound(b"", SAMPLE_RATE)
            caller = Caller(voice.sample_rate, voice.channels)
            call = PhoneCall(session, self._agent, caller=caller, patience=LONGEST)
            self._began = time.monotonic()
            try:
                async with call:
                    call.phonic.on("state_changed", self._show_state)
                    with anyio.move_on_after(LONGEST):
                        await self._converse(call)
            finally:
                self.recording = call.playback.recording()

    async def _converse(self, call: PhoneCall) -> None:
        if self._recorded_caller is None:
            await call.play(self._scenario)
            return
        await call.play(structs.replace(self._scenario, turns=()))
        await call.say(self._recorded_caller)
        await call.until_quiet()

    # -- what is printed -------------------------------------------------------------------------

    def _line(self, who: str, what: str, style: str) -> None:
        moment = f"{time.monotonic() - self._began:6.2f}  "
        self._console.print(
            Text.assemble((moment, "dim"), (f"{who:<7}", f"bold {style}"), (what, style))
        )

    def _show_state(self, change: StateChanged) -> None:
        self._line("state", f"{change.old} → {change.new}  ({change.event})", "dim")

    def _show_transcript(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            self._show_cut_off_message()
            self._line("caller", printable(event.transcript), "cyan")

    def _show_message(self, event: ConversationItemAddedEvent) -> None:
        message = event.item
        if not isinstance(message, llm.ChatMessage) or message.role != "assistant":
            return
        if message.interrupted:
            self._interruptions += 1
            self._cut_off = message.id
        else:
            self._line("agent", printable(message.text_content or ""), "green")

    def _show_cut_off_message(self) -> None:
        """Print what was really spoken of an interrupted answer. Phonic says it a moment later."""
        if self._cut_off is None:
            return
        spoken = self._agent.realtime_llm_session.chat_ctx.get_by_id(self._cut_off)
        self._cut_off = None
        if isinstance(spoken, llm.ChatMessage):
            self._line("agent", f"{printable(spoken.text_content or '')} – cut off", "green")

    def _show_tools(self, event: FunctionToolsExecutedEvent) -> None:
        for call, output in event.zipped():
            self._tool_calls += 1
            result = printable(output.output) if output else "no output"
            self._line("tool", f"{call.name}({printable(call.arguments)}) → {result}", "yellow")

    def _show_error(self, event: ErrorEvent) -> None:
        self.failed = True
        error = getattr(event.error, "error", event.error)
        self._line("error", printable(str(error)), "red")

    def sum_up(self, out: Path, trace: Path) -> None:
        heard = self.recording.seconds
        self._console.print()
        self._console.print(
            f"{self._tool_calls} tool call(s), {self._interruptions} interruption(s), "
            f"{heard:.1f} s of the agent's side in {printable(str(out))}",
            markup=False,
        )
        replay = f"replay it with: phonic-fsm replay {printable(str(trace))}"
        self._console.print(replay, markup=False)
