"""The machine: events in, effects out, nothing done.

Theory of operation, in the order in which an event travels:

``events``
    What can happen to a session: messages from Phonic, news of the connection, timers, calls
    from LiveKit. Frozen values.
``states``
    The nine states a session can be in.
``table``
    Every state × event pair, written down as a move, a stay or an explicit *ignored*. The
    machine, its tests and ``docs/state-diagram.md`` all read this one table.
``guards``
    The questions that the table asks. They look and never change anything.
``actions``
    What the table's rows do: they change the context and append effects. A module a subject.
``turns``, ``timers`` and ``wording``
    What actions share: how turns and replies end, what is waited for, what errors say.
``outgoing``
    How messages leave: at once, or once the server is ready.
``context``
    What a session remembers beside its state (the extended state, in statechart terms).
``history`` and ``prompt``
    What has been said, and how it is carried in a system prompt.
``effects``
    What the outside is asked to do. Frozen values.
``machine``
    One ``transitions.Machine`` for the process, with events that take the table's rows and do
    nothing else, and ``SessionMachine.step``.

Nothing in here reads a clock or a random source, opens anything or knows LiveKit, the SDK or the
event loop (an import contract holds that). Seconds are only ever written down, by effects; ids
are counted from the seed in ``Settings``. So the same events make the same steps, everywhere.
"""
