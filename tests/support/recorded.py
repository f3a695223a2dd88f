"""A recorded session that has seen everything, and the lines of a trace."""

from __future__ import annotations

import json

from livekit.agents import function_tool, llm
from support.scripted import conversation, settle

from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic


@function_tool
async def look_up_weather(city: str) -> str:
    """Look the weather up."""
    return city


def lines_of(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


async def whole_call(make_model, server, trace):
    """A session that has seen turns, a call, a handoff, trouble, a resume and its end."""
    model = make_model(trace=trace, phonic_tools=["web_search"], boosted_keywords=["LiveKit"])
    async with conversation(model, server, tools=[look_up_weather]) as (session, peer, emitted):
        await peer.speak("Good ", "morning.")
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.send(phonic.InputText("Is it sunny?"))
        await peer.send_raw('{"type":"brand_new"}')
        await peer.send_raw("not JSON")
        await peer.send(phonic.Error(phonic.Problem("Oh.", "oh"), {"a": "b"}))
        await peer.send(phonic.ToolCall("c1", "look_up_weather", {"city": "Rome", "n": [1, None]}))
        await emitted.state("tool_pending")
        context = session.chat_ctx
        context.items.append(llm.FunctionCallOutput(call_id="c1", output="yes", is_error=False))
        await session.update_chat_ctx(context)
        await peer.expect(client.ToolCallOutput)
        await peer.send(
            phonic.ToolCallOutputProcessed(
                tool_call_id="c1", tool=phonic.CalledTool("t", "look_up_weather"), output={"x": 1}
            )
        )
        await peer.speak("It is.")
        await settle(peer, emitted)
        session.generate_reply(instructions="Go on.")
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(b"\1\0\5", "So"))
        await emitted.state("speaking")
        session.interrupt()
        await session._update_session(
            instructions="You listen.", chat_ctx=session.chat_ctx, tools=[]
        )
        await peer.expect(client.Reset)
        peer.cut()
        await emitted.state("reconnecting")
        session.say("Are you there?").cancel()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        await resumed.send(phonic.AssistantEndedConversation())
        await emitted.state("closed")
