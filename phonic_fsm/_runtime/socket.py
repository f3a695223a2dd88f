"""The websocket, with the two short ways that audio wants: no task wakes up to read, none to write.

A message is handed over in the turn of the event loop in which it was read. What is written goes
to the network at once; whether that takes more is for the writer to ask. All else, from handshake
to closing, is websockets' own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import DATA_OPCODES, CloseCode, Frame
from websockets.http11 import Response
from websockets.protocol import State

READ_BYTES = 32 * 2**10
"""What is read of one socket before others get their turn: 24 chunks of 24 kHz. Further data wait
in the kernel, whose flow control slows the server down."""

WRITE_LIMIT = (1, 0)
"""Bytes that wait for the network when writing is paused, and when it is resumed. (A first of 0
would be reached by nothing at all, over TLS.)"""


class _ReadBuffer(threading.local):
    """One for all sockets of an event loop: what was read is taken before more is read."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BYTES))


_read_buffer = _ReadBuffer()


class Socket(ClientConnection, asyncio.BufferedProtocol):
    """A client's websocket that works with two functions instead of tasks; see ``start``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fragments = bytearray()
        self._early: list[bytes | bytearray] = []
        """Messages that came with the handshake's answer."""
        self._hand_over: Callable[[bytes | bytearray], None] = self._early.append
        self._flows: Callable[[], None] | None = None

    def start(
        self, hand_over: Callable[[bytes | bytearray], None], flows: Callable[[], None]
    ) -> None:
        """Call ``hand_over`` with every message, ``flows`` whenever the socket takes more to write.

        Both are called from the event loop and must not raise. What has come already is handed
        over at once, and the socket may take something to write.
        """
        self._hand_over, self._flows = hand_over, flows
        flows()
        for message in self._early:
            hand_over(message)
        self._early.clear()

    # -- asyncio.BufferedProtocol ----------------------------------------------------------------

    def get_buffer(self, _: int) -> memoryview:
        return _read_buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(_read_buffer.view[:nbytes])  # type: ignore[arg-type]  # copied there

    # -- websockets ------------------------------------------------------------------------------

    def process_event(self, event: Frame | Response) -> None:  # type: ignore[override]
        """Take what was read: a message, a part of one, or what websockets itself wants to see."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
        elif event.fin and not self._fragments:
            self._hand_over(event.data)  # type: ignore[arg-type]  # what is read is no memoryview
        else:
            self._fragments += event.data
            if event.fin:
                message, self._fragments = self._fragments, bytearray()
                self._hand_over(message)

    # -- writing ---------------------------------------------------------------------------------

    @property
    def is_flowing(self) -> bool:
        """Whether all that was written has left for the network, which takes more."""
        try:
            # A closing transport would swallow what is written.
            return (
                self.protocol.state is State.OPEN
                and not self.paused
                and not self.transport.is_closing()
            )
        except AttributeError:  # CPython 3.10: of a TLS transport that is closed
            return False

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._flows is not None:
            self._flows()

    def write(self, text: bytes) -> None:
        """Write a message of UTF-8 while the socket is flowing, without waiting."""
        # What send() does too, without a task that has to wake up for it.
        self.protocol.send_text(text)
        self.send_data()

    def say_goodbye(self) -> None:
        """Begin the closing handshake while the socket is flowing, without waiting for its end."""
        self.protocol.send_close(CloseCode.NORMAL_CLOSURE)
        self.send_data()
