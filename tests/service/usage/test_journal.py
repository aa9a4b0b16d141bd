"""The journal: what it says is safe is there again after all that can happen to a process."""

import asyncio
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import pytest

from service.usage.journal import (
    BATCH,
    Journal,
    JournalError,
    JournalFailedError,
    JournalFullError,
    adopt,
    left_behind,
)
from service.usage.slot import Slot
from service.usage.store import FILE, PURGE, Row
from tests.house.tree import ROOT
from tests.service.usage.journal_process import key

FUTURE = 1 << 62  # nanoseconds

Start = Callable[..., Awaitable[Journal]]


def unheard(failure: JournalError) -> None:
    raise AssertionError(failure)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a journal in the first free slot of a folder, and stops it at the end."""
    started: list[Journal] = []

    async def one(folder: Path = tmp_path, **options: object) -> Journal:
        options = {"ballast": 4096, "on_failure": unheard, **options}
        started.append(await Journal.start(Slot.claim(folder, volatile=True), **options))
        return started[-1]

    yield one
    for journal in started:
        await journal.stop()


def bodies(rows: list[Row]) -> list[bytes]:
    return [row.body for row in rows]


def everything(journal: Journal) -> list[Row]:
    return [row for epoch in journal.epochs() for row in journal.rows(epoch, 0, 1 << 30)]


def lose(path: str) -> None:
    Path(path).unlink()


def size(path: Path) -> int:
    return path.stat().st_size


def database(folder: Path, slot: int = 0) -> Path:
    return folder / "usage" / str(slot) / FILE


# --- Writing down and reading ---


async def test_events_are_numbered_from_one_in_the_order_in_which_they_came(start: Start) -> None:
    journal = await start()
    await asyncio.gather(*(journal.close(key(n), b"event %d" % n) for n in range(5)))
    rows = journal.rows(journal.epoch, 0, 10)
    assert [(row.seq, row.id, row.body) for row in rows] == [
        (n + 1, key(n), b"event %d" % n) for n in range(5)
    ]
    assert {row.epoch for row in rows} == {journal.epoch}
    assert journal.head(journal.epoch) == 5


async def test_rows_are_read_from_any_place_and_as_many_as_are_asked_for(start: Start) -> None:
    journal = await start()
    await asyncio.gather(*(journal.close(key(n), b"") for n in range(9)))
    assert [row.seq for row in journal.rows(journal.epoch, 3, 4)] == [4, 5, 6, 7]
    assert journal.rows(journal.epoch, 9, 4) == []


async def test_more_than_a_transaction_holds_comes_in_several(start: Start) -> None:
    journal = await start()
    await asyncio.gather(*(journal.close(key(n), b"") for n in range(BATCH * 2 + 1)))
    rows = journal.rows(journal.epoch, 0, BATCH * 3)
    assert [row.seq for row in rows] == list(range(1, BATCH * 2 + 2))


async def test_who_waits_for_events_is_woken(start: Start) -> None:
    journal = await start()
    waiting = asyncio.get_running_loop().create_task(journal.appended.wait())
    await journal.close(key(1), b"")
    async with asyncio.timeout(5):
        await waiting


async def test_of_two_events_of_an_attempt_the_first_stays_and_no_number_is_lost(
    start: Start,
) -> None:
    journal = await start()
    await asyncio.gather(journal.close(key(1), b"first"), journal.close(key(1), b"same moment"))
    await journal.close(key(1), b"later")
    await asyncio.gather(journal.close(key(1), b"again"), journal.close(key(2), b"second"))
    rows = journal.rows(journal.epoch, 0, 10)
    assert [(row.seq, row.body) for row in rows] == [(1, b"first"), (2, b"second")]


async def test_cancelling_who_waits_for_an_event_does_not_take_it_back(start: Start) -> None:
    journal = await start()

    async def end() -> None:
        await journal.close(key(1), b"event")

    ending = asyncio.get_running_loop().create_task(end())
    await asyncio.sleep(0)
    ending.cancel()
    await journal.close(key(2), b"")
    assert ending.cancelled()
    assert bodies(journal.rows(journal.epoch, 0, 10)) == [b"event", b""]


async def test_what_waits_is_written_down_before_the_end(start: Start, tmp_path: Path) -> None:
    first = await start()
    waiting = first.close(key(1), b"event")
    await first.stop()
    assert waiting.done()
    again = await start(tmp_path)
    assert bodies(everything(again)) == [b"event"]


async def test_the_log_is_folded_into_the_database_before_it_grows_without_end(
    start: Start, tmp_path: Path
) -> None:
    journal = await start(durability="process")
    for _ in range(3):
        await asyncio.gather(
            *(journal.close(os.urandom(16), b"x" * 500) for _ in range(BATCH * 10))
        )
    log = size(Path(f"{database(tmp_path)}-wal"))
    assert log < size(database(tmp_path))
    assert log < 8 << 20


# --- Epochs ---


async def test_every_start_is_an_epoch_with_a_producer_and_numbers_of_its_own(
    start: Start,
) -> None:
    first = await start()
    await first.close(key(1), b"one")
    await first.stop()
    second = await start()
    await second.close(key(2), b"two")
    assert second.epochs() == [first.epoch, second.epoch]
    assert len({second.producer(epoch) for epoch in second.epochs()}) == 2
    assert [(row.epoch, row.seq, row.body) for row in everything(second)] == [
        (first.epoch, 1, b"one"),
        (second.epoch, 1, b"two"),
    ]
    assert second.head(first.epoch) == second.head(second.epoch) == 1


async def test_the_producer_of_an_epoch_that_never_was_is_unknown(start: Start) -> None:
    journal = await start()
    with pytest.raises(KeyError):
        journal.producer(77)


# --- Recovery ---


async def test_an_attempt_that_was_left_open_becomes_the_last_that_was_told_of_it(
    start: Start,
) -> None:
    first = await start()
    for number in range(3):
        await first.open(key(number), b"sent %d" % number)
    first.checkpoint(key(1), b"renewed 1")
    await first.close(key(2), b"over 2")
    first.checkpoint(key(2), b"too late")
    await first.stop()
    second = await start()
    assert second.recovered == 2
    assert bodies(everything(second)) == [b"over 2", b"sent 0", b"renewed 1"]
    assert second.head(second.epoch) == 2
    await second.stop()
    third = await start()
    assert third.recovered == 0
    assert len(everything(third)) == 3


async def test_an_attempt_opened_after_its_end_is_told_of_once(start: Start) -> None:
    first = await start()
    await first.close(key(1), b"over")
    await first.open(key(1), b"sent")
    await first.stop()
    second = await start()
    assert bodies(everything(second)) == [b"over"]


def spawn(*arguments: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """A process with a journal, its lines to be read."""
    module = "tests.service.usage.journal_process"
    command = [*before, sys.executable, "-m", module, *arguments]
    return subprocess.Popen(  # noqa: S603 - our own script
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


@contextmanager
def running(*arguments: str, before: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    with spawn(*arguments, before=before) as process:
        try:
            yield process
        finally:
            process.kill()


def killed_after(lines: int, *arguments: str) -> list[str]:
    """What a process had said when it was killed with -9, some lines after that."""
    with running(*arguments) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += [line.strip() for line in process.stdout if line.endswith("\n")]
        assert process.wait() == -signal.SIGKILL
    return said


def confirmed(said: list[str]) -> set[bytes]:
    return {key(int(line.split()[1])) for line in said if line.startswith("closed ")}


async def test_two_hundred_attempts_open_at_kill_9_are_told_of_once_each(
    start: Start, tmp_path: Path
) -> None:
    assert killed_after(2, str(tmp_path), "leave-open", "200")[1:] == ["ready"]
    journal = await start()
    told = {
        key(n): b"over %d" % n
        if n % 5 == 0
        else b"renewed %d" % n
        if n % 2 == 0
        else b"sent %d" % n
        for n in range(200)
    }
    rows = everything(journal)
    assert {row.id: row.body for row in rows} == told
    assert len(rows) == 200
    assert journal.recovered == 160


@pytest.mark.parametrize("role", ["load", "load!"])
async def test_what_was_confirmed_before_kill_9_is_there_and_numbered_without_a_gap(
    start: Start, tmp_path: Path, role: str
) -> None:
    acknowledged: set[bytes] = set()
    for _ in range(2):
        folder = tmp_path / str(len(acknowledged))
        said = killed_after(150, str(folder), role, "16")
        acknowledged = confirmed(said)
        assert len(acknowledged) >= 149
        journal = await start(folder)
        rows = everything(journal)
        assert acknowledged <= {row.id for row in rows}
        assert len({row.id for row in rows}) == len(rows)
        for epoch in journal.epochs():
            seqs = [row.seq for row in rows if row.epoch == epoch]
            assert seqs == list(range(1, len(seqs) + 1))


# --- A disk that forgets its last seconds ---


class Published:
    """What a publisher has passed on: by producer up to a number, and nothing twice."""

    def __init__(self) -> None:
        self.marks: dict[str, int] = {}
        self.ids: set[bytes] = set()

    def publish(self, journal: Journal) -> None:
        for row in everything(journal):
            producer = journal.producer(row.epoch)
            if row.seq > self.marks.get(producer, 0):
                assert row.seq == self.marks.get(producer, 0) + 1
                self.marks[producer] = row.seq
                self.ids.add(row.id)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
async def test_a_log_that_lost_its_tail_keeps_a_beginning_and_new_events_are_not_taken_for_old(
    start: Start, tmp_path: Path, share: float
) -> None:
    said = killed_after(120, str(tmp_path / "whole"), "load!", "8")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    whole, published = await start(tmp_path / "whole"), Published()
    published.publish(whole)
    assert confirmed(said) <= published.ids

    log = Path(f"{database(tmp_path / 'cut')}-wal")
    os.truncate(log, int(size(log) * share))
    journal = await start(tmp_path / "cut")
    before = everything(journal)
    kept = [row.seq for row in before if row.epoch != journal.epoch]
    assert kept == list(range(1, len(kept) + 1))
    if share < 0.9:
        assert not confirmed(said) <= {row.id for row in before}  # so the cut did hurt
    await asyncio.gather(*(journal.close(key(1_000_000 + n), b"new") for n in range(150)))
    published.publish(journal)
    assert {row.id for row in everything(journal)} <= published.ids


# --- Retention ---


async def test_what_was_applied_and_is_old_is_purged_and_no_number_is_given_twice(
    start: Start,
) -> None:
    journal = await start()
    await asyncio.gather(*(journal.close(key(n), b"") for n in range(10)))
    assert await journal.purge({journal.epoch: 7}, FUTURE) == []
    assert [row.seq for row in everything(journal)] == [8, 9, 10]
    assert journal.floor(journal.epoch) == 7
    await journal.purge({journal.epoch: 10}, FUTURE)
    assert everything(journal) == []
    assert journal.head(journal.epoch) == journal.floor(journal.epoch) == 10
    await journal.close(key(11), b"")
    assert [row.seq for row in everything(journal)] == [11]


async def test_what_is_young_is_kept_and_so_is_all_that_comes_after_it(start: Start) -> None:
    journal = await start()
    for number in range(4):
        await journal.close(key(number), b"")
    # The clock was set back after the second.
    moments = {1: 10, 2: 30, 3: 20, 4: 40}
    with closing(sqlite3.connect(journal_path(journal))) as other:
        for seq, moment in moments.items():
            other.execute("UPDATE ev SET ts_ns = ? WHERE seq = ?", (moment, seq))
        other.commit()
    await journal.purge({journal.epoch: 4}, 25)
    assert [row.seq for row in everything(journal)] == [2, 3, 4]


async def test_a_great_many_rows_are_purged_in_several_transactions(start: Start) -> None:
    journal = await start(durability="process")
    await asyncio.gather(*(journal.close(key(n), b"") for n in range(PURGE * 2 + 5)))
    await journal.purge({journal.epoch: PURGE * 2 + 3}, FUTURE)
    assert [row.seq for row in everything(journal)] == [PURGE * 2 + 4, PURGE * 2 + 5]


async def test_an_earlier_epoch_of_which_nothing_is_left_is_forgotten_and_never_numbered_again(
    start: Start,
) -> None:
    first = await start()
    await first.close(key(1), b"")
    await first.stop()
    second = await start()
    producer = second.producer(first.epoch)
    assert await second.purge({first.epoch: 1, second.epoch: 0}, FUTURE) == [producer]
    assert second.epochs() == [second.epoch]
    assert second.head(first.epoch) == second.floor(first.epoch) == 0
    await second.stop()
    third = await start()
    assert third.epoch > second.epoch > first.epoch


async def adopted_from(data: Path, spoilt: set[str] | None = None) -> list[Journal]:
    """All that is left behind."""
    return await adopt(
        data,
        left_behind(data),
        spoilt=set() if spoilt is None else spoilt,
        on_failure=unheard,
        ballast=4096,
    )


def journal_path(journal: Journal) -> Path:
    return journal._store.path


# --- Others' slots ---


async def test_what_a_process_left_behind_is_adopted_and_drained_like_one_s_own(
    start: Start, tmp_path: Path
) -> None:
    living, gone, empty = await start(), await start(), await start()
    await gone.open(key(1), b"sent")
    await gone.close(key(2), b"over")
    await gone.stop()
    await empty.stop()
    adopted = await adopted_from(tmp_path)
    try:
        assert [sorted(bodies(everything(journal))) for journal in adopted] == [[b"over", b"sent"]]
        assert await adopted_from(tmp_path) == []
        assert living.writable
    finally:
        for journal in adopted:
            await journal.stop()


@pytest.mark.parametrize("shared_memory", [True, False])
async def test_what_a_killed_process_left_behind_is_adopted_with_its_log(
    tmp_path: Path, *, shared_memory: bool
) -> None:
    killed_after(2, str(tmp_path), "leave-open", "20")
    if not shared_memory:
        lose(f"{database(tmp_path)}-shm")
    (journal,) = await adopted_from(tmp_path)
    assert len(everything(journal)) == 20
    await journal.stop()


async def test_a_journal_that_cannot_be_opened_does_not_keep_another_from_being_adopted(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken, newer, sound = await start(), await start(), await start()
    for journal in (newer, sound):
        await journal.close(key(1), b"over")
    for journal in (broken, newer, sound):
        await journal.stop()
    database(tmp_path, 0).write_bytes(b"no database at all" * 100)
    with closing(sqlite3.connect(database(tmp_path, 1))) as other:
        other.execute("PRAGMA user_version = 99")
    spoilt: set[str] = set()
    (adopted,) = await adopted_from(tmp_path, spoilt)
    assert spoilt == {"0", "1"}
    assert bodies(everything(adopted)) == [b"over"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    await adopted.stop()
    with Slot.claim(tmp_path, volatile=True) as freed:
        assert freed.path.name == "0"


async def test_a_slot_in_which_nothing_was_ever_written_is_left_alone(tmp_path: Path) -> None:
    Slot.claim(tmp_path, volatile=True).release()
    assert await adopted_from(tmp_path) == []
    Slot.claim(tmp_path, volatile=True).release()


# --- A full disk ---


def works(*command: str) -> bool:
    """Whether a tool is there and may do what it does."""
    if shutil.which(command[0]) is None:
        return False
    trial = subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - as above
    return trial.returncode == 0


def transcript(process: subprocess.Popen[str]) -> list[list[str]]:
    """All that a process says, split into words; it must end well."""
    assert process.stdout is not None
    said = [line.split() for line in process.stdout]
    assert process.wait() == 0
    return said


def assert_sound(path: Path, events: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        ((found, last),) = database.execute("SELECT count(*), max(seq) FROM ev")
        assert found == last == events


def test_where_no_file_may_grow_opening_is_refused_and_what_is_closed_waits_for_space(
    tmp_path: Path,
) -> None:
    with running(str(tmp_path), "limit", "0") as process:
        _, refused, purged, waiting, closed, opened, stopped = transcript(process)
    assert refused[0] == "refused"
    assert int(refused[1]) >= 0
    assert refused[2:] == ["writable", "False"]
    assert purged == ["purge", "refused"]
    assert waiting == ["waiting", "100"]
    assert (closed, opened[0], stopped) == (["closed", "100"], "opened", ["stopped"])
    assert_sound(database(tmp_path), 150)


def test_where_only_the_database_may_not_grow_events_are_kept_in_the_log_as_long_as_it_may(
    tmp_path: Path,
) -> None:
    with running(str(tmp_path), "outgrow", "10000") as process:
        _, starved, closed, stopped = transcript(process)
    assert starved[0] == "starved"
    assert 0 < int(starved[1]) < 10_000
    assert (closed, stopped) == (["closed", "10000"], ["stopped"])
    assert_sound(database(tmp_path), 10_000)


def test_on_a_full_disk_what_runs_is_closed_in_the_ballast_s_place_until_there_is_space_again(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    with running(str(disk), "fill", "0", before=small_disk(disk, '"$@"')) as process:
        _, full, refused, closed, opened, stopped = transcript(process)
    assert full[0] == "full"
    assert refused[2:] == ["writable", "False"]
    assert closed == ["closed", "200", "writable", "False"]
    assert (opened[0], stopped) == ("opened", ["stopped"])
    assert_sound(Path(f"{disk}-kept") / "0" / FILE, 200)


def test_a_start_on_a_full_disk_has_the_ballast_s_place_to_recover_in(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    # A log that is gone must be made anew, and all the rest of the disk is taken.
    story = '"$@"; rm "$0"/usage/0/journal.db-*; cat /dev/zero 2>&- >"$0/filler"; "$@"'
    with running(str(disk), "recover", "20", before=small_disk(disk, story)) as process:
        _, opened, ended, _, recovered, stopped = transcript(process)
    assert opened == ["opened", "20"]
    assert recovered == ["recovered", "20", "writable", "False"]
    assert ended == stopped == ["stopped"]
    assert_sound(Path(f"{disk}-kept") / "0" / FILE, 20)


def small_disk(folder: Path, story: str) -> tuple[str, ...]:
    """Before a command: runs a script, in which it is "$@", with a disk of 2 MB at `folder`.

    Only that script sees the disk; what the journal wrote there is copied before it is gone.
    """
    folder.mkdir()
    unshared = ("unshare", "-rm", "sh", "-c")
    if not works(*unshared, 'mount -t tmpfs none "$0"', str(folder)):
        pytest.skip("no namespace of one's own can be had here")
    script = f'mount -t tmpfs -o size=2m none "$0"; {story}; cp -r "$0/usage" "$0-kept"'
    return (*unshared, script, str(folder))


async def test_a_disk_without_room_for_the_ballast_is_full_from_the_start(start: Start) -> None:
    journal = await start(ballast=1 << 60)
    assert not journal.writable
    with pytest.raises(JournalFullError, match="no space left"):
        await journal.open(key(1), b"")
    await journal.close(key(1), b"over")
    assert bodies(everything(journal)) == [b"over"]


# --- Syncing ---


def strace(*what: str, into: Path) -> tuple[str, ...]:
    command = ("strace", "-f", "-qq", *what, "-o", str(into))
    if not works(*command, "true"):
        pytest.skip("there is no strace, or it may not trace: the kernel's side cannot be seen")
    return command


@pytest.mark.parametrize(("role", "synced"), [("one-by-one", True), ("one-by-one!", False)])
def test_every_event_is_synced_before_it_is_confirmed_where_power_may_be_lost(
    tmp_path: Path, role: str, *, synced: bool
) -> None:
    trace = tmp_path / "trace"
    watched = strace("-e", "trace=fsync,fdatasync,write", into=trace)
    with running(str(tmp_path), role, "20", before=watched) as process:
        assert len(transcript(process)) == 42
    lines = re.findall(
        r'write\(1, "(closing|closed) (\d+)|(f(?:data)?sync)(?:\(\d+| resumed).*= 0',
        trace.read_text(),
    )
    story = " ".join("".join(found) for found in lines)
    ends = re.findall(r"closing(\d+)((?: f(?:data)?sync)*) closed\1\b", story)
    assert len(ends) == 20
    assert all(bool(syncs) == synced for _, syncs in ends)


async def test_a_failed_sync_is_the_end_and_nothing_is_confirmed_after_it(
    start: Start, tmp_path: Path
) -> None:
    with running(str(tmp_path), "one-by-one", "1") as process:
        transcript(process)
    # Counted by thread: the start needs fewer, and the writer has one for each event.
    failing = ("-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO:when=20+")
    watched = strace(*failing, into=tmp_path / "trace")
    with running(str(tmp_path), "one-by-one", "100", before=watched) as process:
        said = transcript(process)
    *_, (_, last), failed, refused, stopped = said
    assert failed == ["failed", "JournalFailedError"]
    assert refused == ["refused", last, "JournalFailedError"]
    assert stopped == ["stopped"]
    assert 0 < int(last) < 25

    journal = await start()
    kept = {row.id for row in everything(journal)}
    assert {key(number) for number in range(int(last))} <= kept


# --- Failing for good ---


async def test_a_failure_that_is_no_lack_of_space_is_told_and_everything_refused(
    start: Start, tmp_path: Path
) -> None:
    told: list[JournalError] = []
    journal = await start(on_failure=told.append)
    with closing(sqlite3.connect(database(tmp_path))) as other:
        other.execute("DROP TABLE ev")
    waiting = [journal.close(key(n), b"") for n in range(3)]
    for failed in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(failed, JournalFailedError)
    assert len(told) == 1
    assert not journal.writable
    journal.checkpoint(key(1), b"")
    with pytest.raises(JournalFailedError, match="no such table"):
        await journal.open(key(4), b"")
    with pytest.raises(JournalFailedError):
        await journal.purge({1: 1}, FUTURE)


async def test_a_fault_of_ours_in_the_writer_is_told_as_its_failure(start: Start) -> None:
    told: list[JournalError] = []
    journal = await start(on_failure=told.append)
    unhashable = cast("bytes", bytearray(b"id"))
    with pytest.raises(JournalFailedError, match="TypeError"):
        await journal.close(unhashable, b"")
    assert len(told) == 1
    assert not journal.writable
    with pytest.raises(JournalFailedError):
        await journal.open(key(1), b"")


async def test_nothing_waits_for_a_journal_that_is_closed(start: Start) -> None:
    journal = await start()
    await journal.stop()
    assert not journal.writable
    with pytest.raises(JournalFailedError, match="closed"):
        await journal.open(key(1), b"")
    with pytest.raises(JournalFailedError, match="closed"):
        await journal.close(key(1), b"")


@pytest.mark.parametrize("said", [1 << 70, -(1 << 70)])
async def test_a_position_that_cannot_be_purges_nothing_that_is_not_there(
    start: Start, said: int
) -> None:
    journal = await start()
    await journal.close(key(1), b"")
    await journal.purge({journal.epoch: said}, 0)
    await journal.close(key(2), b"")
    assert len(everything(journal)) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no database at all" * 100, "not a database"), (None, "schema 99 is not known")],
)
async def test_a_file_that_is_no_journal_of_this_version_stops_the_start_and_frees_the_slot(
    start: Start, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = database(tmp_path)
    path.parent.mkdir(parents=True)
    if content is None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA user_version = 99")
    else:
        path.write_bytes(content)
    with pytest.raises(JournalError, match=said) as caught:
        await start()
    assert str(path) in str(caught.value)
    Slot.claim(tmp_path, volatile=True).release()
