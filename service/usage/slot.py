"""Where a process keeps its journal: a folder of its own, on a disk that fits, with space put by.

`usage/<number>` in the data folder belongs to the process that holds a lock on the file `lock` in
it. The system lets go of the lock when the process dies, however it dies, so nothing has to be
cleaned up and no process number is compared with a living one. A process takes the first slot that
is free; what a process left behind that is not coming back, another one claims and drains.

Not every disk will do. On a network file system two machines may both hold the lock, and SQLite's
write-ahead log needs memory that is shared by all who have it open; a file system in memory is gone
with the machine, and so would be the promise. Which one it is, Linux tells in /proc; elsewhere
nobody looks.

The ballast is a file that only takes up space. When the disk is full it is let go, and the attempts
that are running can still be written down. It is filled with noise: zeros would take no space on a
file system that compresses.
"""

import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from service import files

FOLDER: Final = "usage"

MOUNTS: Final = Path("/proc/self/mountinfo")

_NETWORK: Final = frozenset(
    {
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
_VOLATILE: Final = frozenset({"ramfs", "tmpfs"})

_BLOCK: Final = 1 << 20


class SlotError(Exception):
    """A folder that no journal can be kept in; the text names it and says why."""


class VolatileError(SlotError):
    """A folder in memory, which is gone with the machine."""


class Slot:
    """A folder that this process alone writes to, until it is released."""

    def __init__(self, path: Path, lock: IO[bytes]) -> None:
        """`lock`: the open file that holds the lock; `claim` and `orphans` get it."""
        self.path = path
        self._lock = lock

    @classmethod
    def claim(cls, data: Path, *, volatile: bool = False) -> "Slot":
        """Take the first free slot in the data folder, making one if there is none.

        Raises SlotError: the file system does not fit. `volatile` allows one in memory.
        """
        folder = data / FOLDER
        number = 0
        while True:
            path = folder / str(number)
            _make(path)
            check(path, volatile=volatile)
            slot = _locked(path)
            if slot is not None:
                return slot
            number += 1

    @classmethod
    def orphans(cls, data: Path, only: Collection[str] | None = None) -> Iterator["Slot"]:
        """Take every slot that somebody had and nobody holds now, one after the other.

        `only`: those of these names; None: all.
        """
        for lock in sorted((data / FOLDER).glob("*/lock")):
            if only is not None and lock.parent.name not in only:
                continue
            slot = _locked(lock.parent)
            if slot is not None:
                yield slot

    def release(self) -> None:
        """Let others have it."""
        self._lock.close()

    def __enter__(self) -> Self:
        """For `with`: released at its end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release it."""
        self.release()


def in_use(data: Path) -> bool:
    """Whether a process holds a slot of the data folder now."""
    slots = {lock.parent.name for lock in (data / FOLDER).glob("*/lock")}
    for slot in Slot.orphans(data):
        with slot:
            slots.discard(slot.path.name)
    return bool(slots)


def named(data: Path) -> str:
    """What a data folder is called among those of other services: drawn once, and kept in it."""
    file = data / FOLDER / "name"
    if not file.exists():
        drawn = secrets.token_hex(4)
        fresh = file.with_name(f"name-{drawn}")
        fresh.write_text(drawn, encoding="ascii")
        with suppress(FileExistsError):
            file.hardlink_to(fresh)  # with what is in it, or not at all
        fresh.unlink()
    return file.read_text(encoding="ascii")


def _make(path: Path) -> None:
    """Make a folder, and make sure that it is still there after a loss of power."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            files.sync_folder(folder.parent)


def _locked(path: Path) -> Slot | None:
    """The slot with its lock; None where somebody else has it."""
    file = (path / "lock").open("ab")
    if files.try_lock(file):
        return Slot(path, file)
    file.close()
    return None


# --- Which file system ----------------------------------------------------------------------


def check(path: Path, *, volatile: bool, mounts: Path = MOUNTS) -> None:
    """Raise SlotError where the file system that `path` is on does not keep what it is given.

    `volatile` allows one in memory. `mounts`: what Linux tells of the file systems.
    """
    try:
        kind = _kind(path.resolve(), mounts.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return
    if kind in _NETWORK:
        raise SlotError(
            f"{path} is on a network file system ({kind}), where SQLite's log and the lock on the "
            "folder cannot be relied on; choose a data folder on a local disk"
        )
    if kind in _VOLATILE and not volatile:
        raise VolatileError(
            f"{path} is in memory ({kind}) and gone with the machine; choose a data folder on a "
            "disk"
        )


def _kind(path: Path, mounts: str) -> str:
    """The type of the file system that `path` is on: that of the deepest mount above it.

    A line: id, parent, device, root, mount point, options, any number of tags, `-`, type, ...; of
    two mounts on one point the later one covers the other. See proc(5).
    """
    deepest, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(_unescaped(before.split(" ")[4]))
        if path.is_relative_to(point) and len(point.parts) >= deepest:
            deepest, kind = len(point.parts), after.split(" ")[0]
    return kind


def _unescaped(point: str) -> str:
    """Spaces and the like are written in octal there."""
    for character in " \t\n\\":
        point = point.replace(f"\\{ord(character):03o}", character)
    return point


# --- Space put by ---------------------------------------------------------------------------


class Ballast:
    """Space on the disk that is let go when there is none left."""

    def __init__(self, path: Path, size: int) -> None:
        """`size` in bytes; nothing is taken yet."""
        self._path = path
        self._size = size

    def take(self) -> bool:
        """Take up the space, unless that is done; False where there is not that much.

        What was taken of it is let go then: somebody may need it more.
        """
        try:
            if self._path.exists() and self._path.stat().st_size == self._size:
                return True
            # What the file system says it has left; a quota may leave less.
            if shutil.disk_usage(self._path.parent).free < self._size:
                return False
            with self._path.open("wb") as file:
                for start in range(0, self._size, _BLOCK):
                    file.write(secrets.token_bytes(min(_BLOCK, self._size - start)))
                # Some file systems find out only now that there was no space.
                files.sync(file)
        except OSError:
            self.let_go()
            return False
        return True

    def let_go(self) -> None:
        """Give the space back."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
