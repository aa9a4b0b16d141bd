"""`tailrace usage aggregate`: a consumer of the usage stream that runs apart from the service.

Any number of them share the work of a group. Each needs a name that is the same after a restart,
because what one was given and did not acknowledge is kept under its name, and that nobody else
has. So a name is a place: the machine's, and the lowest number in `consumers` in the data folder
whose lock nobody holds; the system lets go of a lock when its process dies. Where consumers on one
machine have different data folders, they must be given their names.

Lifetime: until SIGTERM or SIGINT. What was taken and not yet counted then, the next one with this
name begins with.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import uvloop

from service import files, tasks
from service.settings import Settings, SettingsError, is_group
from service.usage import sums
from service.usage.aggregate import GROUP, Aggregator
from service.usage.client import connect
from service.usage.database import UnavailableError
from service.usage.engine import Engine, resolve
from service.usage.rollups import Retention, Rollups
from service.usage.watch import Watch

log = logging.getLogger(__name__)

FOLDER: Final = "consumers"


def run(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    consumer: str | None = None,
    group: str = GROUP,
) -> int:
    """Count what is in the stream, until a signal; the process's exit code.

    Args:
        settings: Where the sums are, and for how long things are kept.
        environ: For REDIS_URL and PATH.
        consumer: A name in the group; None finds one.
        group: Consumers that share the work.

    Raises SettingsError: there is no stream to read, or no database to count in.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings, environ, consumer, group))


async def _run(
    settings: Settings, environ: Mapping[str, str], consumer: str | None, group: str
) -> int:
    for flag, value in (("--group", group), ("--consumer", consumer)):
        if value is not None and not is_group(value):
            raise SettingsError(
                f"{flag}: {value!r} is not allowed; must be at most 64 letters, digits and . _ : -"
            )
    rollups = await _sums(settings)
    data = settings.server.data
    try:
        data.mkdir(parents=True, exist_ok=True)
        engine = await _engine(settings, environ)
        try:
            with _named(data / FOLDER, consumer) as name:
                return await _count(settings, engine, rollups, name, group)
        finally:
            await engine.aclose()
    except OSError as failure:
        raise SettingsError(f"server.data: {data}: {failure.strerror or failure}") from None
    finally:
        await asyncio.to_thread(rollups.close)


async def _sums(settings: Settings) -> Rollups:
    try:
        return await asyncio.to_thread(sums.check, settings)
    except UnavailableError as failure:
        log.warning("usage is counted when its database is there: %s", failure)
        return sums.opened(settings)


async def _engine(settings: Settings, environ: Mapping[str, str]) -> Engine:
    if settings.usage.engine != "in-process":
        engine = await resolve(environ, settings.server.data)
        if engine.address is not None:
            return engine
    raise SettingsError(
        "usage.engine: there is no stream to read: without a Redis (REDIS_URL) or an embedded "
        "engine the service counts its usage itself"
    )


@contextmanager
def _named(folder: Path, given: str | None) -> Iterator[str]:
    """A name that is nobody else's, for as long as it is used."""
    if given is not None:
        yield given
        return
    folder.mkdir(exist_ok=True)
    for number in count():
        with (folder / f"{number}.lock").open("ab") as lock:
            if not files.try_lock(lock):
                continue
            # Not a service's own, whose name is the machine's and its journal's number.
            yield f"{socket.gethostname()}-aggregate-{number}"
            return


async def _count(
    settings: Settings, engine: Engine, rollups: Rollups, name: str, group: str
) -> int:
    if engine.address is None:
        raise RuntimeError("there is no engine")
    own = settings.usage
    watch = Watch()
    aggregator = Aggregator(
        rollups,
        partial(connect, engine.address, connections=2),
        consumer=name,
        group=group,
        retention=Retention(journal_s=own.journal_retention_s, seen_s=own.dedupe_retention_s),
        observer=watch.counting(),
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info("counting usage from %s as %s in group %s", engine.url, name, group)
    counting = tasks.spawn(aggregator.run(), name="count usage")
    counting.add_done_callback(lambda _: stop.set())
    await stop.wait()
    died = counting.done()  # it ends by itself only of a fault, which is in the log by now
    await tasks.end(counting)
    counts = dict(watch.counts())
    log.info("counted %d events, %d came again", counts["counted"], counts["repeated"])
    return 1 if died else 0
