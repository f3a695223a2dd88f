"""The replies that LiveKit or the author has asked for, each a future.

The machine decides when a request is sent and which answer is its reply. Here are the futures, and
the streams of text that ``say`` reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Any

from livekit.agents import llm
from msgspec import UnsetType

from .._core import effects, events
from .._runtime.log import logger
from .._runtime.printable import printable
from .._runtime.secrets import Secrets
from . import chat
from .errors import ReplyFailed, failure_for

Reply = asyncio.Future[llm.GenerationCreatedEvent]

NOTHING_TO_SAY = "there is nothing to say: the text is empty"

LONGEST_FAREWELL = 0.5
"""Seconds in which a stream has to end that is cancelled, as the session is closed."""


class Replies:
    """The replies of one session."""

    def __init__(
        self,
        prefix: str,
        secrets: Secrets,
        *,
        dispatch: Callable[[events.Event], None],
        dispatch_unattended: Callable[[events.Event], None],
        answer: Callable[[], llm.GenerationCreatedEvent],
        circumstances: Callable[[], str],
    ) -> None:
        """``prefix`` begins the ids of requests, ``answer`` returns the newest generation, and
        ``circumstances`` what an error says of the session."""
        self._prefix = prefix
        self._secrets = secrets
        self._dispatch = dispatch
        self._dispatch_unattended = dispatch_unattended
        self._answer = answer
        self._circumstances = circumstances
        self._pending: dict[str, Reply] = {}
        self._requests = 0
        self._collecting: set[asyncio.Task[None]] = set()
        """One task for each stream of text that ``say`` reads."""

    def generate(self, instructions: str | None) -> Reply:
        """Ask for a reply."""
        request_id, reply = self._new()
        self._dispatch(events.GenerateReply(request_id, instructions))
        return reply

    def say(self, text: str | AsyncIterable[str], interruptible: bool | UnsetType) -> Reply:
        """Ask for this text to be spoken."""
        request_id, reply = self._new()
        if isinstance(text, str):
            if text.strip():
                self._dispatch(events.Say(request_id, chat.utf8(text), interruptible))
            else:
                self._fail(request_id, ReplyFailed(NOTHING_TO_SAY, code="blank"))
            return reply
        self._dispatch(events.Say(request_id, "", interruptible, complete=False))
        if not reply.done():
            collecting = asyncio.create_task(self._collect(request_id, reply, text))
            self._collecting.add(collecting)
            collecting.add_done_callback(self._collecting.discard)
        return reply

    async def streams_ended(self) -> None:
        """Return when the streams have ended, which are cancelled as the session is closed."""
        if self._collecting:
            _, left = await asyncio.wait(self._collecting, timeout=LONGEST_FAREWELL)
            if left:
                logger.warning("a stream of text for say() goes on although it was cancelled")

    async def _collect(self, request_id: str, reply: Reply, text: AsyncIterable[str]) -> None:
        """Read a stream of text to its end, for ``say``."""
        collecting = asyncio.current_task()
        assert collecting is not None
        # The reply was cancelled or superseded, or the session closed: the text is not needed.
        reply.add_done_callback(lambda _: collecting.cancel())
        say_more = self._dispatch_unattended
        has_words = False
        try:
            async for part in text:
                if reply.done():  # The stream goes on although it was cancelled.
                    return
                if not isinstance(part, str):
                    kind = type(part).__name__
                    raise TypeError(f"say: a part of the text must be str, got {kind}")
                has_words = has_words or bool(part.strip())
                say_more(events.SayMore(request_id, chat.utf8(part), complete=False))
            if not has_words:
                raise ReplyFailed(NOTHING_TO_SAY, code="blank")
        except asyncio.CancelledError:
            # If the reply is not done, the stream itself was cancelled: then the reply is, too.
            reply.cancel()
            raise
        except BaseException as error:
            if reply.done():
                said = printable(self._secrets.hide(repr(error)))
                logger.debug("a stream of text for say() raised when stopped: %s", said)
            else:
                self._fail(request_id, error)
                say_more(events.CancelReply(request_id))
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise  # The process is to end.
            return
        say_more(events.SayMore(request_id, "", complete=True))

    def _fail(self, request_id: str, error: BaseException) -> None:
        self._pending.pop(request_id).set_exception(error)

    def _new(self) -> tuple[str, Reply]:
        self._requests += 1
        request_id = f"{self._prefix}_{self._requests}"
        reply: Reply = asyncio.get_running_loop().create_future()
        self._pending[request_id] = reply

        def withdraw(done: Reply) -> None:
            if done.cancelled() and self._pending.pop(request_id, None) is not None:
                self._dispatch(events.CancelReply(request_id))

        reply.add_done_callback(withdraw)
        return request_id, reply

    def performers(self) -> dict[type[Any], Callable[[Any], None]]:
        """The methods that carry out effects."""
        return {
            effects.ResolveReply: self._resolve,
            effects.RejectReply: self._reject,
            effects.SupersedeReply: self._supersede,
        }

    def _resolve(self, effect: effects.ResolveReply) -> None:
        reply = self._pending.pop(effect.request_id, None)
        if reply is not None and not reply.done():
            reply.set_result(self._answer())

    def _reject(self, effect: effects.RejectReply) -> None:
        reply = self._pending.pop(effect.request_id, None)
        if reply is not None and not reply.done():
            failure = failure_for(self._secrets.out_of(effect), self._circumstances())
            reply.set_exception(failure)
            # The log says it if nobody looks at the future; asyncio need not complain as well.
            reply.exception()
            logger.debug("%s: %s", effect.request_id, printable(failure.message))

    def _supersede(self, effect: effects.SupersedeReply) -> None:
        reply = self._pending.pop(effect.request_id, None)
        if reply is not None:
            reply.cancel()
