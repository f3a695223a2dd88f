"""The caller's side of a conversation: when they speak, and what that does to the assistant.

Audio comes in, turns come out. What the assistant does about a turn is ``assistant``'s.
"""

from __future__ import annotations

from phonic_fsm._wire import server

from ._assistant import Assistant
from ._channel import Channel
from ._floor import Floor, Who
from ._scenario import Scenario, Turn
from ._settings import Settings
from ._vad import SpeechDetector, SpeechEdge


class Caller:
    """Takes its turns from ``scenario``. ``configure`` comes before all else."""

    def __init__(
        self, scenario: Scenario, channel: Channel, assistant: Assistant, floor: Floor
    ) -> None:
        self._scenario = scenario
        self._channel = channel
        self._assistant = assistant
        self._floor = floor
        self._turns = 0
        self._in_passing = False
        """Whether the words that are being said are too few to interrupt the assistant."""
        self._settings: Settings
        self._ears: SpeechDetector
        self._muted: bool

    def configure(self, settings: Settings) -> None:
        """Listen anew: a turn that has begun is forgotten."""
        self._settings = settings
        self._muted = settings.push_to_talk
        self._listen_anew()

    async def hear(self, audio: bytes) -> None:
        """Take ``audio`` in the config's format, or ignore it while the caller is not heard."""
        if self._muted or (self._assistant.uninterruptible and not self._ears.speaking):
            return
        decode = self._settings.input_format.decode
        for edge in self._ears.feed(audio if decode is None else decode(audio)):
            if edge is SpeechEdge.STARTED:
                await self._start()
            else:
                await self._finish()

    def unmute(self) -> None:
        self._muted = False

    async def mute(self) -> None:
        """End the caller's turn, if there is one, and hear nothing more."""
        was_speaking = self._ears.speaking
        self._muted = True
        self._listen_anew()
        if was_speaking:
            await self._finish()

    def _listen_anew(self) -> None:
        self._floor.leave(Who.CALLER)
        self._ears = SpeechDetector(
            self._settings.input_format.sample_rate,
            threshold_dbfs=self._settings.threshold_dbfs,
            min_speech_ms=self._settings.min_speech_ms,
            min_silence_ms=self._settings.min_silence_ms,
        )

    async def _start(self) -> None:
        turn = self._scenario.turn(self._turns)
        self._in_passing = self._is_too_short(turn)
        consequences = [] if self._in_passing else self._assistant.interrupt()
        self._floor.take(Who.CALLER)
        await self._channel.send(server.UserStartedSpeaking())
        for consequence in consequences:
            await self._channel.send(consequence)
        if not self._in_passing:
            await self._assistant.listen(turn)

    async def _finish(self) -> None:
        turn = self._scenario.turn(self._turns)
        self._turns += 1
        self._floor.leave(Who.CALLER)
        if turn.cancelled:
            await self._channel.send(server.InputCancelled())
            return
        await self._channel.send(server.UserFinishedSpeaking())
        await self._channel.send(server.InputText(turn.caller, "en"))
        if not self._in_passing:
            self._assistant.answer(turn)

    def _is_too_short(self, turn: Turn) -> bool:
        words = len(turn.caller.split())
        busy = self._floor.is_taken_by(Who.ASSISTANT, Who.POKE)
        return busy and words < self._settings.min_words_to_interrupt
