"""One connection to Phonic, from the attempt to open it to its end.

A connection reports what happens to it as events. The session tells it what to send and when to
end; after that it reports nothing. It does not try again by itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from urllib.parse import urljoin, urlsplit

import anyio
from websockets.asyncio.client import connect
from websockets.exceptions import (
    ConnectionClosed as SocketClosed,
)
from websockets.exceptions import (
    InvalidHandshake,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
)
from websockets.frames import CloseCode
from websockets.http11 import Response
from websockets.protocol import State

from .._core.events import ConnectFailed, ConnectionClosed, ConnectionOpened, Event, RoundTrip
from .._core.timers import LONGEST_RETRY_AFTER
from .._wire.bounds import Bound
from .._wire.client import AudioChunk, ClientMessage
from .._wire.codec import cut, decode_server, encode
from . import tunnel
from .deadline import fail_after
from .endpoint import Endpoint
from .outbox import MAX_CONTROL_BYTES, Outbox
from .proxy import Proxy, UnusableProxy, proxy_for
from .secrets import Secrets
from .socket import WRITE_LIMIT, Socket

MAX_MESSAGE_BYTES = 2**20
"""A longer message from Phonic ends the connection (close code 1009). Phonic's SDK takes no longer
one either, because that is the default of ``websockets``. It is 8.9 s of audio at 44.1 kHz."""

PING_INTERVAL = 10.0
"""Seconds between pings. If a ping cannot be sent and answered within as many, the connection is
lost."""

STALLED = 2.0
"""Seconds for which a connection may take nothing while the outbox is full."""

CLOSE_TIMEOUT = 0.5
"""Seconds in which the messages that wait and the close frame can be sent. Then the socket is
dropped."""

BUSY_STATUS = 429
"""With this, Phonic says that it takes no more connections in this second."""

HOPELESS_STATUS = {
    401: "the API key is not valid; check api_key or PHONIC_API_KEY",
    403: "the API key is not allowed to do this; check the key's workspace and rights",
    404: "there is no such endpoint; check base_url or PHONIC_BASE_URL",
}

MOVED_FOR_GOOD = (301, 308)

REDIRECTS = (300, 301, 302, 303, 307, 308)

LONGEST_HOST = 100
"""Characters of the host that a redirect leads to."""

PROXY_WANTS_A_PASSWORD = 407

tunnel.mend()

# websockets logs handshake headers at DEBUG, and the key is one of them.
_socket_logger = logging.getLogger(f"{__name__}.websocket")
_socket_logger.setLevel(logging.INFO)
# The filter holds even if a program sets the level of every logger.
_socket_logger.addFilter(lambda record: record.levelno > logging.DEBUG)


class Connection:
    """One attempt to connect and, if it succeeds, the connection."""

    def __init__(
        self,
        endpoint: Endpoint,
        secrets: Secrets,
        report: Callable[[Event], None],
        *,
        resume: str | None,
        connect_timeout: float,
    ) -> None:
        self._endpoint = endpoint
        self._secrets = secrets
        self._report = report
        self._resume = resume
        self._connect_timeout = connect_timeout
        self._now = asyncio.get_running_loop().time
        self._outbox = Outbox()
        self._lost_ms = 0
        """How much of the caller's audio waited when the other side ended the connection."""
        self._leaving: tuple[ClientMessage, ...] = ()
        """The control message that was written last, while the network has not taken all of it."""
        self._scope: anyio.CancelScope | None = None
        """``None`` until ``run`` begins. A connection can be ended before that."""
        self._ended = False
        self._socket: Socket | None = None
        self._opened_at = self._now()
        """When the socket was opened (s); before that, when the attempt began."""
        self._stalled_at = 0.0
        """Since when the messages in the outbox wait and none of them leaves (s)."""
        self._unanswered = False
        self._is_held = False
        """Whether what is sent waits in the outbox, however ready the socket is."""
        self.has_audio = False
        """Whether audio was sent on it."""
        self.last_heard: float | None = None
        """When Phonic last sent a message (s, by the event loop's clock)."""
        self.lasted: float | None = None
        """For how long the socket was open (s), once Phonic or the network has ended it."""

    def send(self, message: ClientMessage) -> None:
        """Write a message at once if the socket takes it; otherwise it waits in the outbox."""
        data = encode(message)
        socket = self._socket
        if socket is not None and socket.is_flowing and not (self._outbox or self._is_held):
            self._write(socket, message, data)
        else:
            now = self._now()
            if not self._outbox:
                self._stalled_at = now
            self._outbox.put(message, data)
            if self._outbox.is_full and now - self._stalled_at > STALLED:
                # Not now: what else the present step sends must be among the unsent messages.
                asyncio.get_running_loop().call_soon(self._give_up)

    @property
    def is_flowing(self) -> bool:
        """Whether the socket takes what is sent at once."""
        socket = self._socket
        return socket is not None and socket.is_flowing and not (self._outbox or self._is_held)

    @property
    def waiting_ms(self) -> int:
        """How much of the caller's audio waits because the socket takes none."""
        return self._outbox.audio_ms

    def take_overflowed(self) -> int:
        """How much of the caller's audio (ms) was dropped since this was last called."""
        return self._outbox.take_overflowed()

    def take_lost(self) -> int:
        """How much of the caller's audio (ms) was lost with the connection, since this was last
        called."""
        lost, self._lost_ms = self._lost_ms, 0
        return lost

    def send_encoded(self, data: bytes) -> None:
        """Write audio that is encoded already; the connection must be flowing."""
        assert self._socket is not None
        self._socket.write(data)

    def _write(self, socket: Socket, message: ClientMessage, data: bytes) -> None:
        socket.write(data)
        if not isinstance(message, AudioChunk) and not socket.is_flowing:
            self._leaving = (message,)

    def _flush(self) -> None:
        """Write the messages that wait, as long as the socket takes them.

        If the connection is to end, close it after the last one.
        """
        socket = self._socket
        if socket is None or self._is_held or not socket.is_flowing:
            return
        self._leaving = ()
        while self._outbox and socket.is_flowing:
            self._write(socket, *self._outbox.pop())
        self._stalled_at = self._now()
        if self._ended and socket.is_flowing:
            socket.say_goodbye()

    def fall_silent(self) -> None:
        """Report nothing from now on."""
        self._report = _nothing

    def end(self) -> None:
        """Write the messages that wait, then close. Report nothing from now on."""
        self.fall_silent()
        self._ended = True
        if self._scope is None:
            return
        if self._socket is None:
            self._scope.cancel()
        else:
            self._scope.deadline = self._now() + CLOSE_TIMEOUT
            self._flush()

    def abandon(self) -> None:
        """Drop the socket without a close frame. Send and report nothing from now on."""
        self.fall_silent()
        self._ended = True
        self.cut()
        if self._scope is not None:
            self._scope.cancel()

    def cut(self) -> None:
        """Drop the socket without a close frame, as a network does that fails."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def run(self) -> None:
        """Open the socket, and return when either side has closed it."""
        if self._ended:
            return
        with anyio.CancelScope() as self._scope:
            began = self._now()
            opened = await self._open()
            if isinstance(opened, ConnectFailed):
                # Not where the error was caught: what a listener raises then would carry it along.
                self._report(opened)
                return
            socket = self._socket = opened
            self._opened_at = self._now()
            try:
                self._report(ConnectionOpened(round(self._opened_at - began, 6)))
                socket.start(self._receive, self._flush)
                await self._outlast(socket)
            finally:
                with suppress(AttributeError):  # CPython 3.11 raises it for a closed transport
                    socket.transport.abort()
            self._report_end(
                socket.close_code or 1006,
                socket.close_reason or self._why_it_broke(socket),
                "message_size" if _got_too_much(socket) else None,
            )

    def _give_up(self) -> None:
        """End the connection, because too much waits. Report it at once, so that no more comes."""
        self._report_end(
            1006,
            f"it takes no data for {STALLED:g} s, and over {MAX_CONTROL_BYTES // 2**20} MiB of "
            "messages wait",
            "unsent_messages",
        )
        if self._scope is not None:
            self._scope.cancel()

    def _report_end(self, code: int, reason: str, bound: Bound | None) -> None:
        report, self._report = self._report, _nothing
        unsent = self._leaving + self._outbox.control_messages()
        self._lost_ms += self._outbox.drop_audio()
        self.lasted = round(self._now() - self._opened_at, 3)
        report(ConnectionClosed(code, reason, unsent, _chance(), self.lasted, bound))

    async def _outlast(self, socket: Socket) -> None:
        """Return when the socket is closed, or when a ping is not answered."""
        # This class pings because websockets' own ping waits for ever behind what cannot be
        # written. If no answer comes, websockets sends a close frame, and if that arrives after
        # all, it ends a conversation that could have been resumed.
        try:
            while True:
                with anyio.move_on_after(PING_INTERVAL):
                    await socket.wait_closed()
                    return
                with anyio.fail_after(PING_INTERVAL):
                    seconds = await (await socket.ping())
                self._report(RoundTrip(round(seconds, 4)))
        except TimeoutError:
            self._unanswered = True
        except (SocketClosed, AttributeError):
            # The socket is closing. (CPython 3.11 raises AttributeError for a closed transport.)
            if socket.state is State.OPEN:
                raise

    def _why_it_broke(self, socket: Socket) -> str:
        """Why this side ended the connection; empty if it did not."""
        closed = socket.protocol.close_sent
        if self._unanswered:
            return f"no answer to a ping within {PING_INTERVAL:g} s"
        if closed is None or socket.protocol.close_rcvd is not None:
            return ""
        if closed.code == CloseCode.MESSAGE_TOO_BIG:
            return f"Phonic sent a message of over {MAX_MESSAGE_BYTES // 2**20} MiB"
        return closed.reason

    def _receive(self, frame: bytes | bytearray) -> None:
        self.last_heard = self._now()
        self._report(self._secrets.keep_key_out(frame, decode_server))

    async def _open(self) -> Socket | ConnectFailed:
        url, headers = self._endpoint.request(self._resume)
        try:
            proxy = None if self._endpoint.is_on_this_machine else proxy_for(url)
        except UnusableProxy as problem:
            return _failure(str(problem), retryable=False)
        if proxy is not None:
            self._secrets.learn_proxy(proxy.address)
        try:
            with fail_after(self._connect_timeout):
                socket = await _Opening(
                    url,
                    create_connection=Socket,
                    proxy=proxy and proxy.address,
                    ssl=_tls() if url.startswith("wss:") else None,
                    additional_headers=headers,
                    user_agent_header=None,
                    # base64 audio hardly shrinks, and compressing it costs more than all else.
                    compression=None,
                    max_size=MAX_MESSAGE_BYTES,
                    write_limit=WRITE_LIMIT,
                    open_timeout=None,
                    ping_interval=None,
                    close_timeout=CLOSE_TIMEOUT,
                    logger=_socket_logger,
                )
                assert isinstance(socket, Socket)
                return socket
        except InvalidStatus as error:
            return _refusal(url, error.response, self._secrets)
        except InvalidProxyStatus as error:
            return _refusal_by_proxy(proxy, error.response)
        except TimeoutError:
            way = f", through {proxy}," if proxy is not None else ""
            return _failure(f"Phonic{way} did not answer within {self._connect_timeout:g} s")
        except InvalidProxy as error:
            # Its text has the whole address.
            return _failure(f"{proxy} cannot be used: {error.msg}", retryable=False)
        except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
            way = f" through {proxy}" if proxy is not None else ""
            return _failure(f"no connection to {self._endpoint.base_url}{way}: {_one_line(error)}")


class _Opening(connect):
    """Opens a websocket, and follows no redirect: key and conversation are for one host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _refusal(url: str, response: Response, secrets: Secrets) -> ConnectFailed:
    status = response.status_code
    problem = f"Phonic refused the connection with HTTP {status}"
    advice = HOPELESS_STATUS.get(status)
    if status in REDIRECTS:
        # Without secrets first: of one with a slash in it, the host would be a part.
        location = _header(response, "Location")
        target = _target(url, location and secrets.hide(location))
        advice = (
            f"a redirect to {target}, which is not followed; if that is the right "
            "server, set base_url or PHONIC_BASE_URL"
        )
    return _failure(
        f"{problem}: {advice}" if advice else problem,
        retryable=status not in HOPELESS_STATUS and status not in MOVED_FOR_GOOD,
        retry_after=_seconds(_header(response, "Retry-After")),
        busy=status == BUSY_STATUS,
    )


def _refusal_by_proxy(proxy: Proxy | None, response: Response) -> ConnectFailed:
    status = response.status_code
    problem = f"{proxy} refused the connection with HTTP {status}"
    if status == PROXY_WANTS_A_PASSWORD:
        return _failure(f"{problem}: check user and password in its address", retryable=False)
    return _failure(problem)


def _target(url: str, location: str | None) -> str:
    """The host that a redirect leads to. The rest of its address may hold secrets."""
    if location is None:
        return "no address"
    try:
        host = urlsplit(urljoin(url, location)).hostname
    except ValueError:
        host = None
    return f"host {cut(host, LONGEST_HOST)}" if host else "an address that cannot be read"


def _header(response: Response, name: str) -> str | None:
    """The header's value; of several, the first."""
    return next(iter(response.headers.get_all(name)), None)


def _failure(
    problem: str,
    *,
    retryable: bool = True,
    retry_after: float | None = None,
    busy: bool = False,
) -> ConnectFailed:
    return ConnectFailed(problem, retryable, retry_after, _chance(), busy)


def _got_too_much(socket: Socket) -> bool:
    """Whether this side has ended the connection, because of a message that is too long."""
    protocol = socket.protocol
    sent = protocol.close_sent
    return (
        sent is not None
        and sent.code == CloseCode.MESSAGE_TOO_BIG
        and not protocol.close_rcvd_then_sent
    )


@cache
def _tls() -> ssl.SSLContext:
    """One context for the process: reading the system's certificates takes long."""
    return ssl.create_default_context()


def _chance() -> float:
    return round(random.random(), 3)


def _nothing(_: Event) -> None:
    """Takes the reports of a connection that has been told to end."""


def _seconds(retry_after: str | None) -> float | None:
    """The header's value in seconds; ``None`` if it is a date, which hardly any server sends."""
    if retry_after is None or not retry_after.isdecimal():
        return None
    return min(float(retry_after), LONGEST_RETRY_AFTER)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
