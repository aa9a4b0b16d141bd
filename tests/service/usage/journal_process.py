"""A process with a journal, to be killed, starved and watched: `python -m ... FOLDER ROLE [N]`.

It writes a line for all that it may be held to: `closed <id>` only once the journal says so.
"""

import asyncio
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

from service.usage.journal import Journal, JournalError, JournalFullError
from service.usage.slot import Slot

BALLAST = 1 << 20  # bytes
BODY = b'{"told":"' + b"x" * 480 + b'"}'


def key(number: int) -> bytes:
    """The id of the attempt of that number."""
    return number.to_bytes(16, "big")


def say(*words: object) -> None:
    """At once, so that it is out before the next thing happens; a single write."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def given_up(failure: JournalError) -> None:
    """The journal has failed."""
    say("failed", type(failure).__name__)


async def load(journal: Journal, writers: int) -> None:
    """Close attempts until killed, by so many writers at once."""
    numbers = count(1)

    async def write() -> None:
        for number in numbers:
            await journal.open(key(number), BODY)
            await journal.close(key(number), BODY)
            say("closed", number)

    await asyncio.gather(*(write() for _ in range(writers)))


async def leave_open(journal: Journal, attempts: int) -> None:
    """Open attempts, renew every second one, close every fifth, and wait to be killed."""
    await asyncio.gather(*(journal.open(key(n), b"sent %d" % n) for n in range(attempts)))
    for number in range(0, attempts, 2):
        journal.checkpoint(key(number), b"renewed %d" % number)
    closing = range(0, attempts, 5)
    await asyncio.gather(*(journal.close(key(n), b"over %d" % n) for n in closing))
    say("ready")
    await asyncio.Event().wait()


async def one_by_one(journal: Journal, attempts: int) -> None:
    """Close attempts one after the other, saying so before and after."""
    for number in range(attempts):
        say("closing", number)
        try:
            await journal.close(key(number), BODY)
        except JournalError as failure:
            say("refused", number, type(failure).__name__)
            return
        say("closed", number)


async def fill(journal: Journal, _: int) -> None:
    """Fill the disk that the folder is on, close what runs, and make space again."""
    folder = Path(sys.argv[1])
    await asyncio.gather(*(journal.open(key(n), BODY) for n in range(200)))
    filler = folder / "filler"
    fill_up(filler)
    refused = await opens_until_refused(journal, 1_000)
    say("refused", refused, "writable", journal.writable)
    await asyncio.gather(*(journal.close(key(n), BODY) for n in range(200)))
    say("closed", 200, "writable", journal.writable)
    filler.unlink()
    await opens_again(journal, 900_000)


def fill_up(filler: Path) -> None:
    """Take all the space that there is."""
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as failure:
            say("full", failure.errno)


async def limit(journal: Journal, _: int) -> None:
    """Let no file grow, open attempts until that hurts, and let them grow again.

    The log is smaller than the ballast, which therefore does not fit meanwhile.
    """
    await asyncio.gather(*(journal.close(key(n), BODY) for n in range(500, 550)))
    await asyncio.gather(*(journal.open(key(n), BODY) for n in range(100)))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log_size() + 20_000, most))
    refused = await opens_until_refused(journal, 1_000)
    say("refused", refused, "writable", journal.writable)
    try:
        await journal.purge({journal.epoch: 50}, 1 << 62)
    except JournalFullError:
        say("purge refused")
    closing = [journal.close(key(n), BODY) for n in range(100)]
    await journal_turns(journal)
    say("waiting", sum(not done.done() for done in closing))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    await asyncio.gather(*closing)
    say("closed", 100)
    await opens_again(journal, 900_000)


async def outgrow(journal: Journal, attempts: int) -> None:
    """Close more attempts than fit into a database that may not grow, then let it grow."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, most))
    closing = [journal.close(key(n), BODY) for n in range(attempts)]
    while journal.writable:  # noqa: ASYNC110 - nobody tells when that changes
        await asyncio.sleep(0)
    say("starved", sum(done.done() for done in closing))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    await asyncio.gather(*closing)
    say("closed", attempts)


async def recover(journal: Journal, attempts: int) -> None:
    """Open attempts and leave it at that; the next time, say what became of them."""
    if journal.recovered:
        say("recovered", journal.recovered, "writable", journal.writable)
        return
    await asyncio.gather(*(journal.open(key(n), BODY) for n in range(attempts)))
    say("opened", attempts)


def log_size() -> int:
    """Of the database's write-ahead log, bytes."""
    (log,) = Path(sys.argv[1]).glob("usage/*/*-wal")
    return log.stat().st_size


async def journal_turns(journal: Journal) -> None:
    """Come back when what was asked for so far has been looked at."""
    try:
        await journal.open(key(800_000), BODY)
    except JournalFullError:
        return


async def opens_until_refused(journal: Journal, first: int) -> int:
    """How many attempts could be opened; each is closed later like the others."""
    for number in range(first, first + 100_000):
        try:
            await journal.open(key(number), BODY)
        except JournalFullError:
            return number - first
    return -1


async def opens_again(journal: Journal, number: int) -> None:
    """Ask until an attempt may be opened."""
    while True:
        try:
            await journal.open(key(number), BODY)
        except JournalFullError:
            await asyncio.sleep(0)
        else:
            say("opened", number)
            return


ROLES: dict[str, Callable[[Journal, int], Awaitable[None]]] = {
    "load": load,
    "leave-open": leave_open,
    "one-by-one": one_by_one,
    "fill": fill,
    "limit": limit,
    "outgrow": outgrow,
    "recover": recover,
}


async def main() -> None:
    """Play the role; the durability is `process` where the role ends in `!`."""
    folder, role, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    journal = await Journal.start(
        Slot.claim(folder, volatile=True),
        on_failure=given_up,
        durability="process" if role.endswith("!") else "power",
        ballast=BALLAST,
    )
    say("started", journal.producer(journal.epoch))
    await ROLES[role.rstrip("!")](journal, number)
    await journal.stop()
    say("stopped")


if __name__ == "__main__":
    asyncio.run(main())
