"""What is to be found in each call of ``tests/traces/kinds``. ``record_kinds`` plays them."""

from __future__ import annotations

from typing import NamedTuple

from phonic_fsm._report.severity import Severity


class Kind(NamedTuple):
    """A way in which calls go wrong, or something that is noted of them."""

    trace: str
    """The name of its trace, which is that of the script."""
    told: str
    """What happens in it."""
    rule: str
    title: str
    """A pattern of the finding's title."""
    severity: Severity


SECONDS = r"[\d.]+ m?s"

WRONG = (
    # The caller's audio.
    Kind(
        "no_frames",
        "LiveKit hands over no audio of the caller",
        "caller-not-heard",
        "No audio came from the caller: the caller was not heard",
        "error",
    ),
    Kind(
        "digital_silence",
        "the caller's device is muted",
        "caller-not-heard",
        "Only digital silence came from the caller: the caller was not heard",
        "error",
    ),
    Kind(
        "silent_until_phonic_hangs_up",
        "the caller's device is muted, and Phonic ends the call after a while",
        "caller-not-heard",
        "Only digital silence came from the caller: the caller was not heard; "
        r"Phonic closed the connection \(code 1000: no input\)",
        "error",
    ),
    Kind(
        "too_quiet",
        "the caller's microphone is far too quiet",
        "caller-not-heard",
        "Nothing as loud as speech came from the caller: the caller was not heard",
        "error",
    ),
    Kind(
        "muted_throughout",
        "push-to-talk, and nobody opens the microphone",
        "caller-not-heard",
        "Nothing of the caller's audio was sent: the caller was not heard",
        "error",
    ),
    Kind(
        "not_understood",
        "the caller speaks, and Phonic hears no speech",
        "caller-not-heard",
        "The caller said nothing that was understood: the caller was not heard",
        "error",
    ),
    Kind(
        "hum",
        "nothing but hum comes from the caller's line",
        "caller-not-heard",
        "Little but a steady sound came from the caller: the caller was not heard",
        "error",
    ),
    Kind(
        "overdriven",
        "the caller's microphone amplifies far too much",
        "overdriven",
        "The caller's audio was overdriven",
        "warning",
    ),
    Kind(
        "unnoticed",
        "the caller goes on, and Phonic does not notice it",
        "unnoticed",
        f"Phonic took no notice of sounds like speech for {SECONDS}",
        "warning",
    ),
    Kind(
        "interruption_noticed_late",
        "the caller talks over the assistant, and Phonic notices it late",
        "unnoticed",
        f"Phonic noticed the caller only after {SECONDS}",
        "warning",
    ),
    Kind(
        "end_noticed_late",
        "Phonic notices 4 s late that the caller has stopped",
        "late-end",
        f"Phonic did not notice for {SECONDS} that the caller had stopped: the answer came late",
        "error",
    ),
    Kind(
        "noise_taken_for_speech",
        "Phonic takes the noise around the caller for speech, and waits for its end",
        "late-end",
        "Phonic took a steady sound for speech: no answer came; the caller was not heard",
        "error",
    ),
    Kind(
        "never_committed",
        "push-to-talk, and the agent never commits the caller's turn",
        "silence",
        f"The caller's turn was never committed: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "wrong_rate",
        "the frames name half of their sample rate",
        "wrong-rate",
        r"The caller's audio came [12]\.\d times as fast as time passes",
        "error",
    ),
    Kind(
        "lost_frames",
        "two of five frames of the caller's audio are lost on the way",
        "wrong-rate",
        r"Only \d+ ms of the caller's audio came in a second",
        "error",
    ),
    Kind(
        "microphone_gone",
        "the caller's microphone is off for a while",
        "microphone-gone",
        f"No audio from the caller for {SECONDS}",
        "note",
    ),
    Kind(
        "one_interruption",
        "LiveKit lets nothing through while the assistant begins",
        "deaf-at-start",
        "Only digital silence came while the assistant began",
        "note",
    ),
    # Answers.
    Kind(
        "late_answer",
        "Phonic takes 5 s to answer",
        "silence",
        f"Phonic did not answer for {SECONDS}: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "thinking_caller",
        "the caller thinks for 11 s",
        "silence",
        f"Phonic heard no speech of the caller: {SECONDS} of silence",
        "note",
    ),
    Kind(
        "slow_answers",
        "each answer takes more than 2 s",
        "slow-answers",
        f"Phonic took {SECONDS} to answer, as a rule",
        "warning",
    ),
    Kind(
        "answer_without_a_sound",
        "an answer begins, and its audio comes 4.5 s later",
        "silence",
        f"Phonic began an answer and sent no audio of it for {SECONDS}: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "gap_in_an_answer",
        "an answer pauses in mid-sentence",
        "gap-in-answer",
        f"Phonic's audio came late: an answer paused for {SECONDS}",
        "warning",
    ),
    Kind(
        "stalled_answer",
        "an answer breaks off",
        "stalled-answer",
        "Phonic sent neither more of an answer nor its end: the answer broke off; "
        f"{SECONDS} of silence",
        "error",
    ),
    Kind(
        "empty_answer",
        "the assistant's turn has nothing in it",
        "empty-answer",
        f"Phonic sent an answer with nothing in it: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "silent_answer",
        "all of an answer's audio is digital silence",
        "empty-answer",
        f"Phonic sent an answer of digital silence: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "choppy_answer",
        "the audio of an answer comes in small pieces, too late",
        "gap-in-answer",
        r"Phonic's audio came late: an answer stuttered, with \d pauses",
        "warning",
    ),
    Kind(
        "answered_twice",
        "Phonic gives the same answer twice",
        "repeated",
        "The assistant said the same twice",
        "warning",
    ),
    Kind(
        "voicemail",
        "a voicemail talks to the assistant",
        "repeated",
        "The caller said the same 3 times in a row",
        "warning",
    ),
    Kind(
        "first_reply_late",
        "the agent's on_enter takes 4 s before it asks for a greeting",
        "silence",
        f"The agent asked for its first reply after {SECONDS}: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "not_played",
        "LiveKit's output takes nothing of an answer",
        "not-played",
        f"LiveKit played nothing of an answer: {SECONDS} not heard",
        "error",
    ),
    Kind(
        "reply_swallowed",
        "the agent asks for a reply, and Phonic swallows the request, twice",
        "no-reply",
        "The request for a reply was sent and the assistant has not begun: no reply came; "
        f"{SECONDS} of silence",
        "error",
    ),
    Kind(
        "reply_declined",
        "the agent asks for a reply, and the assistant chooses not to respond",
        "no-reply",
        "The assistant chose not to respond: no reply came",
        "error",
    ),
    Kind(
        "no_welcome",
        "the welcome message is not spoken",
        "silence",
        f"No welcome came: {SECONDS} of silence",
        "error",
    ),
    # Interruptions.
    Kind(
        "echo",
        "the assistant hears its own words",
        "echo",
        "The assistant may have heard itself",
        "warning",
    ),
    Kind(
        "many_interruptions",
        "five answers are interrupted in 7 s",
        "many-interruptions",
        f"Sounds of the caller cut off 5 answers in {SECONDS}",
        "warning",
    ),
    Kind(
        "cut_off_at_the_start",
        "three answers are cut off after 0.4 s",
        "cut-off-at-start",
        "Sounds of the caller cut off 3 answers in a row at the start",
        "error",
    ),
    Kind(
        "cut_off_by_the_agent",
        "the agent's code interrupts every answer",
        "cut-off-at-start",
        "The agent's code cut off 3 answers in a row at the start",
        "error",
    ),
    Kind(
        "reset_in_an_answer",
        "settings are changed while the assistant speaks, and nobody asks it to go on",
        "silence",
        f"A reset cut the answer off: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "turn_taken_back",
        "a noise cuts the answer off, and nobody goes on",
        "silence",
        f"A sound was taken for the caller and cut the answer off: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "assistant_cuts_in",
        "the assistant begins in the middle of what the caller says",
        "cut-in",
        "The assistant began to speak while the caller spoke: " + f"{SECONDS} over each other",
        "warning",
    ),
    Kind(
        "interrupted_by_the_agent",
        "the agent's code interrupts an answer",
        "dropped-answer",
        f"The session interrupted an answer: {SECONDS} of it dropped",
        "note",
    ),
    # Tools.
    Kind(
        "slow_tool",
        "a tool takes 6 s",
        "silence",
        f"find_table took {SECONDS}: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "failed_tool",
        "a tool raises an error",
        "tool-failed",
        "call_taxi raised an error",
        "error",
    ),
    Kind(
        "bad_arguments",
        "the assistant calls a tool with arguments that do not fit",
        "tool-failed",
        "find_table was called with arguments that do not fit",
        "error",
    ),
    Kind(
        "unknown_tool",
        "the assistant calls a tool that is not there",
        "tool-failed",
        "The agent has no tool rent_boat",
        "error",
    ),
    Kind(
        "tool_called_again",
        "the assistant calls a tool twice with the same arguments",
        "tool-called-again",
        "get_order was called again with the same arguments",
        "warning",
    ),
    Kind(
        "tool_timed_out",
        "a tool takes longer than Phonic waits",
        "tool-failed",
        f"find_table took longer than Phonic waits: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "tool_without_output",
        "the session ends while a tool runs",
        "no-output",
        f"ask_the_cook gave no output: the session ended {SECONDS} after the call; "
        f"{SECONDS} of silence",
        "error",
    ),
    Kind(
        "empty_output",
        "a tool returns nothing, and nobody says anything",
        "silence",
        f"close_door returned nothing, so that LiveKit asked for no answer: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "no_answer_to_an_output",
        "Phonic takes a tool's output and says nothing",
        "no-reply",
        "The assistant has not begun to answer 10 s after the tool's output: no reply came; "
        f"{SECONDS} of silence",
        "error",
    ),
    # The process.
    Kind(
        "blocked_event_loop",
        "a tool blocks the event loop for 1.5 s",
        "process-held-up",
        r"The process stood still for 1\.\d s",
        "warning",
    ),
    Kind(
        "starved_process",
        "the process gets too little CPU: its event loop is late again and again",
        "process-held-up",
        rf"The process stood still \d+ times in {SECONDS}",
        "warning",
    ),
    Kind(
        "taken_over",
        "the process of the call is killed in mid-sentence, and another one goes on",
        "taken-over",
        f"Another process took the call over after {SECONDS}",
        "warning",
    ),
    Kind(
        "moved",
        "the call moves to another worker, as in a deploy",
        "moved",
        f"The call moved to another process in {SECONDS}",
        "note",
    ),
    # The connection.
    Kind(
        "config_refused",
        "Phonic refuses the config",
        "ended-by-error",
        r"Phonic refuses the config: bad config \(voice_id: unknown voice\)",
        "error",
    ),
    Kind(
        "wrong_key",
        "the API key is wrong",
        "ended-by-error",
        "Phonic refused the connection with HTTP 401: the API key is not valid",
        "error",
    ),
    Kind(
        "nobody_there",
        "nothing listens at the address",
        "ended-by-error",
        r"No connection to ws://127\.0\.0\.1:9: .*",
        "error",
    ),
    Kind(
        "too_many_calls",
        "Phonic answers with HTTP 429 and takes the call 4 s later",
        "slow-start",
        f"Phonic refused the connection with HTTP 429: connecting took {SECONDS}",
        "error",
    ),
    Kind(
        "slow_to_be_ready",
        "Phonic takes 4 s to be ready",
        "slow-start",
        f"Phonic took long to be ready: connecting took {SECONDS}",
        "error",
    ),
    Kind(
        "late_to_be_ready",
        "Phonic takes 9 s to be ready, while the caller speaks",
        "slow-start",
        f"Phonic took long to be ready: connecting took {SECONDS}",
        "error",
    ),
    Kind(
        "late_to_be_ready",
        "what the caller said before is sent at twice the pace of speech",
        "caller-behind",
        "What the caller had said before was still to be sent: the caller's audio fell behind",
        "warning",
    ),
    Kind(
        "phonic_restarts",
        "Phonic restarts, and the conversation is resumed at once",
        "outage",
        r"The connection was closed by Phonic \(code 1012, “restarting”\): "
        f"no connection for {SECONDS}",
        "warning",
    ),
    Kind(
        "begun_afresh",
        "the connection is lost, and Phonic does not resume the conversation",
        "outage",
        rf"The connection broke off \(no close frame\): no connection for {SECONDS}",
        "warning",
    ),
    Kind(
        "away_for_a_while",
        "the network is away for 4 s while the caller waits for an answer",
        "silence",
        f"No connection for {SECONDS}: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "away_for_a_while",
        "the network is away for longer than the caller's audio is kept",
        "lost-audio",
        f"An outage of {SECONDS}: {SECONDS} of the caller not heard",
        "warning",
    ),
    Kind(
        "away_for_good",
        "the connection is lost for good",
        "outage",
        r"The connection broke off \(no close frame\): it did not come back",
        "warning",
    ),
    Kind(
        "away_for_good",
        "the connection is lost, and the key is no longer valid",
        "ended-by-error",
        "Phonic refused the connection with HTTP 401: the API key is not valid",
        "error",
    ),
    Kind(
        "slow_network",
        "a round trip takes 0.8 s",
        "slow-network",
        f"A round trip to Phonic took {SECONDS}",
        "warning",
    ),
    Kind(
        "frozen_network",
        "nothing gets through any more, and nobody is told",
        "outage",
        r"The connection broke off \(no answer to a ping within 10 s\): nothing got through, "
        f"then no connection for {SECONDS}",
        "warning",
    ),
    Kind(
        "frozen_network",
        "nothing gets through until the connection is given up",
        "silence",
        f"Nothing got through to Phonic for {SECONDS}: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "phonic_hangs_up",
        "Phonic closes the connection in mid-call",
        "ended-by-phonic",
        r"Phonic closed the connection \(code 1000: out of credit\)",
        "error",
    ),
    Kind(
        "hung_up_on",
        "the assistant ends the conversation in place of an answer",
        "ended-by-phonic",
        "The assistant ended the conversation: the caller's last words had no answer",
        "warning",
    ),
    Kind(
        "phonic_fails",
        "Phonic reports an error and closes the connection",
        "ended-by-error",
        "Phonic reports an error: internal error",
        "error",
    ),
    Kind(
        "phonic_warns",
        "Phonic warns of something",
        "warning",
        r"Phonic warns: the model is overloaded \(overloaded\)",
        "warning",
    ),
    # Handoffs, and the end.
    Kind(
        "silent_handoff",
        "another agent takes over, and nobody asks it to speak",
        "silence",
        f"Nobody asked the new agent to speak: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "handoff_without_a_reply",
        "another agent takes over, and Phonic does not begin the reply that it asks for",
        "silence",
        f"Phonic did not begin the reply that was asked for, for {SECONDS}: {SECONDS} of silence",
        "error",
    ),
    Kind(
        "goodbye_cut_off",
        "the session is closed while the assistant says goodbye",
        "cut-off-by-close",
        f"The session was closed while the assistant said goodbye: {SECONDS} not heard",
        "error",
    ),
    Kind(
        "process_killed",
        "the process is killed in mid-call",
        "not-closed",
        "The trace just ends",
        "warning",
    ),
)
"""What goes wrong, or is noted, with which finding."""

HEALTHY = {
    "small_talk": "two questions and their answers",
    "ordinary_tool": "a tool that is quick",
    "long_but_ordinary_tool": "a tool that takes 3.5 s",
    "line_before_a_tool": "a line, and a tool that runs once it is spoken",
    "async_tool": "a tool that runs while the conversation goes on",
    "two_tools": "two calls of one tool, with different arguments",
    "thinking_caller": "a caller who thinks for 11 s",
    "one_interruption": "a caller who interrupts",
    "overlapping_speech": "a caller who says “mm-hmm” while the assistant goes on",
    "withdrawn_turn": "a noise that is taken for the caller, between two turns",
    "asked_to_wait": "a caller who asks the assistant to wait",
    "interrupted_by_the_agent": "an agent whose code interrupts an answer",
    "push_to_talk": "push-to-talk",
    "words_repeated": "a caller who repeats the assistant's words to confirm them",
    "noisy_line": "a caller on a noisy line whose frames come in bursts",
    "asked_again": "a caller who asks for the same thing twice",
    "polite_handoff": "another agent takes over, and speaks",
    "two_handoffs": "two other agents take over, one after the other, and speak",
    "dialled_digits": "the assistant dials for the caller, and waits for who answers",
    "long_pauses": "a caller who pauses before each turn",
    "typed": "a caller who writes",
    "goodbye": "the assistant says goodbye and ends the conversation",
    "caller_hangs_up": "a caller who hangs up while the assistant speaks",
    "moved": "a call that moves to another worker while nobody speaks",
}
"""Calls in which nothing is wrong."""
