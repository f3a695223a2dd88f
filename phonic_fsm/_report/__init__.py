"""Makes a trace into one HTML page that explains the call.

``call``
    Goes through a trace to its end, and gives each step to the next three.
``steps``
    Every step, and why the machine took it.
``lanes``
    What happened when: speech, tools, the connection, states.
``end`` and ``changes``
    Who ended the call and why; handoffs and settings that were changed.
``conversation``
    What was said.
``rules``
    Finds what stands out in the lanes, as ``findings``.
``both_sides``
    The conversation beside Phonic's record of it, if that has been fetched.
``numbers``
    The figures of ``trace.stats`` in words.
``waterfall``
    What each turn waited for, of the turns that ``trace`` has measured.
``sound`` and ``log``
    The call's audio, if it was recorded; what the process logged, if its log is given.
``page``
    The page of a call: all of it, and the page's own code from ``web/``.
``overview``, ``index``
    A call among many, and the page that lists them.
``comparison``
    The page of two calls side by side.
``document``
    Makes one HTML file of a page that needs nothing else.

Nothing here runs a session or knows LiveKit. Nothing in ``web/`` decides what a call means.
"""
