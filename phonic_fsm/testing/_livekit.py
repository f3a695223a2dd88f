"""A LiveKit server on this machine, as a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import TypedDict
from urllib.request import urlopen

import anyio
import anyio.to_thread
from anyio.abc import Process

from ._leash import leashed

PACKAGE = "github.com/livekit/livekit-server/cmd/server@v1.9.11"

START_S = 20.0
"""How long the server may take to answer; 0.2 s on an idle machine."""


class LiveKitMissing(FileNotFoundError):
    """There is no LiveKit server on this machine; the message says how to install one."""

    __module__ = "phonic_fsm.testing"

    def __init__(self) -> None:
        super().__init__(f"no LiveKit server is installed: go install {PACKAGE}")


class Credentials(TypedDict):
    """What a token is signed with."""

    api_key: str
    api_secret: str


class LiveKitServer:
    """LiveKit's server on free loopback ports, with a key of its own.

    Entering it starts the server; leaving it kills it. In between it can be killed and started
    again on the same ports, to test an outage::

        async with LiveKitServer() as livekit:
            async with RoomCall(livekit.url, **livekit.credentials) as call:
                await livekit.kill()
                await livekit.start()

    It listens on loopback addresses only, and reads no configuration file.
    """

    def __init__(self, binary: str | Path | None = None) -> None:
        """Choose ports and a key.

        Args:
            binary: The server. Default: ``livekit-server`` on the ``PATH``, or else ``server`` in
                the folder into which ``go install`` puts programs.

        Raises:
            LiveKitMissing: neither is there.
        """
        found = find_server() if binary is None else Path(binary)
        if found is None:
            raise LiveKitMissing
        self._binary = found
        self._port = _free_port(socket.SOCK_STREAM)
        self.api_key = f"key-{secrets.token_hex(4)}"
        self.api_secret = secrets.token_hex(32)  # LiveKit wants 32 characters at least
        self._config = {
            "port": self._port,
            "bind_addresses": ["127.0.0.1"],
            "keys": {self.api_key: self.api_secret},
            "rtc": {
                "udp_port": _free_port(socket.SOCK_DGRAM),
                "tcp_port": 0,  # none: it would be open to the network
                "node_ip": "127.0.0.1",
                "ips": {"includes": ["127.0.0.1/32"]},
                "enable_loopback_candidate": True,
                # Otherwise clients are told to ask public STUN servers.
                "stun_servers": [f"127.0.0.1:{self._port}"],
            },
        }
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """The server's address, such as ``ws://127.0.0.1:43211``."""
        return f"ws://127.0.0.1:{self._port}"

    @property
    def credentials(self) -> Credentials:
        """The arguments ``api_key`` and ``api_secret`` of ``RoomCall``."""
        return Credentials(api_key=self.api_key, api_secret=self.api_secret)

    async def __aenter__(self) -> LiveKitServer:
        try:
            await self.start()
        except BaseException:
            await self.kill()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start the server, and return when it answers.

        Raises:
            RuntimeError: it ended at once.
            TimeoutError: it did not answer within 20 s.
        """
        self._process = await anyio.open_process(
            leashed(self._binary),
            env={**os.environ, "LIVEKIT_CONFIG": json.dumps(self._config)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with anyio.fail_after(START_S):
            # The server does not announce when it is ready.
            while not await anyio.to_thread.run_sync(_answers, self._port):
                if self._process.returncode is not None:
                    raise RuntimeError(f"{self._binary} ended with {self._process.returncode}")
                await anyio.sleep(0.02)

    async def kill(self) -> None:
        """End the server at once, as a crash would. (SIGTERM waits until everybody has left.)"""
        process, self._process = self._process, None
        if process is None:
            return
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
            await process.aclose()


def find_server() -> Path | None:
    """The path of LiveKit's server on this machine; None if there is none.

    ``go install`` names it ``server``. Other programs have that name too, so its version is asked.
    """
    on_path = shutil.which("livekit-server")
    if on_path is not None:
        return Path(on_path)
    go = Path(os.environ.get("GOPATH", Path.home() / "go"))
    built = Path(os.environ.get("GOBIN", go / "bin")) / "server"
    if not built.is_file():
        return None
    asked = subprocess.run(
        [built, "--version"], capture_output=True, text=True, timeout=20, check=False
    )
    return built if "livekit-server" in asked.stdout else None


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False
