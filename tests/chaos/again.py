"""T27: the sums are gone, and come back from the journals to the last bit."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from service import clock
from service.usage.database import connect
from service.usage.replay import replay
from service.usage.rollups import Rollups
from service.usage.store import Reader
from service.usage.tally import TABLES
from tests.chaos.scenario import Play, Shown
from tests.chaos.stage import staged

ATTEMPTS = 5_000


class Paper(Reader):
    """A journal that nobody appends to any more."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.appended = asyncio.Event()


async def replayed(play: Play) -> Shown:
    """T27: after kills of the writer, the database is deleted and everything is replayed."""
    async with staged(play) as stage:
        await stage.serve()
        writer, _ = await asyncio.gather(stage.writer(), stage.consumer())
        for moment in stage.moments(play.of(4), play.of(ATTEMPTS)):
            await stage.reaches(moment)
            await stage.die_and_return(writer)
        await stage.reaches(play.of(ATTEMPTS))
        shown = await stage.settle()
        before = list(_rows(stage.sums))
        other = f"{stage.sums}-again"
        counted = await asyncio.to_thread(_replay, other, stage.journal_files())
    shown.fault = f"{counted:,} events replayed into an empty database, {len(before):,} rows"
    shown.must(list(_rows(other)) == before, "the sums are not what they were")
    shown.must(counted == shown.aggregated, f"{counted} events were replayed")
    return shown


def _replay(url: str, journals: list[Path]) -> int:
    rollups = Rollups(lambda: connect(url))
    with ExitStack() as opened:
        opened.callback(rollups.close)
        papers = [opened.enter_context(closing(Paper(path))) for path in journals]
        return replay(rollups, papers, since=0, now_ns=clock.now_ns())


def _rows(url: str) -> Iterator[tuple[object, ...]]:
    """Every row of the sums, in order."""
    rollups = Rollups(lambda: connect(url))
    with closing(rollups):
        for table in TABLES.values():
            yield from sorted(rollups.read(f"SELECT * FROM {table}", ()))  # noqa: S608 - our own table
