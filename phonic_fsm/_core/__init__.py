"""The machine: an event goes in, effects come out, and nothing is done.

The modules, in the order in which an event passes through them:

``events``
    What can happen to a session: messages from Phonic, news of the connection, timers, and calls
    from LiveKit.
``states``
    The ten states that a session can be in.
``reading``
    What a text of Phonic's says that the machine decides by, as a field of the event.
``table``
    What happens on each event in each state. The machine, its tests and the generated pages all
    read this one table.
``guards``
    The questions that the table asks before it takes a row.
``actions``
    What the rows do, with a module for each section of the table. Its ``choices`` are the rules by
    which the next state follows from what is remembered.
``turns``, ``timers`` and ``wording``
    What several actions share: turns and replies, waiting, and the words of errors.
``outgoing``
    How messages leave: at once, or once the server is ready.
``context``
    What a session remembers beside its state.
``history`` and ``prompt``
    What was said, and how a system prompt carries it.
``effects``
    What is to be done outside the machine.
``machine``
    One ``transitions.Machine`` for the process, and ``SessionMachine.step``.

The same events make the same steps, everywhere. So nothing in here reads a clock, draws a random
number or opens anything, and nothing knows LiveKit, the SDK or the event loop; an import contract
holds that. Times come in with events, and ids are counted from the seed in ``Settings``.
"""
