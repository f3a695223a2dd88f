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
from websockets.frames import DATA_OPCODES, Frame
from websockets.http11 import Response
from websockets.protocol import State

READ_BYTES = 32 * 2**10
"""What is read of one socket before others get their turn: 24 chunks of 24 kHz. Further data wait
in the kernel, whose flow control slows the server down."""


class _ReadBuffer(threading.local):
    """One for all sockets of an event loop: what was read is taken before more is read."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BYTES))


_read_buffer = _ReadBuffer()


class Socket(ClientConnection, asyncio.BufferedProtocol):
    """A client's websocket whose messages go to the function that ``start`` names."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fragments = bytearray()
        self._early: list[bytes | bytearray] = []
        """Messages that came with the handshake's answer."""
        self._hand_over: Callable[[bytes | bytearray], None] = self._early.append

    def start(self, hand_over: Callable[[bytes | bytearray], None]) -> None:
        """Have every message handed over, those that have come already at once.

        The function is called from the event loop and must not raise.
        """
        self._hand_over = hand_over
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
    def is_closing(self) -> bool:
        """Whether what is written now would be swallowed."""
        try:
            return self.transport.is_closing()
        except AttributeError:  # CPython 3.10: of a TLS transport that is closed
            return True

    @property
    def is_flowing(self) -> bool:
        """Whether all that was written has left for the network."""
        return (
            self.protocol.state is State.OPEN
            and not self.is_closing
            and not self.transport.get_write_buffer_size()
        )

    def write(self, text: bytes) -> None:
        """Write a message of UTF-8 while the socket is flowing, without waiting."""
        # What send() does too, without a task that has to wake up for it.
        self.protocol.send_text(text)
        self.send_data()
