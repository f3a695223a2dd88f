"""The side that faces LiveKit: turns its calls into events, and effects into what it expects.

``model`` and ``session``
    The two classes that livekit-agents uses.
``options`` and ``config``
    The table of options; how they are checked and become Phonic's config.
``answers``, ``generation`` and ``playback``
    The streams from which LiveKit reads the assistant's answers, and how long it plays them.
``replies``
    The futures of the replies that were asked for.
``journal``, ``recovery``, ``takeover``, ``succession`` and ``past``
    The journal of a call; how a process finds the call that it is to go on with, takes it over, and
    what it has then.
``moving``, ``awaited``, ``standby`` and ``seam``
    A call that moves: the process that has it, and the one that waits for it.
``handovers``
    How a session comes by a call that another process had, and how it leaves its own to another.
``chat`` and ``tools``
    LiveKit's chat items and tools as the core's values, and back.
``payloads`` and ``errors``
    What listeners get and what users catch.
``metrics`` and ``telemetry``
    What a session measures, and its OpenTelemetry spans.
``job``, ``subscription``, ``listener`` and ``pacing``
    The ``AgentSession`` in a LiveKit job: whether the caller can hear the agent, whether LiveKit
    plays an answer, and how its transcripts keep pace.
``plugin`` and ``preload``
    Tells LiveKit of this package, and what a worker imports for its jobs beforehand.

What a session does next is decided by the machine, never here.
"""
