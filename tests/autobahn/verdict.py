"""What a report of the suite comes to, held against what is known of aiohttp.

A case is judged twice: for what was said in it, and for how the connection was closed. A strict
reading is not asked for: where text is broken the suite would have it known at the first fragment,
and aiohttp decodes a message when it is whole (6.4.*, NON-STRICT).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PASSED: Final = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})

KNOWN: Final = frozenset({"7.9.5"})
"""What aiohttp 3.14 fails: a peer closes with 1006, which may not be sent, and is answered with
1000 instead of 1002."""

Report = Mapping[str, Mapping[str, str]]
"""By case: how it went (`behavior`), and how it was closed (`behaviorClose`)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A report, counted."""

    counts: Mapping[str, int]
    """Cases by what was made of them; a failed close counts as a failure."""
    failed: frozenset[str]

    @property
    def new(self) -> list[str]:
        """What fails and is not known to."""
        return sorted(self.failed - KNOWN)

    @property
    def gone(self) -> list[str]:
        """What is known to fail and does not any more."""
        return sorted(KNOWN - self.failed)

    @property
    def words(self) -> str:
        """The counts in one line."""
        total = sum(self.counts.values())
        parts = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        return f"{total} cases: {parts}; failed: {', '.join(sorted(self.failed)) or 'none'}"


def verdict(report: Report) -> Verdict:
    """Count a report."""
    made = {name: _made_of(case) for name, case in report.items()}
    failed = frozenset(name for name, behavior in made.items() if behavior not in PASSED)
    return Verdict(Counter(made.values()), failed)


def _made_of(case: Mapping[str, str]) -> str:
    behavior, close = case["behavior"], case["behaviorClose"]
    return behavior if behavior not in PASSED or close in PASSED else close
