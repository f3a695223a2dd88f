"""Turns and replies, from their beginning to their end: what several actions share."""

from __future__ import annotations

from .._wire import client
from . import outgoing, timers
from .context import CallerTurn, Context, Generation, Reply, Unclaimed
from .effects import (
    AddItem,
    AnnounceGeneration,
    CloseGeneration,
    EmitError,
    EmitSpeechStopped,
    Log,
    OpenGeneration,
    PrepareGeneration,
    PushFunctionCall,
    RejectReply,
    ReplyFailure,
    ResolveReply,
    StartTimer,
    StopTimer,
)
from .guards import MAX_CALLER_TURNS, answer_has_not_begun
from .history import FunctionCall, Message
from .prompt import TAKEN_BACK


def note_life(context: Context) -> None:
    """A whole turn has come: the connection serves, and an earlier error has ended nothing."""
    context.connection = "proved"
    context.attempts = 0
    context.complaint = None


def note_amends(context: Context, problem: str) -> None:
    """What Phonic refuses was said in another way: a close for it need not end the call."""
    context.complaint = EmitError("connection_lost", problem, recoverable=True)


def open_for_answer(context: Context) -> None:
    """Open a generation. If a reply was asked for, this is the reply."""
    announce_unclaimed(context)
    response_id = context.next_id("PS_")
    context.generation = Generation(response_id)
    context.leftover = "none"
    reply = context.reply
    request_id, is_committed_turns = None, False
    if reply is not None and _begins_with(context, reply):
        request_id, is_committed_turns = reply.request_id, isinstance(reply.message, client.Mute)
        context.reply = None
        context.put(StopTimer(timers.REPLY_OVERDUE))
    elif reply is not None:
        let_reply_wait(context)
    end_opening(context)
    if request_id is not None:
        context.put(
            OpenGeneration(response_id, user_initiated=True),
            ResolveReply(request_id, response_id),
        )
    elif context.caller_has_the_floor or is_committed_turns:
        context.unclaimed = Unclaimed(response_id)
        context.put(PrepareGeneration(response_id))
        if not context.caller_has_the_floor:
            await_claim(context)
    else:
        context.put(OpenGeneration(response_id))


def is_owed_later(reply: Reply) -> bool:
    """Whether the reply is owed to the caller alone, and asked for when this turn has ended."""
    return reply.request_id is None and reply.phase == "waiting"


def is_left_to_outputs(reply: Reply) -> bool:
    """Whether the reply is owed to the caller, and is the answer that comes without being asked."""
    owed = reply.request_id is None and reply.phase == "asked"
    return owed and isinstance(reply.message, client.GenerateReply)


def only_answers(reply: Reply) -> bool:
    """Whether the reply is the answer to the caller, and is to say nothing else."""
    return reply.message in (client.Mute(), client.GenerateReply())


def ends_turn_later(reply: Reply) -> bool:
    """Whether the caller's turn is over, and Phonic will be told so when it is ready."""
    return reply.phase == "waiting" and isinstance(reply.message, client.Mute)


def _begins_with(context: Context, reply: Reply) -> bool:
    """Whether an answer that begins now is this reply."""
    # In mid-conversation, one that is owed waits for the end of the turn before this one.
    owed = reply.request_id is None and context.conversing and context.opening == "over"
    return owed or reply.phase == "asked"


def await_words(context: Context) -> None:
    """The caller speaks over the open generation, if one has begun: see if its words go on."""
    generation = context.generation
    if generation is None or generation.phase in ("due", "awaited"):
        return
    generation.phase = "overlapped"
    if generation.after is None:
        generation.after = context.history.last_id or ""
    context.put(StartTimer(timers.TURN_OVERDUE, timers.YIELDED))


def expect_answer(context: Context) -> None:
    """Wait for the answer to tools' outputs.

    LiveKit gives the outputs before it listens for the answer, so it is not told at once.
    """
    announce_unclaimed(context)
    end_opening(context)
    context.generation = Generation(context.next_id("PS_"), "due")
    context.leftover = "none"
    await_reply(context)


def announce_due(context: Context) -> None:
    """Tell LiveKit of the generation for the answer to tools' outputs, unless it was told."""
    generation = context.generation
    if generation is not None and generation.phase == "due":
        generation.phase = "awaited"
        context.put(OpenGeneration(generation.response_id))


def show_no_answer(context: Context) -> None:
    """Open and close a generation. LiveKit awaits an answer to a tool's output, and none comes.

    Until it hears of a generation, the agent's state stays ``thinking``.
    """
    if context.generation is None and context.unclaimed is None:
        response_id = context.next_id("PS_")
        context.put(OpenGeneration(response_id), CloseGeneration(response_id))


def end_turn(context: Context, *, interrupted: bool) -> None:
    """Close the open generation, if there is one, and put what was said in it into the history."""
    generation = context.generation
    if generation is None:
        return
    announce_due(context)
    context.generation = None
    if interrupted:
        # What LiveKit asks for from now on is more than that.
        context.told_unasked = False
    context.put(
        StopTimer(timers.TURN_OVERDUE), CloseGeneration(generation.response_id, interrupted)
    )
    if generation.text:
        if not interrupted:
            note_life(context)
        message = Message(generation.response_id, "assistant", generation.text, interrupted)
        add_item(context, message, after=generation.after)
        context.last_message_id = message.id


def take_out(context: Context, item_id: str) -> None:
    """Take an item out of the history. What belongs behind it belongs behind the one before it."""
    before = context.history.before(item_id) or ""
    for turn in context.caller_turns:
        if turn.after == item_id:
            turn.after = before
    if context.generation is not None and context.generation.after == item_id:
        context.generation.after = before
    context.history.remove(item_id)


def repeat_calls(context: Context) -> None:
    """Make the calls again whose outcome died with another process, if it is the moment for it."""
    ready = context.arrival == "over" and context.generation is None and context.unclaimed is None
    if not (context.repeats and ready):
        return
    calls = {item.call_id: item for item in context.history if isinstance(item, FunctionCall)}
    response_id = context.next_id("PS_")
    context.put(OpenGeneration(response_id))
    for call in (calls[call_id] for call_id in context.repeats if call_id in calls):
        context.put(PushFunctionCall(call.id, call.call_id, call.name, call.arguments))
    context.put(CloseGeneration(response_id))
    context.repeats.clear()


def add_item(context: Context, item: Message | FunctionCall, *, after: str | None = None) -> None:
    """Add what the assistant has said or called, or keep it until LiveKit knows of the answer."""
    if context.unclaimed is not None:
        context.unclaimed.items.append(item)
        return
    context.history.place(after, item)
    context.put(AddItem(item))


def await_claim(context: Context) -> None:
    """Give LiveKit a moment to ask for the answer."""
    context.put(StartTimer(timers.ANSWER_UNCLAIMED, timers.CLAIM_ANSWER_WITHIN))


def announce_unclaimed(context: Context, request_id: str | None = None) -> None:
    """Announce the answer that LiveKit does not know of, if there is one.

    With ``request_id``, it is the reply that LiveKit asks for.
    """
    unclaimed = context.unclaimed
    if unclaimed is None:
        return
    context.unclaimed = None
    context.put(
        StopTimer(timers.ANSWER_UNCLAIMED),
        AnnounceGeneration(unclaimed.response_id, user_initiated=request_id is not None),
    )
    if request_id is not None:
        context.put(ResolveReply(request_id, unclaimed.response_id))
    for item in unclaimed.items:
        add_item(context, item)


def drop_unclaimed(context: Context) -> None:
    """Forget the answer that LiveKit does not know of: the turn that it answers goes on.

    But a tool call in it is made: Phonic waits for its output.
    """
    unclaimed = context.unclaimed
    if unclaimed is None:
        return
    if any(isinstance(item, FunctionCall) for item in unclaimed.items):
        announce_unclaimed(context)
        return
    context.unclaimed = None
    context.last_message_id = None
    context.put(
        StopTimer(timers.ANSWER_UNCLAIMED),
        Log("debug", f"{unclaimed.response_id} is dropped: it answered half of the caller's turn"),
    )


def take_back_unclaimed(context: Context) -> None:
    """Forget the answer that LiveKit does not know of, and do not make the tool calls in it.

    A reset is about to follow, after which Phonic waits for none of them.
    """
    unclaimed = context.unclaimed
    if unclaimed is None:
        return
    for item in unclaimed.items:
        if isinstance(item, FunctionCall) and item.call_id in context.calls_in("pending"):
            outgoing.decline_call(context, item.call_id, TAKEN_BACK)
    unclaimed.items.clear()
    drop_unclaimed(context)


def begin_caller_turn(context: Context, *, announced: bool = True) -> None:
    """Note where the caller's words belong, whenever their transcript comes."""
    for turn in context.caller_turns:
        turn.turns_since += 1
    context.caller_turns.append(CallerTurn(place_of_words(context), announced))
    del context.caller_turns[:-MAX_CALLER_TURNS]


def place_of_words(context: Context) -> str:
    """The item behind which what the caller says now belongs; empty if it belongs first."""
    generation = context.generation
    last = context.history.last_id or ""
    # If the caller has spoken over it before, and those words are there, they come first.
    if generation is not None and generation.text and generation.after in (None, last):
        return generation.response_id
    return last


def place_words(context: Context, words: Message, after: str | None) -> None:
    """Put the caller's words behind an item, as ``History.place`` does. What was said later, and
    is yet to be put there, belongs behind them."""
    history, generation = context.history, context.generation
    history.place(after, words)
    for turn in context.caller_turns:
        if turn.after == after or history.precedes(turn.after, words.id):
            turn.after = words.id
    if generation is not None and after is not None and generation.after == after:
        generation.after = words.id


def nothing_was_said_since(context: Context, item_id: str) -> bool:
    """Whether the item is the last one (or none, if empty), and the assistant has not begun."""
    has_begun = context.generation is not None and not answer_has_not_begun(context)
    is_last = item_id == (context.history.last_id or "")
    return is_last and not has_begun and context.unclaimed is None


def end_caller_speech(context: Context) -> None:
    """Announce the end of the caller's speech, if the caller speaks."""
    if context.caller_speaks:
        context.caller_speaks = False
        context.put(EmitSpeechStopped())


def ask(context: Context, reply: Reply) -> None:
    """Wait for this reply, and ask the server for it as soon as that is possible."""
    context.reply = reply
    if not context.conversing or reply.phase == "incomplete":
        await_reply(context)
        return
    ask_if_possible(context)
    let_reply_wait(context)


def reply_waits(context: Context) -> bool:
    """Whether a reply waits for the moment to ask for it."""
    return context.reply is not None and context.reply.phase == "waiting"


def let_reply_wait(context: Context) -> None:
    """If the reply waits for a turn or the opening to end, that has a time of its own."""
    if reply_waits(context) and not answer_has_not_begun(context):
        context.put(StopTimer(timers.REPLY_OVERDUE))


def show_given_answer(context: Context, request_id: str) -> None:
    """Open and close a generation as the reply that LiveKit asks for: it has the answer already."""
    context.told_unasked = False
    response_id = context.next_id("PS_")
    context.put(
        OpenGeneration(response_id, user_initiated=True),
        ResolveReply(request_id, response_id),
        CloseGeneration(response_id),
    )


def ask_if_possible(context: Context) -> None:
    """Ask for the reply that waits, unless the assistant speaks or is about to.

    The conversation is open.
    """
    reply = context.reply
    if reply is None or reply.phase != "waiting":
        return
    ends_caller_turn = isinstance(reply.message, client.Mute)
    is_silent = context.generation is None and context.opening == "over"
    if not (ends_caller_turn or is_silent):
        return
    if context.told_unasked and reply.request_id is not None:
        context.reply = None
        show_given_answer(context, reply.request_id)
        return
    await_reply(context)
    is_owed = reply.request_id is None and not ends_caller_turn
    if is_owed and (context.caller_speaks or context.calls_in("pending")):
        # The answer to the caller, or to the tools' outputs, will do.
        reply.phase = "asked"
    else:
        outgoing.send_request(context, reply)


def await_opening(context: Context) -> None:
    """Give the assistant a moment to speak without being asked, if it does not speak already."""
    if context.generation is None:
        context.opening = "awaited"
        context.put(StartTimer(timers.OPENING_OVERDUE, timers.SOON))
        let_reply_wait(context)


def end_opening(context: Context) -> None:
    """Note that the assistant speaks, or will not speak without being asked."""
    if context.opening == "awaited":
        context.opening = "over"
        context.put(StopTimer(timers.OPENING_OVERDUE))


def await_answer(context: Context, *, within: float | None = None) -> None:
    """An answer is to come that nobody has asked for. If it does not begin, ask for it."""
    if context.reply is None:
        context.reply = Reply(None, client.GenerateReply(), "asked")
        await_reply(context, first=within)


def owe_answer(context: Context) -> None:
    """Have the assistant speak about what it was told, unless it is about to speak anyway.

    If it speaks already, it is asked afterwards. If the caller speaks, or another tool's output is
    still to come, its answer to that will do.
    """
    if context.reply is None:
        ask(context, Reply(None, client.GenerateReply()))


def await_reply(context: Context, *, first: float | None = None) -> None:
    """Give the answer its time to begin, from now on.

    After half of the time, or after ``first`` seconds, the server is asked again.
    """
    context.wait = "first_half"
    context.put(StartTimer(timers.REPLY_OVERDUE, first or context.settings.reply_timeout / 2))


def end_reply(context: Context, reason: ReplyFailure, problem: str) -> None:
    """Give up the pending reply. If a call of LiveKit's asked for it, that call fails."""
    reply = context.reply
    drop_reply(context)
    if reply is not None and reply.request_id is not None:
        context.put(RejectReply(reply.request_id, reason, problem))


def drop_reply(context: Context) -> None:
    """Forget the pending reply. If it was to end the caller's turn, the caller is muted."""
    reply, context.reply = context.reply, None
    context.told_unasked = False
    if reply is not None and ends_turn_later(reply):
        context.microphone = "muted"
        context.put(outgoing.gate(context))
