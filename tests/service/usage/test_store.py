"""The journal's database by itself; what it holds through crashes is told in test_journal."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.usage.store import FILE, JournalFailedError, JournalFullError, Reader, Store, raised


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = opened(tmp_path)
    yield store
    store.close()


def opened(folder: Path) -> Store:
    return Store(folder / FILE, durability="process", now_ns=7)


def test_a_transaction_that_fails_leaves_nothing_and_takes_no_number(store: Store) -> None:
    with closing(Reader(store.path)) as reader:
        with pytest.raises(sqlite3.Error):
            store.write({}, {}, {b"1": b"event", b"2": object()}, now_ns=8)  # type: ignore[dict-item] # which SQLite cannot take
        assert reader.rows(store.epoch, 0, 9) == []
        store.write({}, {}, {b"1": b"event"}, now_ns=8)
        assert [(row.seq, row.ts_ns) for row in reader.rows(store.epoch, 0, 9)] == [(1, 8)]


def test_an_attempt_that_is_over_in_the_same_transaction_is_not_opened(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.write({b"1": b"sent", b"2": b"sent"}, {}, {b"1": b"over"}, now_ns=8)
    with closing(sqlite3.connect(store.path)) as other:
        assert other.execute("SELECT attempt_id FROM attempt_open").fetchall() == [(b"2",)]
    store.close()
    again = opened(tmp_path)
    assert again.head == 1
    again.close()


def test_a_reader_says_whether_there_is_anything_to_drain(store: Store) -> None:
    with closing(Reader(store.path)) as reader:
        assert not reader.holds_anything()
        store.write({b"1": b"sent"}, {}, {}, now_ns=8)
        assert reader.holds_anything()
        store.write({}, {}, {b"1": b"over"}, now_ns=8)
        assert reader.holds_anything()


def test_a_reader_sees_what_was_written_since_and_writes_nothing(store: Store) -> None:
    with closing(Reader(store.path)) as reader:
        assert reader.span(store.epoch) is None
        store.write({}, {}, {b"1": b"", b"2": b""}, now_ns=8)
        assert reader.span(store.epoch) == (1, 2)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._ask("DELETE FROM ev")


def test_a_lack_of_space_is_told_from_every_other_failure(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "small")) as small:
        small.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.Error) as full:
            small.executescript("CREATE TABLE a (x); CREATE TABLE b (x);")
        with pytest.raises(sqlite3.Error) as wrong:
            small.execute("SELECT nonsense")
    assert isinstance(raised(full.value, tmp_path), JournalFullError)
    assert isinstance(raised(wrong.value, tmp_path), JournalFailedError)
    assert str(raised(full.value, tmp_path)).startswith(f"{tmp_path}: ")
    assert "InterfaceError" in str(raised(sqlite3.InterfaceError("odd"), tmp_path))
