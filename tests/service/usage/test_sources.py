"""A journal to be watched where there is no engine; Redis' streams are in test_live."""

import asyncio
from functools import partial
from pathlib import Path
from uuid import uuid4

from service.usage.journal import Journal
from service.usage.live import Begun, Gap, Live
from service.usage.sources import of_journal
from tests.service.usage.journals import journal
from tests.service.usage.watching import bodies, ids, numbered, watching

FUTURE = 1 << 62  # nanoseconds


def live(journal: Journal) -> Live:
    return Live(partial(of_journal, journal, journal.appended))


async def write(journal: Journal, *told: bytes) -> None:
    await asyncio.gather(*(journal.close(uuid4().bytes, one) for one in told))


async def test_what_is_closed_is_shown_at_once_and_told_where_from(tmp_path: Path) -> None:
    async with journal(tmp_path) as kept:
        await write(kept, *numbered([1]))
        async with watching(live(kept)) as watcher:
            await write(kept, *numbered([2, 3]))
            assert await watcher.events(2) == numbered([2, 3])
    assert watcher.heard[0] == Begun("1-1")
    assert ids(watcher.heard) == ["1-2", "1-3"]


async def test_a_watcher_goes_on_in_the_journal_of_the_next_start(tmp_path: Path) -> None:
    async with journal(tmp_path) as kept:
        await write(kept, *numbered([1, 2, 3]))
    async with journal(tmp_path) as kept:
        async with watching(live(kept), "1-2") as watcher:
            await write(kept, *numbered([4]))
            assert await watcher.events(2) == numbered([3, 4])
        async with watching(live(kept), "0") as everything:
            assert await everything.events(4) == numbered([1, 2, 3, 4])
    assert ids(everything.heard) == ["1-1", "1-2", "1-3", "2-1"]
    assert [said for said in watcher.heard if isinstance(said, Gap)] == []


async def test_what_was_purged_is_a_gap_for_those_who_had_not_come_so_far(tmp_path: Path) -> None:
    async with journal(tmp_path) as kept:
        await write(kept, *numbered([1, 2, 3]))
        await kept.purge({kept.epoch: 2}, FUTURE)
        async with watching(live(kept), "1-1") as late:
            assert await late.events(1) == numbered([3])
        async with watching(live(kept), "1-2") as timely:
            assert await timely.events(1) == numbered([3])
    assert late.heard[0] == Gap("1-1")
    assert bodies(timely.heard) == numbered([3])
    assert len(timely.heard) == 1


async def test_a_position_in_another_journal_is_a_gap(tmp_path: Path) -> None:
    async with journal(tmp_path) as kept:
        await write(kept, *numbered([1]))
        for elsewhere in ("7-1", "1-9"):
            async with watching(live(kept), elsewhere) as watcher:
                assert await watcher.events(1) == numbered([1])
            assert watcher.heard[0] == Gap(elsewhere)
