"""The loop around the machine: an event goes in, and the effects that come out are carried out.

A step is atomic. If an effect causes another event, as when a listener calls a method of the
session, that event waits until all effects of the step have been carried out. Everything runs in
the thread of the event loop. Connections are tasks in one task group per session, which ends with
the session.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any

import anyio
from livekit import rtc

from .._audio.formats import WireFormat
from .._core import effects, events
from .._core.events import EVENTS, Event
from .._core.machine import SessionMachine, Step
from .._core.reading import READ
from .._core.states import LONGEST, State
from .._wire.client import AudioChunk
from .caller_meter import PERIOD, CallerMeter, Passage
from .connection import Connection
from .endpoint import Endpoint
from .faults import log_fault, log_fault_of_others
from .fence import Fence, FencedConnection, Task
from .lease import Lease
from .log import SessionLog
from .recorder import Recorder
from .secrets import Secrets
from .uplink import PACE_MS, Uplink, silence

LATE = 0.1
"""If the event loop is late by more seconds than this, that is recorded."""

Perform = Mapping[type[Any], Callable[[Any], None]]
"""The function that carries out an effect, by the effect's type."""


class SessionRuntime:
    """Runs one session's machine until it is ``closed``; its first event is ``open``."""

    def __init__(
        self,
        machine: SessionMachine,
        endpoint: Endpoint,
        *,
        secrets: Secrets,
        perform: Perform,
        wire_format: WireFormat,
        connect_timeout: float,
        recorder: Recorder | None = None,
        lease: Lease | None = None,
        on_look: Callable[[], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
        on_passage: Callable[[Passage], None] | None = None,
        first: Event = events.Open(),  # noqa: B008 - it cannot change
    ) -> None:
        """``perform`` has the functions for the effects that the runtime does not carry out itself.

        If another process may take the call over, ``lease`` says whether it has, and
        ``on_look`` is called several times a second, as long as the session lasts. ``on_step`` is
        called with every step, after its effects have been carried out, and ``on_passage`` once a
        second, and at the end, with what became of the caller's audio. ``first``
        is the first event; with ``take_over``, the machine has the memory of another process.
        """
        self._machine = machine
        self._endpoint = endpoint
        self._secrets = secrets
        self._connect_timeout = connect_timeout
        self._recorder = recorder
        self._lingers = False
        """Whether something may still be observed once the session is closed."""
        self._on_step = on_step
        self._on_passage = on_passage
        self._perform: dict[type[Any], Callable[[Any], None]] = {
            **perform,
            effects.Connect: self._connect,
            effects.Disconnect: self._disconnect,
            effects.Abandon: self._abandon,
            effects.KeepMemory: _nothing,
            effects.Send: self._send,
            effects.SetAudioGate: self._set_audio_gate,
            effects.FlushAudio: lambda _: self.flush_audio(),
            effects.StartTimer: self._start_timer,
            effects.StopTimer: self._stop_timer,
            effects.Log: self._write_log,
        }
        self._own = self._perform.keys() - perform.keys()
        """The effects that the runtime carries out itself."""
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Event] = deque()
        self._stepping = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._connection: Connection | None = None
        self._last_heard: float | None = None
        self._overflowed = self._lost = 0
        """So much of the caller's audio (ms) was lost behind and with former connections since the
        last look."""
        self._waited = 0
        """How much of it (ms) waited in the connection at the last look."""
        self._entered = self._loop.time()
        self._stepping_from = machine.state
        self._cause: Event = first
        """The event of the current step."""
        self._log = SessionLog(secrets)
        self._watchdog: asyncio.TimerHandle | None = None
        self._silence, self._encoded_silence = silence(wire_format)
        self._uplink = Uplink(wire_format, self._send_audio, self._send_silence)
        self._meter = None if recorder is None else CallerMeter()
        self._measured = self._loop.time()
        """When the caller's audio was last looked at."""
        self._set_audio_gate(machine.initial_gate)
        self._pacer = self._loop.call_at(self._loop.time(), self._keep_pace, self._loop.time())
        """The timer of the caller's stream, of what is observed, and of heartbeats. It runs until
        the end."""
        self._to_run: asyncio.Queue[Task | None] = asyncio.Queue()
        """What ``run`` starts: connections, and what asks whether they may go on. ``None`` ends
        it."""
        self._fence: Fence | None = None
        self._make_connection: Callable[..., Connection] = Connection
        if lease is not None:
            self._fence = Fence(lease, self.start, self._lose_call, on_look)
            self._make_connection = partial(FencedConnection, self._fence)
        self._fault: BaseException | None = None
        """What has failed in this package; the session ends with it."""
        self.dispatch(first)

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def conversation_id(self) -> str | None:
        """Phonic's id of the present conversation; ``None`` until Phonic has named it."""
        return self._machine.context.conversation_id

    async def run(self) -> None:
        """Run the session. Returns when it is closed and has left nothing behind."""
        try:
            await self._run_connections()
        finally:
            # If the session is not closed, its task was cancelled, or something has failed.
            # Whoever waits for the session must learn that it ends.
            if self._fault is not None:
                log_fault("the Phonic session broke", self._fault, self._secrets)
                self._break(f"{type(self._fault).__name__} in the session's task")
            elif self.state is not State.closed:
                if self._fence is not None:
                    # LiveKit does so in a job whose worker has died. Nobody has ended the call.
                    self.dispatch_unattended(events.LeaseLost("the session's task was cancelled"))
                else:
                    self._break("the session's task was cancelled")
            for timer in (*self._timers.values(), self._watchdog, self._pacer):
                if timer is not None:
                    timer.cancel()
            self._timers.clear()
            self._end_or_linger()
        if self._recorder is not None:
            await self._recorder.written()

    def go_on_recording(self) -> None:
        """Record what is observed after the session is closed, for a while."""
        self._lingers = True

    def end_recording(self) -> None:
        """Nothing more will be observed of the closed session."""
        self._lingers = False
        if self._recorder is not None:
            self._recorder.close()

    def _end_or_linger(self) -> None:
        if self._recorder is None:
            return
        if self._lingers:
            self._recorder.linger()
        else:
            self._recorder.close()

    async def _run_connections(self) -> None:
        """Run connections until the session is closed, or something has failed."""
        try:
            async with anyio.create_task_group() as tasks:
                # Connections are started here because anyio starts tasks from tasks only, and
                # often it is a timer that asks for a connection.
                while (task := await self._to_run.get()) is not None:
                    tasks.start_soon(task)
                if self._fault is not None:
                    tasks.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001 - a fault in this package, whatever it is
            self._fault = self._fault or error

    def _break(self, problem: str) -> None:
        """Take the last step. What fails in it is logged, and the rest of it is carried out."""
        try:
            self.dispatch(events.Break(problem))
        except BaseException as error:  # noqa: BLE001 - the session ends in any case
            log_fault_of_others("the end of the session failed in part", error, self._secrets)

    def dispatch(self, event: Event) -> None:
        """Feed an event to the machine, and carry out the effects.

        If a step is under way, the event waits until it is over.
        """
        if self._stepping:
            self._queue.append(event)
            return
        self._stepping = True
        try:
            self._step(event)
            while self._queue:
                self._step(self._queue.popleft())
        finally:
            self._stepping = False

    def dispatch_unattended(self, event: Event) -> None:
        """Dispatch an event that no caller waits for: from a connection, a timer or a task.

        There is no caller to get an exception, so an exception ends the session.
        """
        if self._fault is not None:
            return
        try:
            self.dispatch(event)
        except BaseException as error:
            self._fault = error
            self._to_run.put_nowait(None)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise  # The process is to end.

    def _step(self, event: Event) -> None:
        if isinstance(event, READ):
            event = self._machine.read(event)
        step = self._machine.step(event)
        if self._recorder is not None:
            self._recorder.record(step)
        self._stepping_from = step.source
        self._cause = event
        perform = self._perform
        if type(event) is events.TakeOver:
            # What concerns LiveKit tells the trace how what was open ends. It is another LiveKit.
            own = {kind: perform[kind] for kind in self._own}
            perform = dict.fromkeys(perform, _nothing) | own
        fault: BaseException | None = None
        for effect in step.effects:
            try:
                perform[type(effect)](effect)
            except BaseException as error:  # noqa: BLE001 - raised below
                # The others are carried out nevertheless: one of them may tell that it is the end.
                fault = fault or error
        if step.source is not step.target:
            self._enter(step.target)
        if self._on_step is not None:
            self._on_step(step)
        if step.target is State.closed:
            self._pacer.cancel()  # There is nothing more to observe.
            passage = self._take_passage()
            if self._on_passage is not None:
                self._on_passage(passage)
            if step.source is not step.target:
                self._account_for_rest(passage)
            self._to_run.put_nowait(None)
        if fault is not None:
            raise fault

    def _enter(self, state: State) -> None:
        self._entered = self._loop.time()
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        if state in LONGEST:
            self._watchdog = self._loop.call_later(LONGEST[state], self._name_overdue, state)

    def _name_overdue(self, state: State) -> None:
        seconds = round(self._loop.time() - self._entered, 1)
        self._watchdog = self._loop.call_later(LONGEST[state], self._name_overdue, state)
        self.dispatch_unattended(events.StateOverdue(seconds))

    def circumstances(self) -> str:
        """For errors: the state before this step, for how long, and when Phonic was last heard."""
        now = self._loop.time()
        said = f"in {self._stepping_from.value} for {now - self._entered:.1f} s"
        if self._recorder is not None and self._recorder.path is not None:
            said = f"trace {self._recorder.path}, {said}"
        heard = self._connection.last_heard if self._connection is not None else self._last_heard
        if heard is None:
            return f"{said}, Phonic has not been heard"
        return f"{said}, Phonic was last heard {now - heard:.1f} s ago"

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Send the caller's audio if the gate is open."""
        if self._meter is not None:
            self._meter.take(frame)
        self._uplink.push(frame)

    def expect_audio(self) -> None:
        """Put no silence where the caller's audio will be, which is sent a little later."""
        self._uplink.expect()

    def flush_audio(self) -> None:
        """Send all of the caller's audio at once, also the beginning of a chunk."""
        self._uplink.flush()

    def start(self, task: Task) -> None:
        """Run a task that ends before the session does, or with it."""
        self._to_run.put_nowait(task)

    @property
    def heard_ms(self) -> int:
        """How much of the caller's audio (ms) was sent since the gate opened or since a flush."""
        return self._uplink.heard_ms

    # -- effects ---------------------------------------------------------------------------------

    def _connect(self, effect: effects.Connect) -> None:
        self._leave_connection()
        self._connection = self._make_connection(
            self._endpoint,
            self._secrets,
            self.dispatch_unattended,
            resume=effect.resume,
            connect_timeout=self._connect_timeout,
        )
        self._to_run.put_nowait(self._connection.run)

    def _disconnect(self, _: effects.Disconnect) -> None:
        if (connection := self._leave_connection()) is not None:
            connection.end()

    def _abandon(self, _: effects.Abandon) -> None:
        if (connection := self._leave_connection()) is not None:
            connection.abandon()

    def _leave_connection(self) -> Connection | None:
        """Take leave of the connection, and keep what is to be known of it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._last_heard = connection.last_heard or self._last_heard
            self._overflowed += connection.take_overflowed()
            self._lost += connection.take_lost() + connection.waiting_ms
        return connection

    def _lose_call(self) -> None:
        self.dispatch_unattended(events.LeaseLost())

    def _send(self, effect: effects.Send) -> None:
        if self._connection is not None:
            self._connection.send(effect.message)

    def _send_audio(self, chunk: AudioChunk) -> None:
        if self._recorder is not None:
            self._recorder.record_audio(chunk.audio)
        connection = self._connection
        if connection is not None:
            if not connection.has_audio:
                # Required on the first chunk (published protocol).
                sent_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
                chunk = AudioChunk(chunk.audio, sent_at)
                connection.has_audio = True
            connection.send(chunk)

    def _send_silence(self) -> None:
        connection = self._connection
        if connection is None or not connection.is_flowing:
            return  # What waits for a slow socket is worth more.
        if not connection.has_audio:
            self._send_audio(self._silence)
            return
        if self._recorder is not None:
            self._recorder.record_audio(self._silence.audio)
        connection.send_encoded(self._encoded_silence)

    def _set_audio_gate(self, effect: effects.SetAudioGate) -> None:
        self._uplink.set_gate(effect.gate, effect.keep_ms, self._loop.time())

    def _keep_pace(self, due: float) -> None:
        now = self._loop.time()
        following = now + PACE_MS / 1000
        self._pacer = self._loop.call_at(following, self._keep_pace, following)
        if self._uplink.streams:
            self._uplink.keep_pace(now)
        if self._recorder is not None:
            checkpoint = self._recorder.checkpoint(self._machine.context.history)
            if checkpoint is not None:
                self.dispatch_unattended(checkpoint)
        if self._meter is not None and now - due > LATE:
            self.dispatch_unattended(events.EventLoopLate(round(now - due, 3)))
        if now - self._measured >= PERIOD:
            self._measured = now
            self._observe()
        if self._fence is not None:
            self._fence.keep()  # The last, as the session may end by it.

    def _observe(self) -> None:
        passage = self._take_passage()
        if self._on_passage is not None:
            self._on_passage(passage)
        if self._meter is not None and (heard := self._meter.look(passage)) is not None:
            self.dispatch_unattended(heard)

    def _account_for_rest(self, passage: Passage) -> None:
        """Record that what was kept of the caller's audio is lost with the session."""
        if self._meter is None or not passage.dropped:
            return
        heard = self._meter.look(passage)
        if heard is not None:
            self._queue.append(heard)

    def _take_passage(self) -> Passage:
        """What became of the caller's audio since the last look, also behind the uplink."""
        passage = self._uplink.take_passage()
        passage.overflowed, self._overflowed = self._overflowed, 0
        lost, self._lost = self._lost, 0
        waits = 0
        if self._connection is not None:
            waits = self._connection.waiting_ms
            passage.overflowed += self._connection.take_overflowed()
            lost += self._connection.take_lost()
        # For the uplink, what a connection was given is sent. Some of it waited and has left since;
        # some waits now, or is lost.
        passage.sent += self._waited - waits - passage.overflowed - lost
        passage.dropped += passage.overflowed + lost
        passage.waiting += waits
        self._waited = waits
        return passage

    def _start_timer(self, effect: effects.StartTimer) -> None:
        self._stop(effect.event)
        self._timers[effect.event] = self._loop.call_later(effect.seconds, self._fire, effect.event)

    def _stop_timer(self, effect: effects.StopTimer) -> None:
        self._stop(effect.event)

    def _stop(self, event: str) -> None:
        timer = self._timers.pop(event, None)
        if timer is not None:
            timer.cancel()

    def _write_log(self, effect: effects.Log) -> None:
        self.log(getattr(logging, effect.level.upper()), effect.text)

    def log(self, level: int, text: str) -> None:
        """Write a line about the current step to the log, unless there are too many like it."""
        self._log.write(level, text, self._cause, self._loop.time())

    def _fire(self, event: str) -> None:
        del self._timers[event]
        self.dispatch_unattended(EVENTS[event]())


def _nothing(_: Any) -> None:
    """Carries out what is there for the trace alone."""
