"""What a scenario is, on which engines it is played, and what it has to show for itself."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from tests.house.tree import ROOT

Kind = Literal["valkey", "redis"]

HIREDIS = ROOT / "build" / "hiredis"
"""Where `make chaos-full` installs the parser written in C, apart from everything else."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One column of the matrix."""

    kind: Kind = "valkey"
    protocol: int = 2
    hiredis: Path | None = None
    """The folder in which the parser written in C is installed; None: the one in Python."""

    def __str__(self) -> str:
        """As the table names it."""
        return f"{self.kind} RESP{self.protocol}{' hiredis' if self.hiredis else ''}"


@dataclass(frozen=True, slots=True)
class Play:
    """What a scenario is played with."""

    folder: Path
    """Its own, and empty."""

    seed: int
    engine: Engine = field(default_factory=Engine)
    share: float = 1.0
    """Of the attempts and faults of the full form: `make test` plays short forms."""

    def of(self, full: int) -> int:
        """So many in this form, at least one."""
        return max(1, round(full * self.share))


@dataclass(slots=True, kw_only=True)
class Shown:
    """What a scenario has to show: figures, and that its fault was there."""

    attempted: int | None = None
    acked: int | None = None
    aggregated: int | None = None
    lost: int | None = None
    double: int | None = None
    redelivered: int | None = None
    """Events that came to a consumer again and were not counted again."""

    rewinds: int | None = None
    """Times a publisher saw that its engine had gone back."""

    fault: str = ""
    """That it was there, in words and numbers."""

    skipped: str = ""
    """Why it was not played, where this machine lacks something."""

    wrong: list[str] = field(default_factory=list)
    """What does not hold; empty where everything does."""

    def must(self, holds: object, words: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.wrong.append(words)


class Times(NamedTuple):
    """How long something took, milliseconds."""

    median: float
    p99: float

    def __str__(self) -> str:
        """Both."""
        return f"{self.median:.1f} ms (p99 {self.p99:.1f})"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One number of the list."""

    number: str
    title: str
    play: Callable[[Play], Awaitable[Shown]]
    on: Literal["given", "every", "none", "own"] = "given"
    """The engine that is asked for; each one of the matrix; without; or what it starts itself."""
