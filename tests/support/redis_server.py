"""A real Redis on a free loopback port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pytest
from redis import Redis

from phonic_fsm.testing._leash import leashed

from .ports import free_port
from .processes import LONGEST


class RedisServer:
    """Entering it starts the server, leaving it kills it; skips the test where none is installed.

    ``options`` are those of its command line.
    """

    def __init__(
        self, folder: Path, *options: object, port: int = 0, scheme: str = "redis"
    ) -> None:
        self.port = port or free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}/0"
        self.options = options
        self._folder = folder
        self._scheme = scheme
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return when it answers."""
        server = shutil.which("redis-server")
        if server is None:
            pytest.skip("no Redis is installed: apt-get install redis-server")
        self._folder.mkdir(exist_ok=True)
        tls = ("--port", 0, "--tls-port", self.port)
        ports = tls if self._scheme == "rediss" else ("--port", self.port)
        usual = ("--bind", "127.0.0.1", "--save", "", "--dir", self._folder)
        self._process = subprocess.Popen(
            leashed(server, *ports, *usual, *self.options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + LONGEST
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, "Redis did not start"
            assert time.monotonic() < until, "Redis does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Let it stand still: it takes connections and answers nothing."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def client(self) -> Redis:
        return Redis.from_url(self.url)


class LossyWire:
    """Leads to a Redis. It loses answers to scripts when it is told to, and can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0"
        self.loses = 0
        """How many of the next answers to scripts are lost, each with its connection."""
        self.is_cut = False
        """Whether nothing gets through."""
        self.cut_at: bytes | None = None
        """It is cut when this is to be sent over it."""
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._port))
        with client, server, suppress(OSError):
            while question := client.recv(2**20):
                if self.cut_at is not None and self.cut_at in question:
                    self.cut_at, self.is_cut = None, True
                if self.is_cut:
                    return
                server.sendall(question)
                answer = server.recv(2**20)
                if self.loses and b"EVALSHA" in question and b"NOSCRIPT" not in answer:
                    self.loses -= 1
                    return
                client.sendall(answer)
