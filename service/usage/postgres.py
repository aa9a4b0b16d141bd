"""The sums in PostgreSQL, over psycopg 3; `service.usage.database` says what is asked of it.

Imported only where a URL asks for it: psycopg is the extra `postgres`. What is sent is prepared
after its fifth time, and the rows of one statement go out as a pipeline, so a batch costs a few
round trips, not one for each row.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg

from service.usage.database import RefusedError, Row, UnavailableError

_PATIENCE: Final = 10
"""Seconds for connecting."""


class Postgres:
    """A connection."""

    clustered = ""

    def __init__(self, url: str) -> None:
        """Connect; raises UnavailableError."""
        with _sorted():
            self._connection = psycopg.connect(
                url, autocommit=True, connect_timeout=_PATIENCE, application_name="tailrace"
            )
            # What is committed is acknowledged to Redis next. Stricter settings are left alone.
            if self.ask("SHOW synchronous_commit") == [("off",)]:
                self.ask("SET synchronous_commit = on")

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """One statement, and all of its rows."""
        with _sorted():
            cursor = self._connection.execute(_placed(sql), values)
            return cursor.fetchall() if cursor.description else []

    def repeat(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """One statement for each row."""
        with _sorted(), self._connection.cursor() as cursor:
            cursor.executemany(_placed(sql), rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As a whole, or not at all."""
        with _sorted(), self._connection.transaction():
            yield

    def lock(self, table: str) -> None:
        """Nobody else writes to the table until the transaction ends."""
        self.ask(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")

    def close(self) -> None:
        """Nothing may be asked for afterwards."""
        self._connection.close()


def _placed(sql: str) -> bytes:
    """With psycopg's placeholders; no statement here has a question mark or percent sign else."""
    return sql.replace("?", "%s").encode()


@contextmanager
def _sorted() -> Iterator[None]:
    """Turn psycopg's errors into ours; those about content are told by their class."""
    try:
        yield
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded) as why:
        raise RefusedError(_first_line(why)) from why
    except psycopg.Error as failure:
        raise UnavailableError(f"{type(failure).__name__}: {_first_line(failure)}") from failure


def _first_line(failure: psycopg.Error) -> str:
    """What follows it may show the row."""
    return str(failure).partition("\n")[0]
