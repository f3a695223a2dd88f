"""A load test of a user's own worker: many callers at once, and what they heard.

``plan``
    How many callers there are, when each calls, and what each does.
``caller``
    One of them, in a room of the user's LiveKit server.
``usage``
    What the worker's processes use meanwhile, where they run on this machine.
``figures``
    What all calls come to, and what was allowed.
``advice``
    What to look at where callers met no agent, or heard none.
``test``
    The whole test: callers, figures, and rooms that are removed.

The worker is not started here, and nothing is told to it: it is the one that the user runs.
"""
