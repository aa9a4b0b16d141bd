"""The journal's database: its tables, its transactions, and how it starts over after a crash.

SQLite with a write-ahead log, one connection that writes and one that reads; they do not wait for
each other. Opening it begins a new epoch and turns every attempt that an earlier process left open
into the event that was kept for it, in one transaction.

The log is folded into the database by `fold`, asked for by the writer between transactions, and
not by SQLite's automatic: that one passes over errors, a failed sync of the database among them,
and the next fold would then succeed without the data (SQLite 3.40, `sqlite3WalDefaultHook`).

Nothing here knows of threads; one thread writes, and the reader has a lock of its own.
"""

import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from uuid import uuid4

FILE: Final = "journal.db"

Durability = Literal["process", "power"]
"""What an event that is confirmed survives: the end of the process, or a loss of power."""

PURGE: Final = 2_000
"""Rows deleted in a transaction at most, so that no event waits long behind it."""

_SYNCHRONOUS: Final[Mapping[Durability, str]] = {"process": "NORMAL", "power": "FULL"}

_PATIENCE: Final = 30.0
"""Seconds for whoever else has the database open: an operator's shell, a backup."""

_SCHEMA: Final = 1

_TABLES: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE epoch (e INTEGER PRIMARY KEY AUTOINCREMENT, pid TEXT UNIQUE, started_ns INTEGER);
CREATE TABLE attempt_open (
    attempt_id BLOB PRIMARY KEY, e INTEGER, opened_ns INTEGER, body BLOB) WITHOUT ROWID;
CREATE TABLE ev (
    e INTEGER, seq INTEGER, id BLOB, ts_ns INTEGER, body BLOB, PRIMARY KEY (e, seq)) WITHOUT ROWID;
CREATE UNIQUE INDEX ev_id ON ev (id);
PRAGMA user_version = {_SCHEMA};
COMMIT;
"""

_RECOVER: Final = """
INSERT INTO ev
SELECT ?, row_number() OVER (ORDER BY opened_ns, attempt_id), attempt_id, ?, body
FROM attempt_open WHERE attempt_id NOT IN (SELECT id FROM ev)
"""

_NO_SPACE: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
)
"""What a full disk, a quota or a limit on a file's size comes out as: the write failed, SQLite has
rolled back, and the file is as it was."""


class JournalError(Exception):
    """The journal cannot do what it was asked; the text says why."""


class JournalFullError(JournalError):
    """There is no space on the disk for another attempt: do not start it."""


class JournalFailedError(JournalError):
    """The journal has failed for good: nothing is confirmed any more."""


@dataclass(frozen=True, slots=True)
class Row:
    """One event, as it is kept."""

    epoch: int
    seq: int
    """From 1, without a gap in its epoch."""
    id: bytes
    """The attempt's; the event's too."""
    ts_ns: int
    """When it was written down, Unix time in nanoseconds; a label only."""
    body: bytes


def raised(failure: sqlite3.Error, path: Path) -> JournalError:
    """SQLite's failure as ours."""
    code = getattr(failure, "sqlite_errorcode", None)  # not set by the module's own errors
    name = getattr(failure, "sqlite_errorname", type(failure).__name__)
    if code in _NO_SPACE:
        return JournalFullError(f"{path}: there is no space left on the disk ({name})")
    return JournalFailedError(f"{path}: {failure} ({name})")


class Store:
    """The database, for the one thread that writes to it."""

    def __init__(self, path: Path, *, durability: Durability, now_ns: int) -> None:
        """Open it, or make it; begin an epoch, recover what was left open.

        Raises JournalFullError, or JournalFailedError where it is no journal or a newer one.
        """
        self.path = path
        self.producer = str(uuid4())
        """Who writes: different at every start."""
        self.epoch = 0
        self.head = 0
        """The highest number given in this epoch."""
        try:
            self._connection = _connect(path, durability)
            try:
                self._begin(now_ns)
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as failure:
            raise raised(failure, path) from failure

    def _begin(self, now_ns: int) -> None:
        """One transaction: what is recovered is in the epoch that is new with it."""
        connection = self._connection
        self._prepare()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            ((self.epoch,),) = connection.execute(
                "INSERT INTO epoch (pid, started_ns) VALUES (?, ?) RETURNING e",
                (self.producer, now_ns),
            ).fetchall()
            self.head = connection.execute(_RECOVER, (self.epoch, now_ns)).rowcount
            connection.execute("DELETE FROM attempt_open")

    def _prepare(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._connection.executescript(_TABLES)
        elif version != _SCHEMA:
            raise JournalFailedError(
                f"{self.path}: schema {version} is not known here, only {_SCHEMA} is; it was "
                "written by another version of Tailrace"
            )

    def write(
        self,
        opened: Mapping[bytes, bytes],
        renewed: Mapping[bytes, bytes],
        closed: Mapping[bytes, bytes],
        *,
        now_ns: int,
    ) -> None:
        """One transaction: attempts begun, their events renewed, and the events of those over.

        By attempt id. Where an id has an event already, that one stays: events do not change.
        Raises sqlite3.Error; then nothing was written.
        """
        fresh = list(closed)
        try:
            self._write(opened, renewed, closed, fresh, now_ns)
        except sqlite3.IntegrityError:
            # Looked for only now: closing twice is rare, and a look for each event is not free.
            fresh = [key for key in closed if not self._known(key)]
            self._write(opened, renewed, closed, fresh, now_ns)
        self.head += len(fresh)

    def _write(
        self,
        opened: Mapping[bytes, bytes],
        renewed: Mapping[bytes, bytes],
        closed: Mapping[bytes, bytes],
        fresh: list[bytes],
        now_ns: int,
    ) -> None:
        connection, epoch = self._connection, self.epoch
        # An attempt that is over before it was written down need not be opened.
        begun = [(key, epoch, now_ns, body) for key, body in opened.items() if key not in closed]
        events = [
            (epoch, seq, key, now_ns, closed[key]) for seq, key in enumerate(fresh, self.head + 1)
        ]
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO attempt_open VALUES (?, ?, ?, ?)", begun)
            connection.executemany(
                "UPDATE attempt_open SET body = ? WHERE attempt_id = ?",
                [(body, key) for key, body in renewed.items()],
            )
            connection.executemany("INSERT INTO ev VALUES (?, ?, ?, ?, ?)", events)
            connection.executemany(
                "DELETE FROM attempt_open WHERE attempt_id = ?", [(key,) for key in closed]
            )

    def _known(self, key: bytes) -> bool:
        found = self._connection.execute("SELECT 1 FROM ev WHERE id = ?", (key,)).fetchone()
        return found is not None

    def purge(self, epoch: int, through: int, before_ns: int) -> int:
        """Delete the epoch's first rows: at most PURGE, none after `through`, none younger.

        Only ever the first ones, so that what is left has no gap; a clock that was set back may
        keep some longer. Returns how many were deleted. Raises sqlite3.Error.
        """
        rows = self._connection.execute(
            "SELECT seq, ts_ns FROM ev WHERE e = ? AND seq <= ? ORDER BY seq LIMIT ?",
            (epoch, through, PURGE),
        ).fetchall()
        last = 0
        for seq, ts_ns in rows:
            if ts_ns >= before_ns:
                break
            last = seq
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            gone = self._connection.execute(
                "DELETE FROM ev WHERE e = ? AND seq <= ?", (epoch, last)
            )
        return gone.rowcount

    def forget(self) -> list[str]:
        """Delete the earlier epochs that have no rows, and return their producers."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            gone = self._connection.execute(
                "DELETE FROM epoch WHERE e < ? AND e NOT IN (SELECT e FROM ev) RETURNING pid",
                (self.epoch,),
            ).fetchall()
        return [producer for (producer,) in gone]

    def fold(self) -> None:
        """Bring the log into the database, as far as readers let it. Raises sqlite3.Error."""
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Fold the log and close; nothing may be asked for afterwards. Raises sqlite3.Error."""
        try:
            self.fold()
        finally:
            self._connection.close()

    def abandon(self) -> None:
        """Close after a failure; the log is left as it is, for the next start to judge.

        A `Reader` must be open: SQLite would fold the log at the end of the last connection.
        """
        self._connection.close()


class Reader:
    """The same database for those who read it, from any thread."""

    def __init__(self, path: Path) -> None:
        """It must exist."""
        self._connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro",
            uri=True,
            check_same_thread=False,
            isolation_level=None,
            timeout=_PATIENCE,
        )
        self._turn = threading.Lock()
        self._producers: dict[int, str] = {}

    def epochs(self) -> list[int]:
        """All that have not been forgotten, the oldest first."""
        return [epoch for (epoch,) in self._ask("SELECT e FROM epoch ORDER BY e")]

    def producer(self, epoch: int) -> str:
        """Who wrote the epoch. Raises KeyError: there is no such epoch."""
        if epoch not in self._producers:
            self._producers |= dict(self._ask("SELECT e, pid FROM epoch WHERE e = ?", epoch))
        return self._producers[epoch]

    def rows(self, epoch: int, after: int, limit: int) -> list[Row]:
        """The epoch's events after that number, in order."""
        found = self._ask(
            "SELECT e, seq, id, ts_ns, body FROM ev WHERE e = ? AND seq > ? ORDER BY seq LIMIT ?",
            epoch,
            after,
            limit,
        )
        return [Row(*row) for row in found]

    def span(self, epoch: int) -> tuple[int, int] | None:
        """The first and the last number that are kept; None where none are."""
        ((first, last),) = self._ask("SELECT min(seq), max(seq) FROM ev WHERE e = ?", epoch)
        return None if first is None else (first, last)

    def holds_anything(self) -> bool:
        """Whether there is an event, or an attempt that was left open."""
        ((found,),) = self._ask(
            "SELECT EXISTS (SELECT 1 FROM ev) OR EXISTS (SELECT 1 FROM attempt_open)"
        )
        return bool(found)

    def close(self) -> None:
        """Nothing may be asked for afterwards."""
        with self._turn:
            self._connection.close()

    def _ask(self, question: str, *values: int) -> list[tuple[Any, ...]]:
        # To the end at once: a read that stays open keeps the log from being folded.
        with self._turn:
            return self._connection.execute(question, values).fetchall()


def _connect(path: Path, durability: Durability) -> sqlite3.Connection:
    # Opened by one thread, used by another.
    connection = sqlite3.connect(
        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
    )
    for setting in (
        "journal_mode = WAL",
        f"synchronous = {_SYNCHRONOUS[durability]}",
        "wal_autocheckpoint = 0",
        # Some builds overwrite what is deleted; here that would be every record, twice.
        "secure_delete = OFF",
    ):
        connection.execute(f"PRAGMA {setting}")
    return connection
