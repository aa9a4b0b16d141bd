"""SQLite and PostgreSQL behind the same questions."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.usage.database import Database, RefusedError, UnavailableError, connect


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = connect(database_url)
    opened.ask("CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)")
    yield opened
    opened.close()


def test_what_is_written_is_read(database: Database) -> None:
    database.repeat("INSERT INTO t (a, b) VALUES (?, ?)", [(1, "x"), (2, "y")])
    assert database.ask("SELECT a, b FROM t WHERE a > ? ORDER BY a", (0,)) == [(1, "x"), (2, "y")]


def test_a_transaction_is_done_as_a_whole_or_not_at_all(database: Database) -> None:
    def interrupted() -> None:
        with database.transaction():
            database.ask("INSERT INTO t (a) VALUES (1)")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert database.ask("SELECT * FROM t") == []
    with database.transaction():
        database.ask("INSERT INTO t (a) VALUES (1)")
    assert database.ask("SELECT a FROM t") == [(1,)]


@pytest.mark.parametrize("value", [1, 2**70])
def test_content_that_cannot_be_stored_is_refused_and_undoes_the_transaction(
    database: Database, value: int
) -> None:
    database.ask("INSERT INTO t (a) VALUES (1)")

    def write() -> None:
        with database.transaction():
            database.ask("INSERT INTO t (a) VALUES (2)")
            database.ask("INSERT INTO t (a) VALUES (?)", (value,))

    with pytest.raises(RefusedError):
        write()
    assert database.ask("SELECT a FROM t") == [(1,)]


def test_what_is_no_fault_of_the_content_may_be_tried_again(database: Database) -> None:
    with pytest.raises(UnavailableError):
        database.ask("SELECT * FROM nothing_of_that_name")


def test_who_has_locked_a_table_writes_alone(database: Database, database_url: str) -> None:
    other = connect(database_url)
    order: list[str] = []

    def write() -> None:
        began.set()
        with other.transaction():
            other.ask("INSERT INTO t (a) VALUES (2)")
            order.append("other")

    began = threading.Event()
    thread = threading.Thread(target=write)
    with database.transaction():
        database.lock("t")
        thread.start()
        began.wait()
        assert database.ask("SELECT * FROM t") == []
        order.append("locker")
    thread.join()
    other.close()
    assert order == ["locker", "other"]


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to look like one" * 100)
    with pytest.raises(UnavailableError, match="not a database"):
        connect(str(tmp_path / "notes.txt"))


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError):
        connect(str(tmp_path / "file" / "sums.db"))


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        connect(f"postgresql:///sums?host={tmp_path}")


def test_an_address_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"mysql://: must be a file's path, or begin with postg"):
        connect("mysql://localhost/sums")


def test_sqlite_syncs_every_commit(tmp_path: Path) -> None:
    database = connect(str(tmp_path / "sums.db"))
    assert database.ask("PRAGMA synchronous") == [(2,)]
    assert database.ask("PRAGMA journal_mode") == [("wal",)]
    database.close()
