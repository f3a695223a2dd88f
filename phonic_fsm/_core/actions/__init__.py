"""What the table's rows do: change the context, append effects, decide nothing about states.

A module a section of the table. The first line of each function's docstring is the row's text in
``docs/state-diagram.md``.
"""
