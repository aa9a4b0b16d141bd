"""A process that counts a journal, to be killed: `python -m ... JOURNAL SUMS STATEMENT`.

It stops before the first statement to the database that begins so, says so and waits; it ends where
there is none.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event

from service.usage.database import Database, Row, connect
from service.usage.replay import Follower
from service.usage.rollups import Rollups
from service.usage.store import Reader


class Stopping:
    """A database that stops before a statement."""

    def __init__(self, database: Database, statement: str) -> None:
        self._database = database
        self._statement = statement
        self.clustered = database.clustered

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        self._stop(sql)
        return self._database.ask(sql, values)

    def repeat(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        self._stop(sql)
        self._database.repeat(sql, rows)

    def transaction(self) -> AbstractContextManager[None]:
        return self._database.transaction()

    def lock(self, table: str) -> None:
        self._database.lock(table)

    def close(self) -> None:
        self._database.close()

    def _stop(self, sql: str) -> None:
        if sql.startswith(self._statement):
            sys.stdout.write("stopped\n")
            sys.stdout.flush()
            Event().wait()


class Journal(Reader):
    """What is there already; nothing is appended."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.appended = asyncio.Event()


async def main() -> None:
    """Count, or stop."""
    journal, sums, statement = sys.argv[1:]
    rollups = Rollups(lambda: Stopping(connect(sums), statement))
    follower = Follower(rollups, lambda: [Journal(Path(journal))])
    await follower.catch_up()


if __name__ == "__main__":
    asyncio.run(main())
