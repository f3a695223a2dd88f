"""The caller's side of a conversation: when they speak, and when that interrupts the assistant.

What the assistant does about the caller's turn is decided in ``_assistant``.
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
    """Hears the caller's audio and takes their turns from ``scenario``.

    ``configure`` must be called before anything else.
    """

    def __init__(
        self, scenario: Scenario, channel: Channel, assistant: Assistant, floor: Floor
    ) -> None:
        self._scenario = scenario
        self._channel = channel
        self._assistant = assistant
        self._floor = floor
        self._turns = 0
        """How many turns of the caller have ended."""
        self._is_too_short = False
        """Whether the present turn has too few words to interrupt the assistant."""
        self._settings: Settings
        self._detector: SpeechDetector
        self._muted: bool

    def configure(self, settings: Settings) -> None:
        """Take new settings, and forget a turn that has begun."""
        self._settings = settings
        self._muted = settings.push_to_talk
        self._restart_detection()

    async def hear(self, audio: bytes) -> None:
        """Take ``audio`` in the config's format. It is ignored while the caller is muted or must
        not interrupt."""
        if self._muted or (self._assistant.is_uninterruptible and not self._detector.speaking):
            return
        decode = self._settings.input_format.decode
        for edge in self._detector.feed(audio if decode is None else decode(audio)):
            if edge is SpeechEdge.STARTED:
                await self._start()
            else:
                await self._finish()

    def unmute(self) -> None:
        self._muted = False

    async def mute(self) -> None:
        """End the caller's turn, if there is one, and ignore their audio from now on."""
        was_speaking = self._detector.speaking
        self._muted = True
        self._restart_detection()
        if was_speaking:
            await self._finish()

    def _restart_detection(self) -> None:
        self._floor.leave(Who.CALLER)
        self._detector = SpeechDetector(
            self._settings.input_format.sample_rate,
            threshold_dbfs=self._settings.threshold_dbfs,
            min_speech_ms=self._settings.min_speech_ms,
            min_silence_ms=self._settings.min_silence_ms,
        )

    async def _start(self) -> None:
        turn = self._scenario.turn(self._turns)
        self._is_too_short = self._has_too_few_words(turn)
        consequences = [] if self._is_too_short else self._assistant.interrupt()
        self._floor.take(Who.CALLER)
        await self._channel.send(server.UserStartedSpeaking())
        for consequence in consequences:
            await self._channel.send(consequence)
        if not self._is_too_short:
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
        if not self._is_too_short:
            self._assistant.answer(turn)

    def _has_too_few_words(self, turn: Turn) -> bool:
        words = len(turn.caller.split())
        busy = self._floor.is_taken_by(Who.ASSISTANT, Who.POKE)
        return busy and words < self._settings.min_words_to_interrupt
