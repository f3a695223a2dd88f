"""Where a session stands while it runs: its state, what it waits for, and since when."""

from __future__ import annotations

from msgspec import Struct

from .._core.context import Context
from .._core.states import State
from ._format import Line
from ._turns import NO_ANSWER_DUE

TO_SPEAK = "the caller to speak"


class Standing(Struct, frozen=True):
    state: str
    waits_for: str
    """Whom or what it waits for, in words; empty in a session that is closed."""
    since: float
    """Since when nothing has come of that, on the trace's clock (s)."""
    callers_turn: bool
    """Whether it is the caller who keeps it waiting, which may take any time."""


class StandingBuilder:
    """Takes the steps, each with the memory after it, and says where the session stands."""

    def __init__(self) -> None:
        self._excused = False
        """Whether the caller's last words get no answer."""
        self._standing = Standing(State.connecting.value, "", 0.0, callers_turn=False)

    def take(self, line: Line, context: Context) -> None:
        kind = line.event.get("type")
        if kind in NO_ANSWER_DUE:
            self._excused = True
        elif kind in ("user_started_speaking", "input_text", "generate_reply"):
            self._excused = False
        waits_for = self._waits_for(context)
        former = self._standing
        audio_comes = kind == "audio_chunk" and bool(line.effects)
        goes_on = former.state == line.target and former.waits_for == waits_for and not audio_comes
        since = former.since if goes_on else line.t
        callers_turn = waits_for == TO_SPEAK or line.target == State.listening.value
        self._standing = Standing(line.target, waits_for, since, callers_turn)

    def now(self) -> Standing:
        return self._standing

    def _waits_for(self, context: Context) -> str:
        if context.state is State.ready:
            return _in_ready(context, excused=self._excused)
        if context.state is State.speaking:
            return _in_speaking(context)
        if context.state is State.tool_pending:
            names = dict.fromkeys(call.name for call in context.calls_in("pending").values())
            return f"the output of {' and '.join(names)}"
        if context.state is State.awaiting_inputs:
            inputs = {"instructions": context.instructions, "tools": context.tools}
            missing = [name for name, given in inputs.items() if given is None]
            return f"LiveKit to give {' and '.join(missing)}"
        tried = f", after {context.attempts} failed" if context.attempts else ""
        return {
            State.connecting: f"a connection to Phonic{tried}",
            State.config_sent: "Phonic to say that it is ready",
            State.listening: "the caller to stop speaking",
            State.reconnecting: f"a new connection to Phonic{tried}",
            State.last_words: "the assistant's last words to be played",
            State.closed: "",
        }[context.state]


def _in_ready(context: Context, *, excused: bool) -> str:
    if context.reply is not None:
        return {
            "incomplete": "the rest of the text that is to be said",
            "waiting": "the moment in which Phonic can be asked for a reply",
            "asked": "Phonic to begin the reply that was asked for",
        }[context.reply.phase]
    if context.unclaimed is not None:
        return "LiveKit to ask for the answer"
    if context.opening == "awaited":
        return "Phonic to begin without being asked, or the caller to speak"
    if context.caller_has_the_floor:
        return "the caller's turn to be ended"
    if context.history.awaits_answer(context.typed) and not excused:
        return "Phonic's answer"
    return TO_SPEAK


def _in_speaking(context: Context) -> str:
    phase = context.generation.phase if context.generation is not None else "begun"
    if phase in ("due", "awaited"):
        return "Phonic's answer to a tool's output"
    return "the first audio of the answer" if phase == "begun" else "the rest of the answer"
