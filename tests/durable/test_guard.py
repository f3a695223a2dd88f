"""``phonic-fsm guard``: what it says of what it cannot use. What it does is in tests/room."""

from __future__ import annotations

import pytest
from support import commands
from support.commands import assert_is_one_line_and_exit_2

from phonic_fsm.durable import guard

KEY = {
    "LIVEKIT_URL": "ws://127.0.0.1:1",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "a secret",
}


@pytest.mark.parametrize("missing", KEY)
def test_livekits_address_and_key_are_asked_for(tmp_path, monkeypatch, missing):
    for name in KEY:
        monkeypatch.delenv(name, raising=False)
    for name, value in KEY.items():
        if name != missing:
            monkeypatch.setenv(name, value)
    assert_is_one_line_and_exit_2(commands.run("guard", tmp_path), says=f"set {missing}")
    with pytest.raises(ValueError, match=f"set {missing}"):
        guard(tmp_path)


def test_an_address_of_livekits_with_credentials_is_refused_and_not_shown(tmp_path):
    with pytest.raises(ValueError, match="must hold no credentials") as raised:
        guard(tmp_path, url="wss://me:s3cret@host", api_key="key", api_secret="a secret")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("http://:secret@host/", "in redis:// or rediss://"),
        ("redis://:secret@host:port/", "the address of Redis cannot be read"),
        ("", "journals are kept in a directory"),
    ],
)
def test_a_place_that_is_none_is_one_line(monkeypatch, place, says):
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    result = commands.run("guard", place)
    assert_is_one_line_and_exit_2(result, says=says)
    assert "secret" not in result.stderr
