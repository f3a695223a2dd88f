"""What users catch. Each is one of LiveKit's own error types too.

``str(error)`` says what went wrong and where the session was: its state, for how long, and when
Phonic was last heard. ``error.message`` says only the former.
"""

from __future__ import annotations

from livekit.agents import APIConnectionError, APIError, llm

from .._core.effects import EmitError, RejectReply


class _WhereItWas(Exception):
    """Adds to the message where the session was."""

    message: str
    where = ""

    def __str__(self) -> str:
        return f"{self.message} ({self.where})" if self.where else self.message


class PhonicError(_WhereItWas, APIError):
    """Phonic reported an error; ``body`` has its ``code`` and ``param_errors``, as far as given."""

    __module__ = "phonic_fsm"


class ConfigurationRefused(PhonicError):
    """Phonic does not accept the session's config: the message says which field and why."""

    __module__ = "phonic_fsm"


class ConversationEnded(PhonicError):
    """The conversation was ended on purpose, by Phonic or by the assistant."""

    __module__ = "phonic_fsm"


class SessionBroke(_WhereItWas, APIError):
    """The session's own task failed: a fault of this package, with its traceback in the log."""

    __module__ = "phonic_fsm"


class ConnectionFailed(_WhereItWas, APIConnectionError):
    """No connection to Phonic came about."""

    __module__ = "phonic_fsm"


class ConnectionLost(ConnectionFailed):
    """The connection was lost: it is being resumed, or could not be."""

    __module__ = "phonic_fsm"


class ReplyFailed(_WhereItWas, llm.RealtimeError):
    """A reply that was asked for will not come: ``code`` is ``timed_out``, ``declined`` (the
    assistant chose not to respond) or ``closed``."""

    __module__ = "phonic_fsm"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.message = message


class ReplyTimedOut(ReplyFailed):
    """A reply that was asked for has not begun in time."""

    __module__ = "phonic_fsm"


def failure_for(effect: RejectReply, where: str) -> ReplyFailed:
    """The exception that the reply's future gets."""
    kind = ReplyTimedOut if effect.reason == "timed_out" else ReplyFailed
    failure = kind(effect.problem, code=effect.reason)
    failure.where = where
    return failure


def error_for(effect: EmitError, where: str) -> APIError:
    """The exception that the emitted ``RealtimeModelError`` carries."""
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
    if kind == "conversation_ended":
        return ConversationEnded(problem, body=body, retryable=False)
    return PhonicError(problem, body=body, retryable=recoverable)
