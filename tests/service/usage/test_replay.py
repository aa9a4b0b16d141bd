"""Journals, followed and replayed: exact sums without a Redis, and after everything else."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import tasks
from service.usage.batch import Entry, settle
from service.usage.database import connect
from service.usage.journal import Journal
from service.usage.replay import BATCH, Follower, replay
from service.usage.report import Query, report
from service.usage.rollups import HistoryError, Letter, Rollups
from service.usage.slot import Slot
from service.usage.store import FILE, Row
from service.usage.tally import TABLES
from tests.house.tree import ROOT
from tests.service.usage.attempts import body, oracle
from tests.service.usage.servers import until
from tests.service.usage.test_aggregate import Witness

NOW = 1_795_400_000_000_000_000
FUTURE = 1 << 62  # nanoseconds


class Paper:
    """A journal as a list; its epochs by number."""

    def __init__(self, *epochs: Sequence[bytes]) -> None:
        self.appended = asyncio.Event()
        self.kept = {number: list(enumerate(told, 1)) for number, told in enumerate(epochs, 1)}

    def epochs(self) -> list[int]:
        return list(self.kept)

    def producer(self, epoch: int) -> str:
        return f"paper-{epoch}"

    def rows(self, epoch: int, after: int, limit: int) -> list[Row]:
        found = [Row(epoch, seq, b"", 0, told) for seq, told in self.kept[epoch] if seq > after]
        return found[:limit]

    def append(self, *told: bytes, epoch: int = 1) -> None:
        rows = self.kept[epoch]
        rows += enumerate(told, rows[-1][0] + 1 if rows else 1)
        self.appended.set()


@pytest.fixture
def sums(tmp_path: Path) -> Callable[[], Rollups]:
    return partial(Rollups, partial(connect, str(tmp_path / "sums.db")))


@asynccontextmanager
async def following(rollups: Rollups, *journals: Paper | Journal) -> AsyncIterator[Witness]:
    witness = Witness()
    follower = Follower(rollups, lambda: journals, observer=witness)
    task = tasks.spawn(follower.run(), name="follower")
    try:
        yield witness
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(rollups.close)


def told_by(witness: Witness, new: int) -> Callable[[], object]:
    async def so_many() -> bool:
        return witness.new >= new

    return so_many


def kept(rollups: Rollups) -> list[list[tuple[object, ...]]]:
    found = [
        sorted(rollups.read(f"SELECT * FROM {table}", ()), key=str)  # noqa: S608 - our own names
        for table in TABLES.values()
    ]
    rollups.close()
    return found


def total(rollups: Rollups) -> tuple[int, int | None]:
    line = report(rollups.read, Query()).total
    rollups.close()
    return line.attempts, line.cost_nano_usd


def exact(told: Sequence[bytes]) -> tuple[int, int | None]:
    """Attempts and cost by somebody else's reckoning."""
    ((attempts, _, cost, _),) = oracle(told).values()
    return attempts, cost


# --- Following ---


async def test_what_is_closed_is_counted_at_once(
    tmp_path: Path, sums: Callable[[], Rollups]
) -> None:
    def unheard(failure: Exception) -> None:
        raise AssertionError(failure)

    told = [body(number) for number in range(40)]
    journal = await Journal.start(
        Slot.claim(tmp_path, volatile=True), on_failure=unheard, ballast=4096
    )
    async with following(sums(), journal) as witness:
        for one in told:
            await journal.close(UUID(orjson.loads(one)["id"]).bytes, one)
        await until(told_by(witness, 40))
    assert total(sums()) == exact(told)
    producer = journal.producer(journal.epoch)
    assert sums().positions([producer]) == {producer: 40}
    assert await journal.purge({journal.epoch: 40}, FUTURE) == []
    await journal.stop()


async def test_every_epoch_of_every_journal_is_followed_and_goes_on_where_it_was(
    sums: Callable[[], Rollups],
) -> None:
    told = [body(number) for number in range(BATCH * 2 + 60)]
    own, other = Paper(told[:10], told[10 : BATCH * 2 + 30]), Paper(told[BATCH * 2 + 30 :])
    other.producer = "other-{}".format  # type: ignore[method-assign] # another journal's producers
    async with following(sums(), own, other) as witness:
        await until(told_by(witness, len(told)))
    own.append(body(9_999), epoch=2)
    async with following(sums(), own, other) as witness:
        await until(told_by(witness, 1))
    assert (witness.new, witness.repeated) == (1, 0)
    assert total(sums()) == exact([*told, body(9_999)])


async def test_without_a_journal_there_is_nothing_to_follow(sums: Callable[[], Rollups]) -> None:
    async with following(sums()) as witness:
        await asyncio.sleep(0)
    assert witness.failures == []


async def test_what_cannot_be_counted_is_given_up_at_once_and_holds_up_nothing(
    sums: Callable[[], Rollups],
) -> None:
    rollups = sums()
    rollups.read(
        "CREATE TRIGGER t BEFORE INSERT ON usage_minute WHEN NEW.model = 'poison'"
        " BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        (),
    )
    paper = Paper([body(0), b"broken", body(2), body(3, model="poison"), body(4)])
    async with following(rollups, paper) as witness:
        await until(told_by(witness, 3))
    assert [(one.seq, one.deliveries) for one in witness.letters] == [(2, 1), (4, 1)]
    assert witness.letters[0].place == "journal paper-1 2"
    assert sums().letters() == sorted(witness.letters, key=lambda one: one.place)
    assert sums().positions(["paper-1"]) == {"paper-1": 5}
    assert total(sums()) == exact([body(0), body(2), body(4)])


async def test_what_was_purged_before_it_was_ever_read_is_passed_over(
    sums: Callable[[], Rollups],
) -> None:
    paper = Paper([body(number) for number in range(9)])
    del paper.kept[1][:5]
    async with following(sums(), paper) as witness:
        await until(told_by(witness, 4))
    assert sums().positions(["paper-1"]) == {"paper-1": 9}


async def test_a_database_that_is_away_is_waited_for(
    tmp_path: Path, sums: Callable[[], Rollups]
) -> None:
    (tmp_path / "sums.db").mkdir()
    async with following(sums(), Paper([body(1)])) as witness:

        async def failed() -> bool:
            return bool(witness.failures)

        await until(failed)
        (tmp_path / "sums.db").rmdir()
        await until(told_by(witness, 1))

        async def well() -> bool:
            return witness.failures[-1] is None

        await until(well)


async def test_going_over_from_a_stream_to_the_journal_counts_nothing_twice(
    sums: Callable[[], Rollups],
) -> None:
    told = [body(number) for number in range(30)]
    fields = [
        {b"p": b"paper-1", b"s": b"%d" % seq, b"v": b"1", b"e": one}
        for seq, one in enumerate(told, 1)
    ]
    # Another consumer has 11 to 20 still, and will never come back.
    mine = [Entry(f"{n}-0", one, 1) for n, one in enumerate(fields) if n not in range(10, 20)]
    settle(sums(), "s", mine, NOW)
    async with following(sums(), Paper(told)) as witness:
        await until(told_by(witness, 10))
    assert total(sums()) == exact(told)


_WITHIN = ("INSERT INTO usage_minute", "INSERT INTO usage_taken", "DELETE FROM usage_taken")
"""Of what a transaction consists of; the last one is followed by the commit."""


async def _counting(journal: Path, sums: Path, statement: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.service.usage.follow_process"),
        *(str(journal), str(sums), statement),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


async def test_killed_within_any_transaction_it_still_counts_everything_once(
    tmp_path: Path, sums: Callable[[], Rollups]
) -> None:
    def unheard(failure: Exception) -> None:
        raise AssertionError(failure)

    told = [body(number) for number in range(120)]
    slot = Slot.claim(tmp_path, volatile=True)
    path = slot.path / FILE
    journal = await Journal.start(slot, on_failure=unheard, ballast=4096)
    for one in told:
        await journal.close(UUID(orjson.loads(one)["id"]).bytes, one)
    await journal.stop()
    sums().positions(["nobody"])  # the tables are made outside of what is stopped
    for statement in _WITHIN:
        process = await _counting(path, tmp_path / "sums.db", statement)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"stopped\n"
        process.kill()
        await process.wait()
        assert total(sums()) == (0, None)
    process = await _counting(path, tmp_path / "sums.db", "nothing")
    assert await process.wait() == 0
    assert total(sums()) == exact(told)


# --- Replaying ---


def test_wiped_sums_are_replayed_to_the_last_bit(sums: Callable[[], Rollups]) -> None:
    told = [body(number) for number in range(BATCH + 200)]
    paper = Paper(told[:300], [*told[300:], b"broken"])
    rollups = sums()
    assert replay(rollups, [paper], since=0, now_ns=NOW) == len(told)
    before = kept(sums())
    letters = rollups.letters()
    for table in (*TABLES.values(), "usage_seen", "usage_taken", "usage_dead_letter"):
        rollups.read(f"DELETE FROM {table}", ())  # noqa: S608 - our own names
    assert replay(rollups, [paper], since=0, now_ns=NOW) == len(told)
    assert kept(sums()) == before
    assert rollups.letters() == letters
    assert rollups.positions(["paper-1", "paper-2"]) == {"paper-1": 300, "paper-2": BATCH - 99}
    assert total(sums()) == exact(told)
    rollups.close()


def test_replaying_what_is_right_changes_nothing(sums: Callable[[], Rollups]) -> None:
    paper = Paper([body(number) for number in range(50)])
    replay(sums(), [paper], since=0, now_ns=NOW)
    before = kept(sums())
    assert replay(sums(), [paper], since=1_795_392_000, now_ns=NOW) == 50
    assert kept(sums()) == before


def test_replaying_knows_what_was_purged(sums: Callable[[], Rollups]) -> None:
    paper = Paper([body(number) for number in range(9)])
    del paper.kept[1][:5]
    replay(sums(), [paper], since=0, now_ns=NOW)
    assert sums().positions(["paper-1"]) == {"paper-1": 9}


def test_replaying_without_all_journals_is_refused(sums: Callable[[], Rollups]) -> None:
    one, other = Paper([body(1)]), Paper([], [body(2)])
    replay(sums(), [one, other], since=0, now_ns=NOW)
    with pytest.raises(HistoryError, match="1 attempts"):
        replay(sums(), [one], since=0, now_ns=NOW)
    assert total(sums()) == exact([body(1), body(2)])


# --- Whatever the order ---

_STEPS = st.lists(
    st.one_of(
        st.lists(st.integers(0, 39), min_size=1, max_size=15),
        st.sampled_from(["restart", "follow", "replay"]),
    ),
    max_size=10,
)


@settings(max_examples=40, deadline=None)
@given(steps=_STEPS, poison=st.sets(st.integers(0, 39), max_size=2))
def test_sums_are_exact_whatever_is_repeated_redelivered_restarted_and_replayed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[int] | str], poison: set[int]
) -> None:
    told = [b"{}" if number in poison else body(number) for number in range(40)]
    paper = Paper(told[:25], told[25:])
    url = str(tmp_path_factory.mktemp("sums") / "sums.db")
    rollups = Rollups(partial(connect, url))
    deliveries = [0] * 40
    letters: dict[int, Letter] = {}

    def entry(number: int) -> Entry:
        deliveries[number] += 1
        producer, seq = (b"paper-1", number + 1) if number < 25 else (b"paper-2", number - 24)
        fields = {b"p": producer, b"s": b"%d" % seq, b"v": b"1", b"e": told[number]}
        return Entry(f"{number}-0", fields, deliveries[number])

    for step in [*steps, "follow"]:
        if step == "restart":
            rollups.close()
            rollups = Rollups(partial(connect, url))
        elif step == "follow":
            asyncio.run(Follower(rollups, lambda: [paper]).catch_up())
        elif step == "replay":
            replay(rollups, [paper], since=0, now_ns=NOW)
        else:
            batch = [entry(int(number)) for number in step]
            settled = settle(rollups, "s", batch, NOW)
            letters |= {int(key.partition("-")[0]): letter for key, letter in settled.buried}
    good = [one for number, one in enumerate(told) if number not in poison]
    assert total(Rollups(partial(connect, url))) == exact(good)
    assert rollups.positions(["paper-1", "paper-2"]) == {"paper-1": 25, "paper-2": 15}
    assert letters.keys() <= poison
    rollups.close()
