"""Rules with thresholds of one's own, as a command line gives them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import structs

from . import RULES
from .rule import Rule


class ThresholdError(ValueError):
    """There is no such threshold, or it cannot have this value. The text says which and why."""


def rules_with(settings: Iterable[str]) -> tuple[Rule, ...]:
    """All rules, with these thresholds set. A later setting of the same threshold holds.

    Args:
        settings: such as ``silence.waiting=5``. ``inf`` switches off what a time is for.

    Raises:
        ThresholdError: a setting names no threshold, or its value cannot be.
    """
    rules = {rule.name: rule for rule in RULES}
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        rule_name, _, threshold = name.partition(".")
        rule = rules.get(rule_name)
        if not equals or rule is None or threshold not in rule.__struct_fields__:
            raise ThresholdError(f"{setting!r} is no RULE.NAME=VALUE{_hint(rule)}")
        present = structs.asdict(rule)
        try:
            changed = msgspec.convert({**present, threshold: value}, type(rule), strict=False)
        except msgspec.ValidationError as error:
            raise ThresholdError(f"{setting!r}: {threshold} takes {_taken(error)}") from error
        rules[rule_name] = changed
    return tuple(rules.values())


def _taken(error: msgspec.ValidationError) -> str:
    """What the threshold takes, by what was wrong with the value that was given."""
    wanted = str(error).partition(" - at")[0].removeprefix("Expected ")
    kind, _, bound = wanted.partition(", got")[0].replace("`", "").partition(" ")
    number = "a whole number" if kind == "int" else "a number"
    return f"{number} {bound}".strip()


def _hint(rule: Rule | None) -> str:
    if rule is None:
        return f"; the rules are {', '.join(rule.name for rule in RULES)}"
    if not rule.__struct_fields__:
        return f"; {rule.name} has no threshold"
    return f"; {rule.name} has {', '.join(rule.__struct_fields__)}"
