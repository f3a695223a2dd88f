"""Plays LiveKit's part in a session, and keeps account of all that must not be lost.

It reads every generation, runs the tools that are called, and afterwards says, in ``losses``, what
does not add up. What the caller says and what is asked of the session is left to its user.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
from anyio.abc import TaskGroup
from livekit import rtc
from livekit.agents import llm

from phonic_fsm import RealtimeSession, State, StateChanged
from phonic_fsm._adapter.payloads import CLIENT_EVENT, SERVER_EVENT
from phonic_fsm._adapter.replies import Reply
from phonic_fsm._core.states import CONVERSING
from phonic_fsm._wire import server as phonic
from phonic_fsm.simulator import ConversationRecord, PhonicSimulator

SOUND = (np.resize([8000, -8000], 160).astype(np.int16)).tobytes()
SILENCE = bytes(len(SOUND))
"""20 ms of 8 kHz, as ``SOUND``."""


OUTPUT = "tool_call_output"
LOST = "connection_lost"


@llm.function_tool
async def look_up(city: str) -> str:
    """Look up the weather."""
    return city


class Ledger:
    """One session's account. ``tasks`` must outlive the session."""

    def __init__(
        self,
        session: RealtimeSession,
        tasks: TaskGroup,
        run_tool: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint,
    ) -> None:
        self.session = session
        self.messages: list[tuple[str, str, dict[str, Any]]] = []
        """Each message but audio: ``in`` or ``out``, its type, itself; ``here`` for a loss of the
        connection, behind which an output may go out again."""
        self.words: list[str] = []
        """Of the assistant, as they arrived."""
        self.heard: list[str] = []
        """The same, as they came out of the generations."""
        self.transcripts: list[str] = []
        self.calls: list[str] = []
        """Ids of the calls that were handed over."""
        self.settled: list[str] = []
        self.errors: list[llm.RealtimeModelError] = []
        self.moves: Counter[tuple[str, str]] = Counter()
        """From which state to which, and how often."""
        self.recoveries: list[float] = []
        """Seconds for which the conversation was interrupted, each time that it went on."""
        self.replies: list[Reply] = []
        self.open_generations = 0
        self.complaints: list[str] = []
        """What was seen to be wrong on the way."""
        self._lost_at = anyio.current_time()
        self._tasks = tasks
        self._run_tool = run_tool
        self._changed = anyio.Event()
        session.on(SERVER_EVENT, self._arrive)
        session.on(CLIENT_EVENT, lambda message: self._note("out", message))
        session.on("generation_created", self._generate)
        session.on("input_audio_transcription_completed", self._transcribe)
        session.on("tool_call_settled", lambda call: self.settled.append(call.call_id))
        session.on("error", self._fail)
        session.on("session_reconnected", self._reconnect)
        session.on("state_changed", self._move)

    # -- what the user does ----------------------------------------------------------------------

    def speak(self, frames: int = 5) -> None:
        """Some sound of the caller's, then silence enough to end the turn."""
        self.push(SOUND, frames)
        self.push(SILENCE, 5)

    def push(self, pcm: bytes, frames: int) -> None:
        for _ in range(frames):
            self.session.push_audio(rtc.AudioFrame(pcm, 8000, 1, len(pcm) // 2))

    def ask(self, reply: Reply) -> Reply:
        """Keep account of a reply that was asked for."""
        self.replies.append(reply)
        reply.add_done_callback(lambda _: self._news())
        return reply

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until this holds; it is asked after all that the session emits."""
        while not condition():
            await self._changed.wait()

    async def until_settled(self, simulator: PhonicSimulator) -> None:
        """Wait until no call awaits its end: the server may be the first to know, or the session,
        whose output is refused because the server has taken it before."""

        def settled() -> bool:
            return self.closed or not self.unsettled(simulator.conversations)

        async with anyio.create_task_group() as sides:

            async def watch(until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
                await until(settled)
                sides.cancel_scope.cancel()

            sides.start_soon(watch, simulator.wait_for)
            sides.start_soon(watch, self.until)

    @property
    def turns_of_fate(self) -> Counter[str]:
        """How often the conversation was resumed, replaced by a fresh one, or restarted."""
        fates: Counter[str] = Counter()
        for (old, new), times in self.moves.items():
            if old == "reconnecting" and new != "closed":
                fates["fresh conversation" if new == "connecting" else "resumed"] += times
            elif State(old) in CONVERSING and new == "connecting":
                fates["restarted"] += times
        return fates

    def unsettled(self, conversations: list[ConversationRecord]) -> set[str]:
        """Calls of the present conversation that were handed over, and await their end."""
        made: set[str] = set()
        for _, kind, message in self.messages:
            if kind == "tool_call":
                made.add(message["tool_call_id"])
            elif kind in ("config", "reset"):
                made.clear()  # what is open of them is in the history
        return made & set(self.calls) - set(_ends(conversations)) - set(self.settled)

    def count(self, way: str, kind: str) -> int:
        """How many messages of this type went this way."""
        return sum((way, kind) == message[:2] for message in self.messages)

    @property
    def closed(self) -> bool:
        return self.session.state is State.closed

    # -- what the session does -------------------------------------------------------------------

    def _news(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _note(self, way: str, message: dict[str, Any]) -> None:
        self.messages.append((way, message["type"], message))
        self._news()

    def _arrive(self, message: dict[str, Any]) -> None:
        if message["type"] != "audio_chunk":
            self._note("in", message)
        elif message["text"]:
            self.words.append(message["text"])
            self._news()

    def _generate(self, generation: llm.GenerationCreatedEvent) -> None:
        self.open_generations += 1
        self._tasks.start_soon(self._read, generation)

    async def _read(self, generation: llm.GenerationCreatedEvent) -> None:
        async for message in generation.message_stream:
            async for text in message.text_stream:
                self.heard.append(text)
            async for _ in message.audio_stream:
                pass
        async for call in generation.function_stream:
            self.calls.append(call.call_id)
            self._tasks.start_soon(self._answer, call)
        self.open_generations -= 1
        self._news()

    async def _answer(self, call: llm.FunctionCall) -> None:
        await self._run_tool()
        context = self.session.chat_ctx
        context.items.append(
            llm.FunctionCallOutput(
                name=call.name, call_id=call.call_id, output="sunny", is_error=False
            )
        )
        await self.session.update_chat_ctx(context)

    def _transcribe(self, transcript: llm.InputTranscriptionCompleted) -> None:
        self.transcripts.append(transcript.transcript)
        self._news()

    def _fail(self, error: llm.RealtimeModelError) -> None:
        self.errors.append(error)
        if not error.recoverable and not self.closed:
            # LiveKit ends the call for it, though the conversation goes on.
            self.complaints.append(f"an error ends a conversation that lives: {error.error}")
        self._news()

    def _move(self, change: StateChanged) -> None:
        self.moves[change.old, change.new] += 1
        if State(change.old) in CONVERSING and change.new in ("reconnecting", "connecting"):
            self._lost_at = anyio.current_time()
            self._note("here", {"type": LOST})
        self._news()

    def _reconnect(self, _: object) -> None:
        self.recoveries.append(anyio.current_time() - self._lost_at)
        self._news()

    # -- the account -----------------------------------------------------------------------------

    def losses(self, conversations: list[ConversationRecord]) -> list[str]:
        """What was lost or came twice, once the session is closed; the server's records help."""
        return [
            *self.complaints,
            *self._lost_words(),
            *self._lost_calls(conversations),
            *self._lost_ends(),
            *self._lost_context(),
        ]

    def _arrived(self, kind: str) -> list[dict[str, Any]]:
        return [message for way, name, message in self.messages if (way, name) == ("in", kind)]

    def _lost_words(self) -> list[str]:
        typed = {message.get("user_message") for _, _, message in self.messages}
        said = [message["text"] for message in self._arrived("input_text")]
        said = [text for text in said if text not in typed]  # Phonic echoes what was typed
        losses = []
        if said != self.transcripts:
            losses.append(f"transcripts {said} arrived, {self.transcripts} came out")
        rest = iter(self.words)
        if not all(word in rest for word in self.heard):
            losses.append(f"words {self.words} arrived, {self.heard} came out")
        return losses

    def _lost_calls(self, conversations: list[ConversationRecord]) -> list[str]:
        losses = [f"call {call} came {n} times" for call, n in Counter(self.calls).items() if n > 1]
        given: set[str] = set()  # on the present connection
        acknowledged: set[str] = set()
        for _, kind, message in self.messages:
            if kind in ("config", LOST):
                given.clear()
            elif kind == "tool_call_output_processed":
                acknowledged.add(message["tool_call_id"])
            elif kind == OUTPUT:
                if message["tool_call_id"] in given | acknowledged:
                    losses.append(f"the output of call {message['tool_call_id']} went out again")
                given.add(message["tool_call_id"])
        # An output that is sent again after a resume may be acknowledged again.
        sent = Counter(m["tool_call_id"] for _, kind, m in self.messages if kind == OUTPUT)
        ends = _ends(conversations)
        return losses + [
            f"call {call} ended {n} times" for call, n in ends.items() if n > max(1, sent[call])
        ]

    def _lost_ends(self) -> list[str]:
        losses = []
        if pending := sum(not reply.done() for reply in self.replies):
            losses.append(f"{pending} replies never ended")
        if self.open_generations:
            losses.append(f"{self.open_generations} generations never ended")
        final = [error for error in self.errors if not error.recoverable]
        if len(final) > 1:
            losses.append(f"the end was announced {len(final)} times: {final}")
        return losses

    def _lost_context(self) -> list[str]:
        items = self.session.chat_ctx.items
        ids = [item.id for item in items]
        losses = [] if len(ids) == len(set(ids)) else ["an id stands twice in the chat context"]
        said = [i.text_content for i in items if i.type == "message" and i.id.startswith("PI_")]
        if said != [text for text in self.transcripts if text]:
            losses.append(f"the chat context has {said} of the transcripts {self.transcripts}")
        called: set[str] = set()
        for item in items:
            if item.type == "function_call":
                called.add(item.call_id)
            elif item.type == "function_call_output" and item.call_id not in called:
                losses.append(f"the output of {item.call_id} stands before its call")
        return losses


def _ends(conversations: list[ConversationRecord]) -> Counter[str]:
    """How often the server has said of each call that it is over."""
    return Counter(
        message.tool_call_id
        for conversation in conversations
        for message in conversation.sent
        if isinstance(message, (phonic.ToolCallOutputProcessed, phonic.ToolCallInterrupted))
    )


def failure_of(reply: Reply) -> BaseException | None:
    """Why a reply that has ended did not come; ``None`` if it came."""
    return asyncio.CancelledError() if reply.cancelled() else reply.exception()
