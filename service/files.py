"""What Python's own files cannot do: be locked, and be on the disk for certain.

The locks are flock's: the system lets go of one when the process that holds it dies, however it
dies, or when the file is closed. So nothing has to be cleaned up, no process number is compared
with a living one, and whoever holds a lock keeps the file open. Not `lockf`, whose locks belong to
the process: to close any other handle of the same file lets go of them.

Left out: network file systems, where two machines may both be given a lock (`usage.slot` refuses
them), and systems without flock.
"""

import fcntl
import os
from pathlib import Path
from typing import IO

Open = int | IO[bytes]
"""A file that is open, or its descriptor."""


def lock(file: Open) -> None:
    """Wait until nobody else has the lock, and take it."""
    fcntl.flock(file, fcntl.LOCK_EX)


def try_lock(file: Open, *, shared: bool = False) -> bool:
    """Take the lock if that is possible at once, or change how it is held; whether it was.

    `shared`: with all who take it so. Raises OSError where the file system knows no locks.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync(file: IO[bytes]) -> None:
    """Put on the disk what was written; raises OSError, also for what was written before."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put on the disk what was made, renamed or deleted in a folder; raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
