"""Where the sums are kept: SQLite in a file, or PostgreSQL, asked in the same SQL.

What the two differ in is here and in `service.usage.postgres`: how a transaction begins, how errors
are sorted, how a placeholder is written. The SQL itself is what both understand: INSERT ... ON
CONFLICT, RETURNING, UNION ALL. Both connections block; who has an event loop asks in a thread.

Errors are of two kinds. `UnavailableError`: not now, whoever asked may ask the same again, and
nothing was changed, or, where the connection broke during a commit, perhaps all of it was; asking
again must therefore be harmless. `RefusedError`: never, this content cannot be stored.

SQLite syncs every commit. What is committed here is acknowledged to Redis next, and a loss of power
must not take back the one without the other.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

Row = tuple[Any, ...]

_PATIENCE: Final = 30.0
"""Seconds that SQLite waits for whoever else is writing."""


class UnavailableError(Exception):
    """The database cannot answer now."""


class RefusedError(Exception):
    """The database cannot store this."""


class Database(Protocol):
    """One connection, for one thread at a time. All but `close` raise the errors above."""

    clustered: str
    """What a table's definition ends in to keep its rows in the primary key."""

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """One statement with `?` for values, and all of its rows."""

    def repeat(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """One statement for each row."""

    def transaction(self) -> AbstractContextManager[None]:
        """What is asked within is done as a whole, or not at all."""

    def lock(self, table: str) -> None:
        """Until the transaction ends nobody else writes to the table; readers are let through."""

    def close(self) -> None:
        """Nothing may be asked for afterwards."""


def connect(url: str) -> Database:
    """Open `postgresql://...`, or SQLite's file of that path, which is made where it is missing.

    Raises UnavailableError, and ValueError where the URL is of no kind that is known here.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        return _Sqlite(Path(url))
    if scheme not in {"postgresql", "postgres"}:
        raise ValueError(f"{scheme}://: must be a file's path, or begin with postgresql://")
    try:
        # Not an import at the top: psycopg is an extra, and most installations have no use for it.
        postgres = import_module("service.usage.postgres")
    except ModuleNotFoundError:
        raise ValueError("postgresql:// needs an extra: pip install 'tailrace[postgres]'") from None
    database: Database = postgres.Postgres(url)
    return database


class _Sqlite:
    """A file."""

    clustered = "WITHOUT ROWID"

    def __init__(self, path: Path) -> None:
        with _sorted():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        with _sorted():
            return self._connection.execute(sql, values).fetchall()

    def repeat(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        with _sorted():
            self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        # IMMEDIATE, as one that began by reading could not go on to write after somebody else did.
        self.ask("BEGIN IMMEDIATE")
        try:
            yield
            self.ask("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.rollback()
            raise

    def lock(self, table: str) -> None:
        """Who is in a transaction is alone already."""

    def close(self) -> None:
        self._connection.close()


@contextmanager
def _sorted() -> Iterator[None]:
    """Turn Python's errors into ours; those about content are told by their class."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError) as failure:
        raise RefusedError(str(failure)) from failure
    except (sqlite3.Error, OSError) as failure:
        raise UnavailableError(f"{type(failure).__name__}: {failure}") from failure
