"""What a rule is, and the units of its thresholds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, structs

from ..findings import Finding
from ..lanes import Lanes, Span
from ..severity import Severity

Seconds = Annotated[float, Meta(ge=0, extra={"unit": "s"})]
Count = Annotated[int, Meta(ge=1)]
Times = Annotated[float, Meta(gt=1, extra={"unit": "times"})]
Share = Annotated[float, Meta(ge=0, le=1, extra={"unit": "of 1"})]
Level = Annotated[float, Meta(le=0, extra={"unit": "dBFS"})]


def words_of(text: str) -> list[str]:
    """Its words, whatever stands between them."""
    return re.findall(r"\w+", text.lower())


class Rule(Struct, frozen=True, kw_only=True):
    """Looks for one kind of trouble in a call. Its fields are its thresholds."""

    name: ClassVar[str]
    severities: ClassVar[tuple[Severity, ...]]
    """Those that its findings may have, the worst first."""
    looks_for: ClassVar[str]
    """What it marks, in words. A threshold stands in it by its name, in braces."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        """What it finds in a call."""
        raise NotImplementedError

    @property
    def when(self) -> str:
        """What it marks, with the thresholds that it has."""
        return self.looks_for.format(**structs.asdict(self))

    def found(
        self,
        cause: str,
        sentence: str,
        span: Span,
        severity: Severity | None = None,
        *,
        noticed: str = "",
        silence: float = 0.0,
    ) -> Finding:
        """A finding about this stretch of the call. ``noticed`` is what the cause led to, in a few
        words. Without a severity, the finding has the rule's worst."""
        return Finding(
            rule=self.name,
            title=f"{cause}: {noticed}" if noticed else cause,
            sentence=sentence,
            noticed=noticed,
            silence=silence,
            step=span.step,
            start=span.start,
            end=span.end,
            severity=severity or self.severities[0],
        )
