"""``phonic-fsm guard``: what it says of what it cannot use, and how it asks. What it does is in
tests/room."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from livekit import api
from support import commands
from support.commands import assert_is_one_line_and_exit_2

from phonic_fsm.durable import _store, guard, journals
from phonic_fsm.durable._guard import ASKED_AT_ONCE, Guard
from phonic_fsm.durable._judge import POISONOUS
from phonic_fsm.durable._process import this_process

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


@pytest.mark.anyio
async def test_a_call_that_is_given_up_goes_on_to_say_whose_it_was(store, own, caplog, monkeypatch):
    monkeypatch.setattr(_store, "LASTING_SECONDS", 3600.0)  # on a busy machine, too
    for number in range(1, POISONOUS + 1):
        owner = own("begin" if number == 1 else "take_over", "call", "blue")
        assert owner.said() == str(number)
        owner.kill()
    async with api.LiveKitAPI("http://127.0.0.1:1", "key", "secret" * 6) as livekit:
        await Guard(store, livekit).look()
    found = store.status("call")
    assert (found.held, found.holder.room, found.holder.pid) == ("ended", "blue", owner.pid)
    assert "the call in room blue is given up: 3 processes in a row" in caplog.text


@pytest.mark.anyio
async def test_livekit_is_asked_about_a_few_of_many_dead_calls_at_a_time(tmp_path):
    store = journals(tmp_path / "journals")
    rooms = {f"room-{number}" for number in range(ASKED_AT_ONCE + 30)}
    for room in rooms:
        store.begin(room, this_process(room=room)).release()
    asked: set[str] = set()
    waiting, most = 0, 0
    is_full = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        nonlocal waiting, most
        asked.add(api.ListParticipantsRequest.FromString(await request.read()).room)
        waiting += 1
        most = max(most, waiting)
        if waiting == ASKED_AT_ONCE:
            is_full.set()
        await is_full.wait()
        await asyncio.sleep(0.1)  # more would come now
        waiting -= 1
        return web.Response(content_type="application/protobuf")

    app = web.Application()
    app.router.add_post("/twirp/livekit.RoomService/ListParticipants", answer)
    server = web.AppRunner(app)
    await server.setup()
    try:
        await web.TCPSite(server, "127.0.0.1", 0).start()
        host, port = server.addresses[0]
        async with api.LiveKitAPI(f"http://{host}:{port}", "key", "secret" * 6) as livekit:
            await Guard(store, livekit).look()
    finally:
        await server.cleanup()
    assert (asked, most) == (rooms, ASKED_AT_ONCE)
