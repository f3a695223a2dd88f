"""Lets a package import its public names when they are first used.

LiveKit takes a second to load. Reading a trace does not need it, nor does a run of pytest, which
loads this package's plugin whether a test uses it or not.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy(
    package: str, names: dict[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__``.

    ``names`` maps a module, named relative to the package, to its public names, with spaces
    between. Type checkers read none of this: for them the package imports the names under
    ``TYPE_CHECKING`` and lists them in ``__all__``.
    """
    homes = {name: module for module, defined in names.items() for name in defined.split()}

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name], package), name)

    def listed() -> list[str]:
        return sorted(homes)

    return load, listed
