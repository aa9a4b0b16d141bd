"""A journal in memory, which is all that the publisher knows of one."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One event."""

    seq: int
    body: bytes


class Ledger:
    """Epochs of numbered events; what is purged is gone, its numbers are not used again."""

    def __init__(self) -> None:
        self.appended = asyncio.Event()
        self._epochs: dict[int, dict[int, Entry]] = {}
        self._last: dict[int, int] = {}

    def append(self, events: int, epoch: int = 1, size: int = 0) -> None:
        """Commit so many events more, of at least `size` bytes each."""
        rows = self._epochs.setdefault(epoch, {})
        first = self._last.get(epoch, 0) + 1
        for seq in range(first, first + events):
            rows[seq] = Entry(seq, f'{{"n":{seq}}}'.encode().ljust(size))
        self._last[epoch] = first + events - 1
        self.appended.set()

    def purge(self, through: int, epoch: int = 1) -> None:
        """Delete events up to that number."""
        for seq in range(1, through + 1):
            self._epochs[epoch].pop(seq, None)

    def drop(self, epoch: int) -> None:
        """Be done with an epoch."""
        del self._epochs[epoch]

    def epochs(self) -> list[int]:
        return list(self._epochs)

    def producer(self, epoch: int) -> str:
        return f"ledger-{epoch}"

    def rows(self, epoch: int, after: int, limit: int) -> list[Entry]:
        rows = self._epochs.get(epoch, {})
        found = []
        for seq in range(max(after + 1, min(rows, default=1)), self._last.get(epoch, 0) + 1):
            if seq in rows:
                found.append(rows[seq])
            if len(found) == limit:
                break
        return found
