"""The model: options, checked once, and the sessions that are made with copies of them."""

from __future__ import annotations

import os
import sys
import weakref
from os import PathLike
from typing import Any, get_args

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
    get_job_context,
    llm,
)
from livekit.agents.utils import is_given, shortuuid

from .._core.context import Settings
from .._runtime.endpoint import Endpoint
from .._wire.config import AudioFormat
from ..trace._recorder import TraceRecorder
from ..trace._recording import checked_recording
from ..trace._rotation import TraceLimits
from ..trace._sinks import Function
from .options import PhonicOptions, changed, checked, to_config
from .session import RealtimeSession

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack


class RealtimeModel(llm.RealtimeModel):
    """Phonic's speech-to-speech model, for ``AgentSession(llm=...)`` or ``Agent(llm=...)``."""

    # LiveKit labels its errors and metrics with it.
    __module__ = "phonic_fsm"

    def __init__(
        self,
        *,
        api_key: NotGivenOr[str] = NOT_GIVEN,
        base_url: NotGivenOr[str] = NOT_GIVEN,
        audio_format: AudioFormat = "pcm_24000",
        trace: NotGivenOr[str | PathLike[str] | Function | None] = NOT_GIVEN,
        redact_trace: bool = False,
        trace_audio: bool = False,
        trace_limits: TraceLimits = TraceLimits(),  # noqa: B008 - it cannot change
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **options: Unpack[PhonicOptions],
    ) -> None:
        """Check the options; nothing is connected yet.

        Args:
            api_key: Phonic's key; else ``PHONIC_API_KEY``.
            base_url: Another server, such as the simulator; else ``PHONIC_BASE_URL``, else Phonic.
            audio_format: Mono audio on the wire, both ways: PCM16 of this rate (Hz), or µ-law for
                telephony. The default is LiveKit's own rate.
            trace: Record every session, one file each: a directory, a path with the fields
                ``{job}``, ``{room}``, ``{time}`` and ``{session}``, in gzip if it ends in ``.gz``,
                or a function that gets a session's id and a line at a time, in a thread; else
                ``PHONIC_FSM_TRACE``. ``None`` records nothing.
            redact_trace: Put placeholders for what was said, and whatever else may be private.
            trace_audio: Record both sides' audio, as WAV files beside the trace.
            trace_limits: How large a trace may become, and how many are kept.
            conn_options: Retries, pause between them and timeout of connecting (s).
            options: See ``PhonicOptions``. What is left out is not sent.

        Raises:
            TypeError: there is no such option.
            ValueError: no API key, or an option with a value that cannot be; it is named.
        """
        self._options = checked(options)
        super().__init__(capabilities=_capabilities(self._options))
        key = (api_key if is_given(api_key) else None) or os.environ.get("PHONIC_API_KEY")
        if not key:
            raise ValueError("a Phonic API key is required: pass api_key or set PHONIC_API_KEY")
        if audio_format not in get_args(AudioFormat):
            raise ValueError(
                f"audio_format must be one of {', '.join(get_args(AudioFormat))}, "
                f"got {audio_format!r}"
            )
        url = base_url if is_given(base_url) else os.environ.get("PHONIC_BASE_URL")
        self._endpoint = Endpoint(key, url) if url else Endpoint(key)
        self._audio_format = audio_format
        to_config(self._options, audio_format)
        target = trace if is_given(trace) else os.environ.get("PHONIC_FSM_TRACE") or None
        self._recording = (
            checked_recording(target, redact=redact_trace, audio=trace_audio, limits=trace_limits)
            if target is not None
            else None
        )
        self._conn_options = conn_options
        self._sessions: weakref.WeakSet[RealtimeSession] = weakref.WeakSet()

    @property
    def model(self) -> str:
        """The model's name in LiveKit's metrics, ``phonic``."""
        return "phonic"

    @property
    def provider(self) -> str:
        """The provider's name in LiveKit's metrics, ``phonic``."""
        return "phonic"

    def session(self, *, turn_detection_disabled: bool = False) -> RealtimeSession:
        """Start a conversation: it connects in the background, with a copy of the options.

        Must be called in a running event loop. ``turn_detection_disabled`` makes it push-to-talk:
        Phonic listens from ``start_user_activity`` on and answers at ``commit_audio``.
        """
        options = self._options | ({"push_to_talk": True} if turn_detection_disabled else {})
        config, tool_configs = to_config(options, self._audio_format)
        settings = Settings(
            id_seed=shortuuid(),
            config=config,
            max_retries=self._conn_options.max_retry,
            retry_interval=self._conn_options.retry_interval,
            answer_timeout=self._conn_options.timeout,
        )
        recorder = None
        if self._recording is not None:
            job, room = _job_and_room()
            recorder = TraceRecorder(self._recording, settings, job=job, room=room)
        session = RealtimeSession(
            self,
            settings,
            self._endpoint,
            options=options,
            tool_configs=tool_configs,
            audio_format=self._audio_format,
            connect_timeout=self._conn_options.timeout,
            recorder=recorder,
        )
        self._sessions.add(session)
        return session

    def update_options(self, **options: Unpack[PhonicOptions]) -> None:
        """Change options of this model, and of its sessions, in mid-conversation too.

        Raises:
            TypeError, ValueError: as for the constructor; then nothing is changed.
        """
        changes = checked(options)
        updated = changed(self._options, changes)
        to_config(updated, self._audio_format)
        self._options = updated
        for session in self._sessions:
            session.update_options(**options)

    async def aclose(self) -> None:
        """Nothing to close: sessions are closed by their owners."""


def _capabilities(options: dict[str, Any]) -> llm.RealtimeCapabilities:
    push_to_talk = options.get("push_to_talk")
    return llm.RealtimeCapabilities(
        message_truncation=False,
        turn_detection=push_to_talk is not True,
        can_disable_turn_detection=push_to_talk is None,
        # Only audio that comes at its pace can Phonic stop by itself; see speech_may_overlap.
        supports_overlapping_speech=options.get("stream_ahead_of_real_time") is False,
        user_transcription=True,
        auto_tool_reply_generation=True,
        audio_output=True,
        manual_function_calls=False,
        mutable_chat_context=True,
        mutable_instructions=True,
        mutable_tools=True,
        per_response_tool_choice=False,
        supports_say=True,
    )


def _job_and_room() -> tuple[str, str]:
    """LiveKit's job id and the room's name; empty outside a job."""
    context = get_job_context(required=False)
    return (context.job.id, context.job.room.name) if context is not None else ("", "")
