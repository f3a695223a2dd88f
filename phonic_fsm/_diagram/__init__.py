"""The machine's table for people: drawings, pages, and what happens to an event in a state.

``layout``
    Where the states stand in every drawing, and how the arrows between them run.
``arrows``
    The arrows, made from the table, and how often recorded calls went along each.
``graphs`` and ``svg``
    The diagram for Mermaid and Graphviz, and as a picture.
``rows``
    A row of the table in words, and the answer to "what happens when this arrives in that state".
``pages``
    The whole table as Markdown, by event and by state, and what recorded calls took of it.

Nothing here is written by hand: all of it follows from ``_core.table``.
"""
