"""What writers did, and whether the sums are that: the oracle.

A writer notes an attempt before it does anything about it and again when the journal has said that
it is safe, each with one write(2) to a file of its own: what was written survives the end of the
process, however it came. (It is the process that dies here, never the machine.)

The verdict compares three sets of ids: attempted, acknowledged, and those that the sums know; and
the sums themselves, of every period and client, with what the ids that they know add up to.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from service.usage.database import connect
from service.usage.record import Verdict as Ending
from service.usage.rollups import Rollups
from service.usage.tally import TABLES
from tests.chaos.attempt import PERIODS, Amounts, Sums, sums

_ATTEMPTED = "?"
_ACKNOWLEDGED = "!"


class Ledger:
    """One writer's notes."""

    def __init__(self, folder: Path) -> None:
        """A new file in the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(folder / uuid4().hex, flags)

    def attempted(self, attempt: UUID) -> None:
        """It is about to be."""
        os.write(self._file, f"{_ATTEMPTED}{attempt.hex}\n".encode())

    def acknowledged(self, attempt: UUID) -> None:
        """The journal says that it is safe."""
        os.write(self._file, f"{_ACKNOWLEDGED}{attempt.hex}\n".encode())


@dataclass(frozen=True, slots=True)
class Noted:
    """What all writers noted."""

    attempted: frozenset[UUID]
    acknowledged: frozenset[UUID]


def noted(folder: Path) -> Noted:
    """Read every ledger in the folder."""
    found: dict[str, set[UUID]] = {_ATTEMPTED: set(), _ACKNOWLEDGED: set()}
    for file in folder.iterdir():
        for line in file.read_text().splitlines():
            found[line[0]].add(UUID(line[1:]))
    return Noted(frozenset(found[_ATTEMPTED]), frozenset(found[_ACKNOWLEDGED]))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of attempts."""

    attempted: int
    acknowledged: int
    aggregated: int
    lost: int
    """Acknowledged, and not in the sums."""

    double: int
    """Attempts in the sums beyond one for each id."""

    interrupted: int
    """Of those in the sums, the ones that a crash cut."""

    faults: tuple[str, ...] = field(default=())
    """In words, what is wrong; empty where nothing is."""


Forgivable = Callable[[UUID], bool]


def verdict(folder: Path, database: str, *, forgivable: Forgivable | None = None) -> Verdict:
    """Compare the ledgers in a folder with the sums.

    `forgivable`: whether an acknowledged attempt may be missing, where the journal's promise was
    less than the fault; one may then be told as cut, too.
    """
    notes = noted(folder)
    rollups = Rollups(lambda: connect(database))
    try:
        seen = {UUID(bytes=bytes(i)) for (i,) in rollups.read("SELECT id FROM usage_seen", ())}
        told = {period: _told(rollups, period) for period in PERIODS}
        interrupted = _interrupted(rollups)
    finally:
        rollups.close()
    missing = notes.acknowledged - seen
    lost = {attempt for attempt in missing if forgivable is None or not forgivable(attempt)}
    counted = {period: sum(row.attempts for row in told[period].values()) for period in PERIODS}
    return Verdict(
        attempted=len(notes.attempted),
        acknowledged=len(notes.acknowledged),
        aggregated=len(seen),
        lost=len(lost),
        double=max(counted.values()) - len(seen),
        interrupted=interrupted,
        faults=tuple(_faults(notes, seen, lost, told, 0 if forgivable else interrupted)),
    )


def _faults(
    notes: Noted,
    seen: set[UUID],
    lost: set[UUID],
    told: dict[int, Sums],
    interrupted: int,
) -> list[str]:
    found = []
    if lost:
        found.append(f"{len(lost)} acknowledged attempts are not in the sums, as {min(lost)}")
    if invented := seen - notes.attempted:
        found.append(f"{len(invented)} attempts in the sums never were, as {min(invented)}")
    for period, rows in told.items():
        if rows != sums(seen, period):
            found.append(f"the sums by {period} s are not what their attempts add up to")
    if interrupted > len(seen - notes.acknowledged):
        found.append(f"{interrupted} attempts are told as cut, some of which had ended")
    return found


def _told(rollups: Rollups, period: int) -> Sums:
    """The sums as they are in the database."""
    rows = rollups.read(
        "SELECT at, client, SUM(attempts), SUM(unknown_cost_attempts),"  # noqa: S608 - our own table
        " COALESCE(SUM(cost_nano_usd), 0), SUM(output_tokens)"
        f" FROM {TABLES[period]} GROUP BY at, client",
        (),
    )
    return {(int(at), client): Amounts._make(map(int, amounts)) for at, client, *amounts in rows}


def _interrupted(rollups: Rollups) -> int:
    ((found,),) = rollups.read(
        "SELECT COALESCE(SUM(attempts), 0) FROM usage_day WHERE outcome = ?", (Ending.INTERRUPTED,)
    )
    return int(found)
