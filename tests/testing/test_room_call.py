"""What a caller in a room says of itself without one. Rooms themselves are in ``tests/room``."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonic_fsm.simulator import speak
from phonic_fsm.testing import LiveKitMissing, LiveKitServer, RoomCall
from phonic_fsm.testing._ear import Ear

RATE = 24_000
SILENCE = b"\0\0" * RATE


@pytest.fixture(autouse=True)
def _no_livekit_from_outside(monkeypatch):
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "no LiveKit server: give url, or set LIVEKIT_URL"),
        ({"url": "ws://127.0.0.1:1"}, "no credentials: give token, or api_key and api_secret"),
        ({"url": "ws://127.0.0.1:1", "api_key": "key"}, "no credentials"),
        ({"url": "ws://127.0.0.1:1", "token": "t", "room": "r"}, "leave room and agent_name out"),
        ({"url": "ws://127.0.0.1:1", "token": "t", "agent_name": "a"}, "leave room and agent_name"),
    ],
)
def test_what_a_call_lacks_is_named(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        RoomCall(**arguments)


def test_the_environment_says_what_the_arguments_do_not(monkeypatch):
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:1")
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "secret" * 8)
    RoomCall()


def test_a_missing_server_says_how_to_install_one(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GOBIN", str(tmp_path))
    with pytest.raises(LiveKitMissing, match="go install github"):
        LiveKitServer()


def test_another_program_of_go_is_not_taken_for_the_server(monkeypatch, tmp_path):
    (tmp_path / "server").write_text("#!/bin/sh\necho nginx\n", encoding="utf-8")
    (tmp_path / "server").chmod(0o755)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("GOBIN", str(tmp_path))
    with pytest.raises(LiveKitMissing):
        LiveKitServer()


def test_the_checks_install_the_server_that_the_message_names():
    script = (Path(__file__).parents[2] / ".ci" / "run").read_text(encoding="utf-8")
    assert str(LiveKitMissing()).removeprefix("no LiveKit server is installed: ") in script


def test_an_ear_tells_one_utterance_from_the_next():
    ear = Ear(RATE)
    words = speak("Hello there. How are you?", RATE)
    now = 0.0
    for pcm in (SILENCE, words.pcm, SILENCE, words.pcm, SILENCE):
        for start in range(0, len(pcm), 960):
            piece = pcm[start : start + 960]
            now += len(piece) / 2 / RATE
            ear.hear(piece, now)
    first, second = ear.stretches
    assert first.began == pytest.approx(1.0, abs=0.05)
    assert first.ended == pytest.approx(1.0 + words.duration_ms / 1000, abs=0.1)
    assert second.began == pytest.approx(2.0 + words.duration_ms / 1000, abs=0.05)
    assert ear.silence == pytest.approx(1.0, abs=0.1)
    assert ear.recording().seconds == pytest.approx(now, abs=0.001)
