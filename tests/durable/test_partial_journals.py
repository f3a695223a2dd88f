"""Journals of which a recovery cannot use all: it says so, and uses the rest."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest
from durable.test_fold import Written
from durable.test_stores import ME

from phonic_fsm import RealtimeModel
from phonic_fsm._core import events
from phonic_fsm._core.context import Settings
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace import TraceReader
from phonic_fsm.trace._lines import StepLines
from phonic_fsm.trace._rewriting import redacted

pytestmark = pytest.mark.anyio

ENDPOINT = {
    "url": "https://example.com/config?token=very-secret",
    "headers": {"Authorization": "Bearer very-secret"},
}
SETTINGS = Settings(id_seed="seed", config=ConfigOptions(configuration_endpoint=ENDPOINT))


@pytest.fixture
def place(directory):
    return directory


@pytest.fixture
def written():
    """The lines of a call in which the caller has asked something."""
    call = Written(SETTINGS)
    for event in (
        events.Open(),
        events.UpdateSession(instructions="Be kind.", tools=(), items=()),
        events.ConnectionOpened(),
        phonic.ConversationCreated("conv_1"),
        phonic.ReadyToStartConversation(),
        phonic.InputText("When do you open?"),
    ):
        call.take(0.1, event)
    return call.lines


@pytest.fixture
def recovered(store, place, make_model):
    """What ``recover`` returns for a journal of these lines, and the model."""

    async def recovered(lines, **options):
        journal = store.begin("call", ME)
        journal.append(b"".join(lines))
        journal.release()
        model = make_model(journal=place, **options)
        return await model.recover("call"), model

    return recovered


def texts(past):
    return [item.text_content for item in past.chat_ctx.items if item.type == "message"]


@pytest.mark.parametrize("reason", ["size_limit", "overrun"])
async def test_what_comes_before_its_early_end_is_used(recovered, written, reason, caplog):
    end = StepLines(SETTINGS, Secrets("key")).end(reason)
    past, model = await recovered([*written, end])
    assert (past.conversation_id, texts(past)) == ("conv_1", ["When do you open?"])
    assert "the journal call is not complete; the call goes on from what it has" in caplog.text
    await model.aclose()


async def test_of_a_redacted_one_only_the_conversation_is_used(
    recovered, written, tmp_path, caplog
):
    path = tmp_path / "call.jsonl"
    path.write_bytes(b"".join(written))
    lines = [msgspec.json.encode(line) + b"\n" for line in redacted(TraceReader(path))]
    past, model = await recovered(lines)
    assert (past.conversation_id, texts(past)) == ("conv_1", [])
    assert "the journal call cannot be read, so the call goes on by its conversation" in caplog.text
    assert "it is redacted" in caplog.text
    await model.aclose()


async def test_what_is_masked_in_it_comes_from_the_model(recovered, written, server):
    assert b"very-secret" not in b"".join(written)
    past, model = await recovered(written, configuration_endpoint=ENDPOINT)
    session = model.session()
    try:
        await session.update_chat_ctx(past.chat_ctx)
        await session._update_session(instructions="Be kind.", tools=[])
        resumed = await server.accept()
        assert "reconnect_conv_id=conv_1" in resumed.path
        await resumed.close(4800)
        afresh = await server.accept()
        assert (await afresh.expect(client.Config)).configuration_endpoint == ENDPOINT
    finally:
        await session.aclose()


async def test_no_gap_is_less_than_nothing_where_the_clock_was_set_back(recovered, written):
    header = msgspec.json.decode(written[0])
    later = datetime.fromisoformat(header["started"]) + timedelta(minutes=1)
    header["started"] = later.isoformat()
    written[0] = msgspec.json.encode(header) + b"\n"
    past, model = await recovered(written)
    assert (past.gap, texts(past)) == (0.0, ["When do you open?"])
    await model.aclose()


@pytest.mark.parametrize("place", [str, 5, b"journals"], ids=["function", "number", "bytes"])
def test_what_is_no_place_is_an_error(place):
    with pytest.raises(ValueError, match="journals are kept in a directory, or in redis://"):
        RealtimeModel(api_key="test", journal=place)
