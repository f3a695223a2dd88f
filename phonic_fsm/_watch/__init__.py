"""Serves the index and the pages of calls while they go on.

``source``
    Where calls are recorded: a folder that workers write to.
``fleet``
    Another such place: the journals that the workers of a fleet keep in Redis.
``running``
    One call that still goes on, and where it stands.
``calls``
    All calls of a source as rows of the index, kept up to date. Only what has changed is read.
``server``
    The pages, and streams of what changes, for this machine's browsers alone.

Nothing here writes to a trace.
"""
