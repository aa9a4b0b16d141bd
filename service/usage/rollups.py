"""The sums: per minute, hour and day, each event in them exactly once.

One transaction writes down the ids of a batch's events, takes those that were not there yet, adds
them to all three tables, and notes which numbers of which producers have been taken. So an event
may come as often as it likes, in any order, from a stream, a journal or both, before and after any
crash: it counts once, as long as its id is remembered. For how long that is, `Retention` says, and
checks that nothing can come back later.

What was taken is kept as runs of numbers, because several consumers share a stream and none sees
all of a producer's events. A run is a fact that only grows: whoever finds runs that touch replaces
them by one that covers them. Two who do so at once may leave runs that overlap, which the next one
joins; neither can take back what the other one wrote.

Rows are written in the order of their keys, so that consumers on one PostgreSQL do not block each
other in a circle. What the database refuses for its content is found by halving the batch and is
handed back; everything else in the batch is counted.

Thread-safe by a lock. Every method blocks, and raises UnavailableError where the database cannot
answer; the connection is opened when it is needed, and anew after a failure.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from service.usage.database import Database, RefusedError, Row, UnavailableError
from service.usage.tally import DAY, HOUR, TABLES, Amounts, Event, Key, Sums, coarser, sums

_SCHEMA: Final = 1
_CHUNK: Final = 500
"""Rows in one statement at most."""

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept, seconds."""

    journal_s: int = 7 * DAY
    """In the journals, after they were taken: so old may be what comes back."""

    seen_s: int = 30 * DAY
    """Ids, by which what comes back is told."""

    def __post_init__(self) -> None:
        """Raise ValueError where an event could come back after its id was forgotten."""
        if self.journal_s < HOUR:
            raise ValueError(
                f"journal_retention: {self.journal_s} s is not allowed; must be {HOUR} s or more"
            )
        if self.seen_s < 2 * self.journal_s:
            raise ValueError(
                f"dedupe_retention: {self.seen_s} s is not allowed; must be at least twice "
                f"journal_retention, {2 * self.journal_s} s, or events could be counted twice"
            )


class Run(NamedTuple):
    """Numbers of a producer's events, both ends included."""

    producer: str
    first: int
    last: int


class Arrival(NamedTuple):
    """An event, and where it came from."""

    event: Event
    producer: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What could not be counted, kept to be looked at."""

    place: str
    """Stream and entry id, or `journal` and producer and number: the same thing is kept once."""
    producer: str
    seq: int
    body: bytes
    reason: str
    deliveries: int
    at_ns: int
    """When it was given up; Unix time, nanoseconds."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch."""

    new: int = 0
    """Events that are counted now and were not before."""
    refused: tuple[tuple[Arrival, str], ...] = ()
    """What the database does not store, and why."""

    def __add__(self, other: "Taken") -> "Taken":
        """Of two batches."""
        return Taken(self.new + other.new, self.refused + other.refused)


class HistoryError(Exception):
    """Rebuilding would lose what is not in the journals any more."""


@dataclass(slots=True)
class Rollups:
    """The sums, and what keeps them right."""

    connect: Callable[[], Database]
    _open: Database | None = field(default=None, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    # --- Counting ---

    def take(self, arrivals: Sequence[Arrival], now_ns: int) -> Taken:
        """Count what has not been counted yet; `now_ns` in Unix time.

        What it refuses is neither counted nor noted as taken: give it up with `bury`.
        """
        if not arrivals:
            return Taken()
        try:
            with self._transaction() as database:
                runs = runs_of((arrival.producer, arrival.seq) for arrival in arrivals)
                return Taken(_count(database, arrivals, runs, now_ns))
        except RefusedError as refusal:
            if len(arrivals) == 1:
                return Taken(0, ((arrivals[0], str(refusal)),))
        middle = len(arrivals) // 2
        return self.take(arrivals[:middle], now_ns) + self.take(arrivals[middle:], now_ns)

    def bury(self, letters: Sequence[Letter]) -> None:
        """Keep what cannot be counted, and note it as taken: nobody is to wait for it."""
        with self._transaction() as database:
            database.repeat(
                _BURY,
                [
                    (x.place, x.producer, x.seq, x.body, x.reason, x.deliveries, x.at_ns)
                    for x in letters
                ],
            )
            # What has no number was never a producer's.
            _note(database, runs_of((x.producer, x.seq) for x in letters if x.seq > 0))

    def pass_over(self, run: Run) -> None:
        """Note numbers as taken that will never come: their journal has purged them."""
        with self._transaction() as database:
            _note(database, [run])

    def dismiss(self, producers: Collection[str]) -> None:
        """Forget which numbers of producers were taken of whom nothing will come any more."""
        with self._transaction() as database:
            database.repeat(
                "DELETE FROM usage_taken WHERE producer = ?", [(name,) for name in producers]
            )

    def knows(self, event_id: bytes) -> bool:
        """Whether an event has been counted."""
        with self._transaction() as database:
            return bool(database.ask("SELECT 1 FROM usage_seen WHERE id = ?", (event_id,)))

    def positions(self, producers: Collection[str]) -> dict[str, int]:
        """Of producers, the number up to which everything was taken; left out where not even 1."""
        asked = list(producers)
        if not asked:
            return {}
        places = ", ".join("?" * len(asked))
        with self._transaction() as database:
            rows = database.ask(
                "SELECT producer, last FROM usage_taken"
                f" WHERE first <= 1 AND producer IN ({places})",
                asked,
            )
        found: dict[str, int] = {}
        for producer, last in rows:
            found[producer] = max(last, found.get(producer, 0))
        return found

    def letters(self) -> list[Letter]:
        """Everything that was given up, the oldest first."""
        with self._transaction() as database:
            rows = database.ask(f"SELECT {', '.join(_LETTER)} FROM usage_dead_letter")
        found = [
            Letter(**dict(zip(_LETTER, (*row[:3], bytes(row[3]), *row[4:]), strict=True)))
            for row in rows
        ]
        return sorted(found, key=lambda letter: (letter.at_ns, letter.place))

    def read(self, sql: str, values: Sequence[object]) -> list[Row]:
        """One statement that changes nothing, and its rows: `service.usage.report` asks so.

        Without a transaction, so that it waits for nobody else who writes. Who counts at the same
        time in this process has an instance of its own.
        """
        with self._connection() as database:
            return database.ask(sql, values)

    # --- Keeping ---

    def forget(self, before_ns: int) -> int:
        """Drop ids that were seen before then; returns how many."""
        with self._transaction() as database:
            gone = database.ask(
                "DELETE FROM usage_seen WHERE seen < ? RETURNING 1", (before_ns // _NS,)
            )
        return len(gone)

    def rebuild(self, batches: Iterable[Sequence[Arrival]], *, since: int, now_ns: int) -> int:
        """Wipe the sums of the days from `since` on, and count everything again.

        One transaction: who reads sees the old sums or the new ones, and who counts waits.

        Args:
            batches: All that the journals hold, in any order.
            since: Unix seconds; its day is wiped whole.
            now_ns: Unix time.

        Returns how many events were counted. Raises HistoryError, and nothing is changed, where
        events are in the sums but not in the batches.
        """
        day = since // DAY * DAY
        with self._transaction() as database:
            database.lock("usage_seen")
            ((before,),) = database.ask("SELECT SUM(attempts) FROM usage_day WHERE at >= ?", (day,))
            database.ask(
                "CREATE TEMPORARY TABLE usage_before AS SELECT id FROM usage_seen WHERE ended >= ?",
                (day,),
            )
            database.ask("DELETE FROM usage_seen WHERE ended >= ?", (day,))
            for table in TABLES.values():
                database.ask(f"DELETE FROM {table} WHERE at >= ?", (day,))
            new = 0
            for arrivals in batches:
                runs = runs_of((arrival.producer, arrival.seq) for arrival in arrivals)
                new += _count(database, arrivals, runs, now_ns)
            ((again,),) = database.ask(
                "SELECT COUNT(*) FROM usage_before WHERE id IN (SELECT id FROM usage_seen)"
            )
            database.ask("DROP TABLE usage_before")
            lost = int(before or 0) - again
            if lost > 0:
                raise HistoryError(
                    f"{lost} attempts of the sums to be rebuilt are in none of the journals; "
                    "name all journals, or a later day to begin with"
                )
        return new

    def close(self) -> None:
        """Close the connection; the next question opens one."""
        with self._turn:
            self._drop()

    @contextmanager
    def _transaction(self) -> Iterator[Database]:
        with self._connection() as database, database.transaction():
            yield database

    @contextmanager
    def _connection(self) -> Iterator[Database]:
        with self._turn:
            try:
                if self._open is None:
                    self._open = opened(self.connect)
                yield self._open
            except UnavailableError:
                self._drop()
                raise

    def _drop(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def runs_of(numbers: Iterable[tuple[str, int]]) -> list[Run]:
    """Numbers of producers as runs."""
    return joined(Run(producer, seq, seq) for producer, seq in numbers)


def joined(runs: Iterable[Run]) -> list[Run]:
    """The same numbers in as few runs as can be, in order."""
    found: list[Run] = []
    for run in sorted(runs):
        last = found[-1] if found else None
        if last is not None and last.producer == run.producer and run.first <= last.last + 1:
            found[-1] = Run(last.producer, last.first, max(last.last, run.last))
        else:
            found.append(run)
    return found


# --- Within a transaction -------------------------------------------------------------------


def _count(
    database: Database, arrivals: Sequence[Arrival], runs: Sequence[Run], now_ns: int
) -> int:
    new = _unseen(database, arrivals, now_ns)
    minutes = sums(new)
    for period, table in TABLES.items():
        _add(database, table, coarser(minutes, period))
    _note(database, runs)
    return len(new)


def _unseen(database: Database, arrivals: Sequence[Arrival], now_ns: int) -> list[Event]:
    """Write down the ids, and return the events that had not come before."""
    events = {arrival.event.id: arrival.event for arrival in arrivals}
    seen = now_ns // _NS
    rows = [(key, events[key].ended, seen) for key in sorted(events)]
    new: list[Event] = []
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        places = ", ".join(["(?, ?, ?)"] * len(chunk))
        returned = database.ask(
            f"INSERT INTO usage_seen (id, ended, seen) VALUES {places}"
            " ON CONFLICT (id) DO NOTHING RETURNING id",
            [value for row in chunk for value in row],
        )
        new.extend(events[bytes(key)] for (key,) in returned)
    return new


def _add(database: Database, table: str, amounts: Sums) -> None:
    database.repeat(
        _ADD[table], [(at, *key, *amount) for (at, key), amount in sorted(amounts.items())]
    )


def _note(database: Database, runs: Sequence[Run]) -> None:
    for producer in sorted({run.producer for run in runs}):
        rows = database.ask(
            "SELECT producer, first, last FROM usage_taken WHERE producer = ?", (producer,)
        )
        known = [Run(*row) for row in rows]
        wanted = joined([*known, *(run for run in runs if run.producer == producer)])
        # Those that cover come first: whatever is deleted is then covered by what is there.
        database.repeat(
            "INSERT INTO usage_taken (producer, first, last) VALUES (?, ?, ?)"
            " ON CONFLICT (producer, first, last) DO NOTHING",
            [run for run in wanted if run not in known],
        )
        database.repeat(
            "DELETE FROM usage_taken WHERE producer = ? AND first = ? AND last = ?",
            [run for run in sorted(known) if run not in wanted],
        )


# --- Tables ---------------------------------------------------------------------------------

_LETTER: Final = ("place", "producer", "seq", "body", "reason", "deliveries", "at_ns")
_BURY: Final = (
    f"INSERT INTO usage_dead_letter ({', '.join(_LETTER)}) VALUES ({', '.join('?' * len(_LETTER))})"
    " ON CONFLICT (place) DO NOTHING"
)

_COUNTS: Final = ("attempts", "unknown_cost_attempts", "estimated_attempts")
"""Amounts that are always known."""


def _definitions(clustered: str) -> list[str]:
    """What both databases understand: BYTEA is no type of SQLite's, which keeps blobs in it."""
    seen = "id BYTEA PRIMARY KEY, ended BIGINT NOT NULL, seen BIGINT NOT NULL"
    taken = (
        "producer TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,"
        " PRIMARY KEY (producer, first, last)"
    )
    letter = (
        "place TEXT PRIMARY KEY, producer TEXT, seq BIGINT, body BYTEA, reason TEXT,"
        " deliveries BIGINT, at_ns BIGINT"
    )
    return [
        f"CREATE TABLE usage_seen ({seen}) {clustered}",
        "CREATE INDEX usage_seen_seen ON usage_seen (seen)",
        f"CREATE TABLE usage_taken ({taken}) {clustered}",
        f"CREATE TABLE usage_dead_letter ({letter})",
        *(f"CREATE TABLE {table} ({_sums_columns()}) {clustered}" for table in TABLES.values()),
    ]


def _sums_columns() -> str:
    keys = ", ".join(f"{name} TEXT NOT NULL" for name in Key._fields)
    amounts = ", ".join(
        f"{name} BIGINT{' NOT NULL' if name in _COUNTS else ''}" for name in Amounts._fields
    )
    return f"at BIGINT NOT NULL, {keys}, {amounts}, PRIMARY KEY (at, {', '.join(Key._fields)})"


def _addition(table: str) -> str:
    columns = ("at", *Key._fields, *Amounts._fields)
    # What is known of both, and null only where neither is: a sum with a null in it is null.
    added = ", ".join(
        f"{name} = COALESCE({table}.{name} + excluded.{name}, {table}.{name}, excluded.{name})"
        for name in Amounts._fields
    )
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        f" ON CONFLICT (at, {', '.join(Key._fields)}) DO UPDATE SET {added}"
    )


_ADD: Final = {table: _addition(table) for table in TABLES.values()}


def opened(connect: Callable[[], Database]) -> Database:
    """A connection to a database with these tables, which are made where they are missing.

    Raises UnavailableError; a newer version's tables are not touched either.
    """
    database = connect()
    try:
        _check(_version(database))
    except BaseException:
        database.close()
        raise
    return database


def _version(database: Database) -> int:
    try:
        return _prepared(database)
    except RefusedError:
        # Two made the tables at once, and the other one has by now: PostgreSQL tells of it so.
        return _prepared(database)


def _prepared(database: Database) -> int:
    """The tables' version."""
    with database.transaction():
        database.ask("CREATE TABLE IF NOT EXISTS usage_schema (version BIGINT PRIMARY KEY)")
        versions = database.ask("SELECT version FROM usage_schema")
        if versions:
            return int(versions[0][0])
        for definition in _definitions(database.clustered):
            database.ask(definition)
        database.ask("INSERT INTO usage_schema (version) VALUES (?)", (_SCHEMA,))
    return _SCHEMA


def _check(version: int) -> None:
    if version != _SCHEMA:
        raise UnavailableError(f"the sums are of version {version}, only {_SCHEMA} is known here")
