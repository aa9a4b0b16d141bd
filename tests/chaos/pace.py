"""T28: the journal and the publisher are not slower than they may be."""

import asyncio

from bench.journal import GOAL as JOURNAL_GOAL
from bench.journal import Load, died, syncs
from bench.publisher import fill
from service import clock, tasks
from service.usage.client import connect
from service.usage.journal import Journal
from service.usage.publisher import Janitor, Publisher
from service.usage.record import MAJOR
from service.usage.slot import Slot
from tests.chaos.scenario import Play, Shown
from tests.chaos.stage import staged

WRITERS = 32

PUBLISHED = 50_000
"""Events a second, half of what a machine of one's own publishes."""

BACKLOG = 100_000

SLOW = 160
"""Syncs a second below which the disk, not the journal, decides: 32 writers share one."""


ROUNDS = 3
"""Of which the best one counts: what else runs here must not fail it."""


async def gated(play: Play) -> Shown:
    """T28: events a second that are safe from a loss of power, and that go onto the stream."""
    rate = await asyncio.to_thread(syncs, play.folder)
    slot = Slot.claim(play.folder, volatile=True)
    journal = await Journal.start(slot, on_failure=died)
    safe = max([(await Load(journal, WRITERS, opening=False).run())[0] for _ in range(ROUNDS)])
    await journal.stop()
    published = await _published(play)
    shown = Shown(
        fault=f"journal {safe:,.0f} events/s at {rate:,.0f} syncs/s, publisher {published:,.0f}"
    )
    shown.must(safe >= JOURNAL_GOAL or rate < SLOW, f"the journal has {safe:,.0f} events/s")
    shown.must(published >= PUBLISHED, f"the publisher has {published:,.0f} events/s")
    return shown


async def _published(play: Play) -> float:
    """Events a second from a journal onto an empty stream."""
    async with staged(play) as stage:
        server = await stage.serve()
        slot = Slot.claim(play.folder / "backlog", volatile=True)
        journal = await Journal.start(slot, on_failure=died, durability="process")
        await fill(journal, events := play.of(BACKLOG))
        janitor = Janitor(("cost",))
        seconds = []
        for _ in range(ROUNDS):
            await server.ask("FLUSHALL")
            publisher = Publisher(
                journal, lambda: connect(server.address), janitor=janitor, schema=MAJOR
            )
            began = clock.monotonic()
            publishing = tasks.spawn(publisher.run(), name="publisher")
            await publisher.caught_up()
            seconds.append(clock.monotonic() - began)
            publishing.cancel()
            await asyncio.wait([publishing])
        await journal.stop()
    return events / min(seconds)
