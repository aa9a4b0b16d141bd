"""All journals of a data folder, as they are: `tailrace usage replay`.

They are only read, which one may do while the processes whose they are write to them. What such a
process counts in the meantime waits for the replay's transaction, and then counts as known.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from service.settings import Settings, SettingsError
from service.usage import sums
from service.usage.database import RefusedError, UnavailableError
from service.usage.replay import replay
from service.usage.report import Query, QueryError
from service.usage.rollups import HistoryError
from service.usage.slot import FOLDER
from service.usage.store import FILE, JournalError, Reader, raised

FAILURES: Final = (HistoryError, JournalError, RefusedError, UnavailableError)
"""What may come of a replay, whose text says why."""


def replayed(settings: Settings, since: str | None, *, now_ns: int) -> int:
    """Count again what the data folder's journals hold; returns how many events that were.

    Args:
        settings: Where the journals and the sums are.
        since: A date; the sums of its day and of later ones are made anew. None: all.
        now_ns: Unix time.

    Raises SettingsError for what is no date, and one of FAILURES, HistoryError where the sums hold
    what is in no journal; then nothing is changed.
    """
    day = _day(since)
    with _journals(settings.server.data) as journals, closing(sums.check(settings)) as rollups:
        return replay(rollups, journals, since=day, now_ns=now_ns)


def _day(since: str | None) -> int:
    try:
        return Query.parse(since, None, None).start or 0
    except QueryError as refusal:
        raise SettingsError(f"--since: {str(refusal).removeprefix('from: ')}") from None


@contextmanager
def _journals(data: Path) -> Iterator[Sequence[Reader]]:
    paths = sorted((data / FOLDER).glob(f"*/{FILE}"))
    if not paths:
        raise HistoryError(f"there is no journal in {data / FOLDER}")
    with ExitStack() as opened:
        readers = []
        for path in paths:
            try:
                readers.append(opened.enter_context(closing(Reader(path))))
            except sqlite3.Error as failure:
                raise raised(failure, path) from failure
        try:
            yield readers
        except sqlite3.Error as failure:
            # The sums' errors have been sorted: this is one of the journals'.
            raise JournalError(
                f"a journal in {data / FOLDER} cannot be read: {failure}"
            ) from failure
