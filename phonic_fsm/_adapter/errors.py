"""The errors that users catch. Each is also an error of LiveKit's.

``str(error)`` says what went wrong, the session's state and for how long it was in it, and when
Phonic last sent something. ``error.message`` says only what went wrong.
"""

from __future__ import annotations

from livekit.agents import APIConnectionError, APIError, llm

from .._core.effects import EmitError, RejectReply


class _WhereItWas(Exception):
    """Adds the session's state to an error's message."""

    message: str
    where = ""

    def __str__(self) -> str:
        return f"{self.message} ({self.where})" if self.where else self.message


class PhonicError(_WhereItWas, APIError):
    """Phonic reported an error. ``body`` has its ``code`` and ``param_errors``, if it sent any."""

    __module__ = "phonic_fsm"


class ConfigurationRefused(PhonicError):
    """Phonic refused the session's config. The message says which field and why."""

    __module__ = "phonic_fsm"


class ConversationEnded(PhonicError):
    """Phonic or the assistant ended the conversation on purpose."""

    __module__ = "phonic_fsm"


class CallTakenOver(PhonicError):
    """Another process goes on with this call, or it is over. This one sends nothing more."""

    __module__ = "phonic_fsm"


class SessionBroke(_WhereItWas, APIError):
    """The session failed because of a fault in this package, or because its task was cancelled.

    The log has the traceback of a fault.
    """

    __module__ = "phonic_fsm"


class ConnectionFailed(_WhereItWas, APIConnectionError):
    """An attempt to connect to Phonic failed."""

    __module__ = "phonic_fsm"


class ConnectionLost(ConnectionFailed):
    """The connection to Phonic was lost. It is being resumed, or could not be resumed."""

    __module__ = "phonic_fsm"


class ReplyFailed(_WhereItWas, llm.RealtimeError):
    """A reply that your code asked for will not come.

    ``code`` says why: ``timed_out``, ``declined`` (the assistant chose not to respond), ``closed``
    (the session is closed), or ``blank`` (``say`` got no words).
    """

    __module__ = "phonic_fsm"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.message = message


class ReplyTimedOut(ReplyFailed):
    """A reply that your code asked for did not begin in time."""

    __module__ = "phonic_fsm"


def failure_for(effect: RejectReply, where: str) -> ReplyFailed:
    """The exception for the future of the reply."""
    kind = ReplyTimedOut if effect.reason == "timed_out" else ReplyFailed
    failure = kind(effect.problem, code=effect.reason)
    failure.where = where
    return failure


def error_for(effect: EmitError, where: str) -> APIError:
    """The exception for LiveKit's event ``error``."""
    error = _error_for(effect)
    error.where = where
    return error


def _error_for(effect: EmitError) -> PhonicError | ConnectionFailed | SessionBroke:
    kind, problem, recoverable = effect.kind, effect.problem, effect.recoverable
    said = {"code": effect.code, "param_errors": effect.fields}
    body = {key: value for key, value in said.items() if value} or None
    if kind == "connect_failed":
        return ConnectionFailed(problem, retryable=recoverable)
    if kind == "connection_lost":
        return ConnectionLost(problem, retryable=recoverable)
    if kind == "configuration_refused":
        return ConfigurationRefused(problem, body=body, retryable=False)
    if kind == "internal_error":
        return SessionBroke(problem, retryable=False)
    if kind == "superseded":
        return CallTakenOver(problem, retryable=False)
    if kind == "conversation_ended":
        return ConversationEnded(problem, body=body, retryable=False)
    return PhonicError(problem, body=body, retryable=recoverable)
