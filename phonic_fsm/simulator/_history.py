"""What the service keeps of a conversation: its turns, its tool calls, its recording, how it ended.

It is made of the messages that pass, and of nothing else. ``_rest`` shows it as the REST API does.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import anyio
import numpy as np

from phonic_fsm._audio.formats import WIRE_FORMATS, WireFormat
from phonic_fsm._wire import client, server
from phonic_fsm._wire.config import ConfigOptions

_JITTER = 0.1
"""Seconds; a smaller gap in the assistant's audio is none, as a player's buffer makes up for it."""


@dataclass(eq=False)
class KeptCall:
    """A tool call, as it was made and answered."""

    id: str
    tool: str
    parameters: dict[str, Any]
    output: Any = None
    timed_out: bool = False
    problem: str | None = None


@dataclass(eq=False)
class KeptTurn:
    """What one side said without a pause. Times are in seconds from the beginning."""

    role: Literal["user", "assistant"]
    began: float
    ended: float
    text: str = ""
    calls: list[KeptCall] = field(default_factory=list)


class History:
    """Grows while the conversation lasts."""

    def __init__(self) -> None:
        self.turns: list[KeptTurn] = []
        """In the order in which they began."""
        self.latencies: list[float] = []
        """Seconds from the end of a caller's turn to the beginning of the answer."""
        self.interruptions = 0
        self.ended_by: str | None = None
        """``user``, ``assistant`` or ``error``; ``None`` while it lasts."""
        self.ended: float | None = None
        self.deleted = False
        """Whether transcripts and recording have been deleted."""
        self._began = anyio.current_time()
        self._began_at = datetime.now(timezone.utc)
        self._assistant = bytearray()
        """The assistant's audio as PCM16 LE in the output's rate, where it is heard."""
        self._calls: dict[str, KeptCall] = {}
        self._awaits_answer_since: float | None = None

    def moment(self, seconds: float) -> datetime:
        """The time of day, so many seconds after the beginning."""
        return self._began_at + timedelta(seconds=seconds)

    def received(self, message: client.ClientMessage) -> None:
        """A message of the client."""
        if isinstance(message, client.ToolCallOutput) and message.tool_call_id in self._calls:
            self._calls[message.tool_call_id].output = message.output

    def sent(self, message: server.ServerMessage, config: ConfigOptions | None) -> None:
        """A message to the client."""
        now = self._now
        match message:
            case server.AudioChunk():
                self._add_audio(message, config, now)
            case server.UserStartedSpeaking():
                self.turns.append(KeptTurn("user", now, now))
                rate = _format(config, "output_format").sample_rate
                del self._assistant[2 * round(now * rate) :]  # what was not heard yet
            case server.UserFinishedSpeaking():
                self._awaits_answer_since = now
                if turn := self._last("user"):
                    turn.ended = now
            case server.InputText():
                turn = self._last("user")
                if turn is None or turn.text:
                    turn = KeptTurn("user", now, now)
                    self.turns.append(turn)
                turn.text = message.text
            case server.AssistantStartedSpeaking():
                self.turns.append(KeptTurn("assistant", now, now))
                if self._awaits_answer_since is not None:
                    self.latencies.append(now - self._awaits_answer_since)
                    self._awaits_answer_since = None
            case server.AssistantFinishedSpeaking():
                if turn := self._last("assistant"):
                    turn.ended = now
            case server.InterruptedResponse():
                self.interruptions += 1
                if turn := self._last("assistant"):
                    turn.text = message.text
            case server.ToolCall():
                self._add_call(message, now)
            case server.ToolCallOutputProcessed() if message.tool_call_id in self._calls:
                call = self._calls[message.tool_call_id]
                call.timed_out, call.problem = bool(message.timed_out), message.error_message
            case server.AssistantEndedConversation():
                self.ended_by = "assistant"

    def carried(self, by_connection: bool) -> None:
        """A connection carries the conversation from now on, or none does any more."""
        if by_connection:
            self.ended, self.ended_by = None, None
        else:
            self.ended, self.ended_by = self._now, self.ended_by or "user"

    def recording(self, caller: bytes, config: ConfigOptions) -> bytes:
        """A WAV file: the caller, whose audio came in the input's format, on the left, the
        assistant on the right. How the service mixes its own is not published.
        """
        came, sent = _format(config, "input_format"), _format(config, "output_format")
        heard = np.frombuffer(came.decode(caller) if came.decode else caller, "<i2")
        said = np.frombuffer(bytes(self._assistant), "<i2")
        moments = np.arange(len(heard) * sent.sample_rate // came.sample_rate)
        if len(heard):
            step = came.sample_rate / sent.sample_rate
            heard = np.interp(moments * step, np.arange(len(heard)), heard).astype("<i2")
        stereo = np.zeros((max(len(heard), len(said)), 2), "<i2")
        stereo[: len(heard), 0], stereo[: len(said), 1] = heard, said
        file = io.BytesIO()
        with wave.open(file, "wb") as wav:
            wav.setnchannels(2)
            wav.setsampwidth(2)
            wav.setframerate(sent.sample_rate)
            wav.writeframes(stereo.tobytes())
        return file.getvalue()

    @property
    def _now(self) -> float:
        return anyio.current_time() - self._began

    def _last(self, role: str) -> KeptTurn | None:
        return next((turn for turn in reversed(self.turns) if turn.role == role), None)

    def _add_audio(
        self, chunk: server.AudioChunk, config: ConfigOptions | None, now: float
    ) -> None:
        wire_format = _format(config, "output_format")
        audio = bytes(chunk.audio or b"")
        behind = 2 * round(now * wire_format.sample_rate) - len(self._assistant)
        if behind > 2 * _JITTER * wire_format.sample_rate:
            self._assistant += bytes(behind)
        self._assistant += wire_format.decode(audio) if wire_format.decode else audio
        if chunk.text and (turn := self._last("assistant")):
            turn.text += chunk.text

    def _add_call(self, message: server.ToolCall, now: float) -> None:
        call = KeptCall(message.tool_call_id, message.tool_name, message.parameters or {})
        self._calls[call.id] = call
        if not self.turns:
            self.turns.append(KeptTurn("assistant", now, now))
        self.turns[-1].calls.append(call)


def _format(config: ConfigOptions | None, side: str) -> WireFormat:
    return WIRE_FORMATS[(getattr(config, side) if config else None) or "pcm_44100"]
