"""What the table's rows do: change the context, append effects, decide nothing about states.

The first line of each docstring is the row's text in ``docs/state-diagram.md``.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, structs

from ..wire import client, server
from ..wire.codec import MalformedMessage, UnknownMessage
from ..wire.config import DEFAULT_FORMAT, SAMPLING
from . import events, outgoing, timers
from .context import Change, Context, Generation, Reply
from .conversation import FunctionCall, FunctionCallOutput, Message
from .effects import (
    AddItem,
    AnnounceGeneration,
    Connect,
    CorrectMessage,
    Disconnect,
    EmitConnected,
    EmitDtmf,
    EmitError,
    EmitReconnected,
    EmitSpeechStarted,
    EmitTimings,
    EmitToolCallSettled,
    EmitTranscript,
    ErrorKind,
    Log,
    OpenGeneration,
    PrepareGeneration,
    PushAudio,
    PushFunctionCall,
    PushText,
    RejectReply,
    ResolveReply,
    Send,
    SetAudioGate,
    StartTimer,
    StopTimer,
    SupersedeReply,
    ToolCallOutcome,
)
from .events import Event
from .guards import (
    MAX_TURN_SECONDS,
    answer_has_not_begun,
    changes_of,
    refused_outputs,
)
from .prompt import render_late_output
from .timers import pause
from .turns import announce_unclaimed, ask, await_reply, end_reply, end_turn, end_user_speech
from .wording import complaint, trouble

# -- connecting ----------------------------------------------------------------------------------


def connect(context: Context, event: Event) -> None:
    """Open a socket."""
    context.put(Connect())


def resume(context: Context, event: Event) -> None:
    """Open a socket to resume the conversation."""
    context.put(Connect(resume=context.conversation_id))


def resume_soon(context: Context, event: events.ConnectionClosed) -> None:
    """Open a socket to resume the conversation: at once, but after drops in a row later."""
    context.drops += 1
    if context.drops == 1:
        resume(context, event)
    else:
        context.put(StartTimer(timers.RETRY_DUE, pause(context, context.drops - 1, event)))


def retry_later(context: Context, event: events.ConnectFailed | events.ConnectionClosed) -> None:
    """Announce a recoverable error and try again after a pause."""
    context.attempts += 1
    seconds = pause(context, context.attempts, event)
    context.put(
        StopTimer(timers.ANSWER_OVERDUE),
        EmitError(
            "connect_failed",
            f"{trouble(event)}; attempt {context.attempts + 1} of "
            f"{context.settings.max_retries + 1} in {seconds:g} s",
            recoverable=True,
        ),
        StartTimer(timers.RETRY_DUE, seconds),
    )


def await_answer(context: Context, event: Event) -> None:
    """Wait, for a while, until the server says that the conversation goes on."""
    context.put(StartTimer(timers.ANSWER_OVERDUE, context.settings.answer_timeout))


def send_config(context: Context, event: Event) -> None:
    """Send the config, once, with the conversation so far in the prompt."""
    # It begins a conversation of its own, which has yet to be named.
    context.conversation_id = None
    options = outgoing.config_for(context, welcome=not context.continuing)
    context.put(
        Send(client.Config(**structs.asdict(options))),
        StartTimer(timers.ANSWER_OVERDUE, context.settings.answer_timeout),
    )


def become_ready(context: Context, event: Event) -> None:
    """Let messages and the caller's audio through; what waited goes first."""
    context.attempts = 0
    context.gate = "open"
    context.put(StopTimer(timers.ANSWER_OVERDUE))
    _set_hearing(context)
    if context.continuing:
        context.continuing = False
        context.put(EmitReconnected())
    outgoing.release(context)


def go_on(context: Context, event: Event) -> None:
    """Send again what the server may have missed, then let everything through."""
    context.attempts = 0
    context.gate = "open"
    context.put(
        StopTimer(timers.ANSWER_OVERDUE),
        StopTimer(timers.GRACE_OVER),
        *map(Send, context.unacknowledged.values()),
    )
    if context.push_to_talk:
        # Audio first: the caller may have let go meanwhile.
        _set_hearing(context)
        outgoing.release(context)
    else:
        outgoing.release(context)
        context.put(SetAudioGate("open"))
    context.put(EmitReconnected())
    if context.reply is not None:
        await_reply(context, first=timers.SOON)


def hold_everything(context: Context, event: events.ConnectionClosed) -> None:
    """Close the open generation as interrupted; keep messages and the newest 2 s of audio."""
    if context.generation is not None and context.reply is None:
        # Phonic may go on with it after a resume. If it does not, it is asked to.
        context.reply = Reply(None, client.GenerateReply(), sent=True)
    end_turn(context, interrupted=True)
    end_user_speech(context)
    context.gate = "holding"
    context.held.extend(event.unsent)
    for message in event.unsent:
        if isinstance(message, client.ToolCallOutput):
            context.unacknowledged.pop(message.tool_call_id, None)
    context.put(
        SetAudioGate("holding"),
        EmitError("connection_lost", f"{trouble(event)}; resuming", recoverable=True),
        StartTimer(timers.GRACE_OVER, timers.GRACE),
    )


def start_afresh(context: Context, event: Event) -> None:
    """Give the lost conversation up and carry what was said into a fresh one, in one attempt."""
    context.attempts = context.settings.max_retries
    problem = f"the conversation could not be resumed ({trouble(event)}); starting afresh"
    _begin_anew(context, problem)


def restart(context: Context, event: events.Restart) -> None:
    """Give the conversation up, on request, and carry what was said into a fresh one."""
    end_turn(context, interrupted=True)
    end_user_speech(context)
    context.attempts = 0
    _begin_anew(context, "the conversation is restarted")


def name_overdue_state(context: Context, event: events.StateOverdue) -> None:
    """Warn, and say what is awaited."""
    awaited = []
    if context.pending_calls:
        calls = ", ".join(f"{name} ({call})" for call, name in context.pending_calls.items())
        awaited.append(f"the output of {calls}")
    if context.reply is not None:
        awaited.append("a reply that was asked for")
    for_what = f"; awaited: {' and '.join(awaited)}" if awaited else ""
    context.put(
        Log(
            "warning",
            f"the session has been in {context.state.value} for {event.seconds:g} s{for_what}",
        )
    )


def report_connection(context: Context, event: events.ConnectionOpened) -> None:
    """Report how long connecting took."""
    context.put(EmitConnected(event.seconds))


def note_conversation(context: Context, event: server.ConversationCreated) -> None:
    """Remember the conversation's id, by which it can be resumed."""
    context.conversation_id = event.conversation_id
    context.put(Log("info", f"Phonic conversation {event.conversation_id}"))


# -- settings ------------------------------------------------------------------------------------


def take_inputs(context: Context, event: events.SettingsEvent) -> None:
    """Take the instructions, tools or history for the config."""
    _take(context, event)


def note_changes(context: Context, event: events.SettingsEvent | events.ClearAudio) -> None:
    """Note what changed; it goes out at the end of the tick, in one message."""
    context.changes |= _take(context, event)
    if context.changes and context.gate == "open":
        context.put(StartTimer(timers.CHANGES_DUE, 0.0))


def end_turns(context: Context, event: Event) -> None:
    """Close the open generation as interrupted: a reset is about to start a fresh turn."""
    end_turn(context, interrupted=True)
    end_user_speech(context)
    context.discarding = True


def drop_former_agent(context: Context, event: events.UpdateSession) -> None:
    """Forget the calls and the typed text of the agent that hands over."""
    context.pending_calls.clear()
    context.typed.clear()


def take_external_id(context: Context, event: events.SetExternalId) -> None:
    """Put the user's own id of the conversation into the config."""
    context.config = structs.replace(context.config, external_id=event.external_id)


def set_external_id(context: Context, event: events.SetExternalId) -> None:
    """Tell Phonic the user's own id of the conversation."""
    take_external_id(context, event)
    outgoing.deliver(context, client.SetExternalId(event.external_id))


def tell_changes(context: Context, event: Event) -> None:
    """Send what changed: the prompt, the tools, or a reset for more than one of them."""
    outgoing.tell_changes(context)


# -- the caller ----------------------------------------------------------------------------------


def hear_user_start(context: Context, event: Event) -> None:
    """Announce the caller's speech and close the open generation as interrupted."""
    hear_user_over_assistant(context, event)
    end_turn(context, interrupted=True)


def hear_user_over_assistant(context: Context, event: Event) -> None:
    """Announce the caller's speech; the assistant goes on until Phonic says otherwise."""
    context.discarding = False
    context.last_transcript_id = None
    if not context.user_speaking:
        context.user_speaking = True
        context.put(EmitSpeechStarted())


def hear_user_stop(context: Context, event: Event) -> None:
    """Announce the end of the caller's speech."""
    end_user_speech(context)


def take_transcript(context: Context, event: server.InputText) -> None:
    """Announce the transcript and put it into the chat context, under the same id."""
    context.drops = 0
    item_id = context.next_id("PI_")
    message = Message(item_id, "user", event.text)
    context.conversation.add(message)
    context.last_transcript_id = item_id
    context.put(EmitTranscript(item_id, event.text), AddItem(message))


def cancel_input(context: Context, event: server.InputCancelled) -> None:
    """End the caller's speech and take its words back: a blank transcript replaces them."""
    end_user_speech(context)
    item_id = context.last_transcript_id
    if item_id is not None:
        context.last_transcript_id = None
        context.conversation.remove(item_id)
        context.put(EmitTranscript(item_id, ""), CorrectMessage(item_id, ""))


# -- push-to-talk --------------------------------------------------------------------------------


def hear_caller(context: Context, event: Event) -> None:
    """Have Phonic listen, from the beginning of what was kept of the caller's audio."""
    outgoing.listen(context)


def note_floor(context: Context, event: Event) -> None:
    """Have Phonic listen as soon as it is ready."""
    context.muted = False


def commit_audio(context: Context, event: events.CommitAudio) -> None:
    """Send the rest of the caller's audio and have Phonic answer."""
    if context.reply is None:
        context.reply = Reply(None, client.Mute())
        await_reply(context)
    if context.gate == "open":
        context.reply.sent = True
        outgoing.stop_listening(context)


def drop_kept_audio(context: Context, event: events.ClearAudio) -> None:
    """Drop what was kept of the caller's audio."""
    context.put(SetAudioGate("closed"), SetAudioGate("holding"))


def claim_answer(context: Context, event: events.GenerateReply) -> None:
    """Announce the answer as the reply that is asked for."""
    response_id = context.unclaimed
    assert response_id is not None
    context.unclaimed = None
    context.put(
        StopTimer(timers.ANSWER_UNCLAIMED),
        AnnounceGeneration(response_id, user_initiated=True),
        ResolveReply(event.request_id, response_id),
    )


def announce_answer(context: Context, event: Event) -> None:
    """Announce the answer as a turn like any other."""
    announce_unclaimed(context)


def adopt_reply(context: Context, event: events.GenerateReply) -> None:
    """Let the request stand for the answer that the caller awaits."""
    assert context.reply is not None
    context.reply.request_id = event.request_id
    # After a resume nobody knows whether Phonic goes on with its answer by itself.
    await_reply(context, first=timers.SOON if context.drops else None)


def warn_of_turn_detection(context: Context, event: events.CommitAudio) -> None:
    """Warn that Phonic decides itself when the caller's turn ends."""
    context.put(
        Log(
            "warning",
            "commit_audio: Phonic detects the caller's turns itself; with "
            'turn_detection="manual", or push_to_talk=True, it waits for this call',
        )
    )


# -- the assistant's turn ------------------------------------------------------------------------


def open_generation(context: Context, event: Event) -> None:
    """Open a generation; a reply that was asked for gets it."""
    begin_answer(context, event)
    open_for_answer(context, event)


def begin_answer(context: Context, event: Event) -> None:
    """Use the generation that is open for it."""
    # What is said of an interruption from here on concerns this turn.
    context.last_message_id = None
    context.last_transcript_id = None
    context.drops = 0
    if context.generation is not None:
        context.generation.awaited = False


def open_for_answer(context: Context, event: Event) -> None:
    """Open a generation for the answer that is due."""
    announce_unclaimed(context)
    response_id = context.next_id("PS_")
    context.generation = Generation(response_id)
    context.discarding = False
    reply = context.reply
    if reply is None or not reply.sent:
        context.put(OpenGeneration(response_id))
        return
    context.reply = None
    context.put(StopTimer(timers.REPLY_OVERDUE))
    if reply.request_id is None and context.push_to_talk:
        context.unclaimed = response_id
        context.put(
            PrepareGeneration(response_id),
            StartTimer(timers.ANSWER_UNCLAIMED, timers.CLAIM_ANSWER_WITHIN),
        )
    elif reply.request_id is None:
        context.put(OpenGeneration(response_id))
    else:
        context.put(
            OpenGeneration(response_id, user_initiated=True),
            ResolveReply(reply.request_id, response_id),
        )


def expect_answer(context: Context, event: Event) -> None:
    """Wait, for a while, until the answer begins."""
    assert context.generation is not None
    context.generation.awaited = True
    await_reply(context)


def push_chunk(context: Context, event: server.AudioChunk) -> None:
    """Pass the chunk's text and audio on."""
    generation = context.generation
    assert generation is not None
    if event.timings:
        context.put(EmitTimings(event.timings))
    audio = event.audio
    start = end = generation.seconds
    if audio:
        rate, sample_bytes = SAMPLING[context.config.output_format or DEFAULT_FORMAT]
        end = start + len(audio) / sample_bytes / rate
        generation.seconds = end
        generation.empty = False
    if event.text:
        generation.text += event.text
        generation.empty = False
        context.effects.append(PushText(event.text, round(start, 3), round(end, 3)))
    if audio:
        context.effects.append(PushAudio(audio))


def cut_overlong_turn(context: Context, event: server.AudioChunk) -> None:
    """Close the generation as interrupted, with a warning, and drop the rest of the turn."""
    context.put(
        Log("warning", f"the assistant's turn is over {MAX_TURN_SECONDS:g} s long; it is cut off")
    )
    discard_turn(context, event)


def finish_turn(context: Context, event: Event) -> None:
    """Close the generation."""
    end_turn(context, interrupted=False)


def cut_off_turn(context: Context, event: Event) -> None:
    """Close the generation as interrupted."""
    end_turn(context, interrupted=True)


def discard_turn(context: Context, event: Event) -> None:
    """Close the generation as interrupted and drop the rest of the turn."""
    end_turn(context, interrupted=True)
    context.discarding = True


def stop_discarding(context: Context, event: Event) -> None:
    """The turn that was interrupted here is over."""
    context.discarding = False


def announce_digits(context: Context, event: server.Dtmf) -> None:
    """Announce the digits that the assistant dials."""
    context.put(EmitDtmf(event.digits))
    if event.timings:
        context.put(EmitTimings(event.timings))


def correct_interrupted(context: Context, event: server.InterruptedResponse) -> None:
    """Correct the last message, as interrupted, to what was really spoken of it."""
    message_id = context.last_message_id
    if message_id is not None:
        context.last_message_id = None
        context.conversation.correct(message_id, event.text)
        context.put(CorrectMessage(message_id, event.text))


def cut_off_and_correct(context: Context, event: server.InterruptedResponse) -> None:
    """Close the generation as interrupted, with what was really spoken of it."""
    end_turn(context, interrupted=True)
    correct_interrupted(context, event)


# -- tools ---------------------------------------------------------------------------------------


def take_tool_call(context: Context, event: server.ToolCall) -> None:
    """Hand the call over in a generation and close that generation."""
    if context.generation is None:
        open_generation(context, event)
    call = FunctionCall(
        id=context.next_id("PF_"),
        call_id=event.tool_call_id,
        name=event.tool_name,
        arguments=msgspec.json.encode(event.parameters or {}).decode(),
    )
    context.pending_calls[call.call_id] = call.name
    context.put(PushFunctionCall(call.id, call.call_id, call.name, call.arguments))
    end_turn(context, interrupted=False)
    context.conversation.add(call)
    context.put(AddItem(call))


def refuse_call(context: Context, event: server.ToolCall) -> None:
    """Drop the call, with a warning."""
    context.put(
        Log(
            "warning",
            f"{len(context.pending_calls)} tool calls wait for their outputs already: "
            f"{event.tool_name} ({event.tool_call_id}) is not made",
        )
    )


def forget_call(context: Context, event: server.ToolCallInterrupted) -> None:
    """Take note that no output is awaited: one that still comes is not sent."""
    name = context.pending_calls.pop(event.tool_call_id, None)
    if name is not None:
        context.put(
            Log("info", f"tool call {event.tool_call_id} ({name}) was interrupted by the caller"),
            EmitToolCallSettled(event.tool_call_id, name, "interrupted"),
        )


def acknowledge_output(context: Context, event: server.ToolCallOutputProcessed) -> None:
    """Take note that the call is settled, and announce how."""
    context.unacknowledged.pop(event.tool_call_id, None)
    # The server gave up on it: an output that still comes would answer nothing.
    name = context.pending_calls.pop(event.tool_call_id, "")
    name = event.tool.name if event.tool else name
    outcome: ToolCallOutcome = "processed"
    problem = event.error_message
    if event.timed_out:
        outcome, problem = "timed_out", problem or "its output came too late"
    elif problem:
        outcome = "failed"
    took = "" if event.duration_ms is None else f" after {event.duration_ms:g} ms"
    context.put(
        Log(
            "warning" if problem else "info",
            f"tool call {event.tool_call_id}{f' ({name})' if name else ''}: {outcome}{took}"
            + (f": {problem}" if problem else ""),
        ),
        EmitToolCallSettled(event.tool_call_id, name, outcome, event.duration_ms, problem),
    )


def give_up_output(context: Context, event: server.Error) -> None:
    """Take note that Phonic does not take a tool's output: it is not sent again."""
    for call_id in refused_outputs(context, event):
        del context.unacknowledged[call_id]
        problem = complaint(event)
        context.put(
            Log("warning", f"Phonic does not take the output of call {call_id}: {problem}"),
            EmitToolCallSettled(call_id, "", "failed", problem=problem),
        )


# -- the chat context ----------------------------------------------------------------------------


def take_history(context: Context, event: events.UpdateChatContext) -> None:
    """Take the conversation so far, which the config will carry."""
    _apply(context, event)
    for addition in event.added:
        item = addition.item
        if isinstance(item, FunctionCallOutput) and item.call_id in context.orphaned_calls:
            _owe_answer(context, item)


def pass_on_additions(context: Context, event: events.UpdateChatContext) -> None:
    """Send new tool outputs and system messages; keep what the user typed for the reply."""
    _apply(context, event)
    told = not (event.added or event.changed or event.removed)
    for position, addition in enumerate(event.added, start=1):
        item = addition.item
        if isinstance(item, FunctionCallOutput):
            _answer(context, item)
            told = True
        elif isinstance(item, Message) and item.text.strip():
            if item.role in ("system", "developer"):
                outgoing.deliver(context, client.AddSystemMessage(item.text))
                told = True
            elif item.role == "user" and position == len(event.added):
                context.typed[item.id] = item.text
                told = True
    if not told:
        context.put(
            Log(
                "warning",
                "update_chat_ctx: Phonic can be told only of tool outputs, system "
                "messages and a last user message; nothing of this change was",
            )
        )


# -- replies that are asked for ------------------------------------------------------------------


def request_reply(context: Context, event: events.GenerateReply) -> None:
    """Ask for a reply; an earlier request that has not begun is superseded."""
    text = "\n".join(context.typed.values())
    context.typed.clear()
    _request(
        context,
        event.request_id,
        client.GenerateReply(
            system_message=event.instructions or UNSET, user_message=text or UNSET
        ),
    )


def request_say(context: Context, event: events.Say) -> None:
    """Ask for these words; an earlier request that has not begun is superseded."""
    context.typed.clear()
    _request(context, event.request_id, client.Say(event.text, event.interruptible))


def withdraw_reply(context: Context, event: events.CancelReply) -> None:
    """Forget the request; if it has not been sent, it will not be."""
    if context.reply is not None and context.reply.request_id == event.request_id:
        context.reply = None
        if not answer_has_not_begun(context, event):
            # Otherwise the timer is also that of the answer to a tool's output.
            context.put(StopTimer(timers.REPLY_OVERDUE))


def ask_once_more(context: Context, event: Event) -> None:
    """Ask once more for the answer that has not begun."""
    context.patience -= 1
    again = context.reply.message if context.reply is not None else client.GenerateReply()
    if isinstance(again, client.Mute):
        again = client.GenerateReply()
    context.put(
        Log("info", "the assistant has not begun to answer; it is asked once more"),
        Send(again),
        StartTimer(timers.REPLY_OVERDUE, context.settings.reply_timeout / 2),
    )


def wait_on(context: Context, event: Event) -> None:
    """Wait for the other half of the time: now is no moment to ask again."""
    context.patience -= 1
    context.put(StartTimer(timers.REPLY_OVERDUE, context.settings.reply_timeout / 2))


def give_up_reply(context: Context, event: Event) -> None:
    """Fail the reply that did not begin in time."""
    reply = context.reply
    if reply is not None:
        waited = context.settings.reply_timeout
        sent = "was sent and the assistant has not begun" if reply.sent else "waits"
        problem = (
            f"the reply timed out after {waited:g} s: in state {context.state.value}, "
            f"the request {sent}"
        )
        if reply.request_id is None:
            context.put(Log("warning", f"{problem}; the caller may be waiting"))
        end_reply(context, "timed_out", problem)


def give_up_answer(context: Context, event: Event) -> None:
    """Close the generation that was opened for an answer which did not come."""
    context.put(
        Log(
            "warning",
            f"the assistant has not begun to answer {context.settings.reply_timeout:g} s after "
            "the tool's output",
        )
    )
    end_turn(context, interrupted=False)
    give_up_reply(context, event)


def refuse_reply(context: Context, event: events.GenerateReply | events.Say) -> None:
    """Fail the request at once."""
    context.put(RejectReply(event.request_id, "closed", "the session is closed"))


def end_unanswered_reply(context: Context, event: Event) -> None:
    """Fail the pending reply: the assistant chose not to respond."""
    if context.reply is not None and context.reply.sent:
        context.put(StopTimer(timers.REPLY_OVERDUE))
        end_reply(context, "declined", "the assistant chose not to respond")


# -- the end -------------------------------------------------------------------------------------


def close(context: Context, event: Event) -> None:
    """Close the generation, fail the pending reply, close the socket."""
    _finish(context)


def fail_to_connect(
    context: Context, event: events.ConnectFailed | events.ConnectionClosed
) -> None:
    """Close everything and announce that no connection came about."""
    _finish(context)
    kind: ErrorKind = "connection_lost" if context.continuing else "connect_failed"
    context.put(EmitError(kind, trouble(event)))


def announce_loss(context: Context, event: Event) -> None:
    """Close everything and announce that the connection is lost."""
    _finish(context)
    context.put(EmitError("connection_lost", trouble(event)))


def announce_end(context: Context, event: Event) -> None:
    """Close everything and announce that the conversation was ended on purpose."""
    _finish(context)
    context.put(EmitError("conversation_ended", trouble(event)))


def announce_break(context: Context, event: events.Break) -> None:
    """Close everything and announce that this package is at fault."""
    _finish(context)
    context.put(EmitError("internal_error", event.problem))


def announce_refusal(context: Context, event: server.Error) -> None:
    """Close everything and announce what Phonic has against the config."""
    _finish(context)
    _announce_error(context, event, "configuration_refused")


def announce_error(context: Context, event: server.Error) -> None:
    """Announce Phonic's error."""
    _announce_error(context, event, "server_error")


# -- the log -------------------------------------------------------------------------------------


def log_error(context: Context, event: server.Error) -> None:
    """Log Phonic's error: what comes of the resume decides."""
    context.put(Log("warning", f"Phonic reports an error: {complaint(event)}"))


def log_warning(context: Context, event: server.Warning) -> None:
    """Log Phonic's warning."""
    code = f" ({event.warning.code})" if event.warning.code else ""
    context.put(Log("warning", f"Phonic warns: {event.warning.message}{code}"))


def log_undecodable(context: Context, event: UnknownMessage | MalformedMessage) -> None:
    """Log it and drop it."""
    if isinstance(event, MalformedMessage):
        if context.unreadable.is_worth_a_line():
            name = event.message_type or "a frame"
            number = context.unreadable.count
            times = f" (the {number}th message that cannot)" if number > 5 else ""
            problem = f"Phonic sent {name} that cannot be read: {event.problem}{times}"
            context.put(Log("warning", problem))
    else:
        context.put(Log("debug", f"Phonic sent a message of unknown type {event.message_type!r}"))


# -- what the actions share ----------------------------------------------------------------------


def _begin_anew(context: Context, problem: str) -> None:
    """Open a connection for a fresh conversation, which gets all that was said as its history."""
    context.continuing = True
    context.conversation_id = None
    context.gate = "closed"
    context.discarding = False
    context.held.clear()
    context.unacknowledged.clear()
    context.orphaned_calls.update(context.pending_calls)
    context.pending_calls.clear()
    if context.reply is not None:
        context.reply.sent = False
        if isinstance(context.reply.message, client.Mute):
            # What the caller has let go of was said to the former conversation.
            context.reply.message = client.GenerateReply()
    elif context.conversation.awaits_answer():
        context.reply = Reply(None, client.GenerateReply())
    context.put(
        StopTimer(timers.RETRY_DUE),
        StopTimer(timers.ANSWER_OVERDUE),
        StopTimer(timers.GRACE_OVER),
        SetAudioGate("closed"),
        Log("warning", problem),
        Disconnect(),
        Connect(),
    )
    if context.reply is not None:
        await_reply(context)


def _set_hearing(context: Context) -> None:
    """Let the caller be heard, unless muted."""
    if context.push_to_talk and not context.muted:
        outgoing.listen(context)
    else:
        context.put(SetAudioGate(outgoing.audio_gate(context)))


def _request(context: Context, request_id: str, message: client.GenerateReply | client.Say) -> None:
    if context.reply is not None and context.reply.request_id is not None:
        context.put(SupersedeReply(context.reply.request_id))
    ask(context, Reply(request_id, message))


def _answer(context: Context, item: FunctionCallOutput) -> None:
    if context.pending_calls.pop(item.call_id, None) is not None:
        outgoing.deliver(context, client.ToolCallOutput(item.call_id, item.output))
    elif item.call_id in context.orphaned_calls:
        outgoing.deliver(context, client.AddSystemMessage(render_late_output(item)))
        _owe_answer(context, item)
    else:
        context.put(Log("info", f"the output of call {item.call_id} is not sent: nobody awaits it"))


def _owe_answer(context: Context, output: FunctionCallOutput) -> None:
    """A lost conversation made the call; the fresh one is asked to speak about its output."""
    context.orphaned_calls.remove(output.call_id)
    if output.reply_required and context.reply is None:
        ask(context, Reply(None, client.GenerateReply()))


def _apply(context: Context, event: events.UpdateChatContext) -> None:
    for item_id in event.removed:
        context.conversation.remove(item_id)
    for item in event.changed:
        context.conversation.add(item)
    for addition in event.added:
        context.conversation.insert(addition.after, addition.item)


def _take(context: Context, event: events.SettingsEvent | events.ClearAudio) -> set[Change]:
    """Take the event's values; the result says which of them are new."""
    changes = changes_of(context, event)
    for change in changes:
        if change == "conversation":
            context.conversation.replace(event.items)  # type: ignore[union-attr, arg-type]
        elif change != "caller_turn":
            setattr(context, change, getattr(event, change))
    return changes


def _finish(context: Context) -> None:
    end_turn(context, interrupted=True)
    announce_unclaimed(context)
    end_user_speech(context)
    context.discarding = False
    context.gate = "closed"
    context.held.clear()
    context.changes.clear()
    context.pending_calls.clear()
    context.unacknowledged.clear()
    end_reply(context, "closed", "the session was closed before the reply began")
    context.put(SetAudioGate("closed"), Disconnect())


def _announce_error(context: Context, event: server.Error, kind: ErrorKind) -> None:
    said, fields = event.error, event.param_errors or {}
    context.put(EmitError(kind, complaint(event), code=said.code, fields=fields))
