"""Locks keep others out, in whatever way they are held and lost; what is synced is there."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service import files

HOLDER = """
import sys
from service import files
held = open(sys.argv[1], "ab")
print(files.try_lock(held), flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """By another process, which dies at the end."""
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        try:
            yield
        finally:
            holder.kill()


def test_a_lock_is_one_processs_until_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("ab") as file:
        with held(path):
            assert not files.try_lock(file)
            assert not files.try_lock(file, shared=True)
        assert files.try_lock(file)


def test_a_lock_is_let_go_of_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("ab") as one, path.open("ab") as other:
        assert files.try_lock(one)
        assert not files.try_lock(other)
        one.close()
        assert files.try_lock(other)


def test_a_lock_that_is_shared_is_had_alone_when_all_others_have_left(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("ab") as one, path.open("ab") as other:
        assert files.try_lock(one.fileno(), shared=True)
        assert files.try_lock(other.fileno(), shared=True)
        assert not files.try_lock(one.fileno())
        other.close()
        assert files.try_lock(one.fileno())


def test_who_waits_for_a_lock_has_it_as_soon_as_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("ab") as one, path.open("ab") as other:
        assert files.try_lock(one)
        waiting = threading.Thread(target=files.lock, args=[other])
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        one.close()
        waiting.join(10)
        assert not waiting.is_alive()
        with path.open("ab") as third:
            assert not files.try_lock(third)


def test_what_is_synced_has_been_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"kept")
        files.sync(file)
        assert path.read_bytes() == b"kept"
    files.sync_folder(tmp_path)


def test_a_folder_that_is_not_there_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.sync_folder(tmp_path / "gone")
