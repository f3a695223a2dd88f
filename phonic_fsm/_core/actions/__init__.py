"""What the rows of the table do. An action changes the context and appends effects.

Each section of the table has a module. An action does not choose the next state: that is for the
row to say, or for one of the ``choices``. The first line of an action's docstring is what the
generated pages show for it.
"""
