"""T16, T17: groups and consumers that somebody deletes, and what may be trimmed behind them."""

from service.usage.aggregate import GROUP
from service.usage.scripts import UNSHARDED
from tests.chaos.scenario import Play, Shown
from tests.chaos.stage import staged
from tests.service.usage.servers import Server

(KEYS,) = UNSHARDED.all

TURNS = 5
OWED = 50
"""Entries that a consumer has when it is deleted."""


async def deleted(play: Play) -> Shown:
    """T16: the group is destroyed, or a consumer with all that it was given."""
    async with staged(play) as stage:
        server = await stage.serve()
        await stage.writer()
        await stage.consumer()
        await stage.consumer()
        destroyed = forgotten = 0
        for _ in range(turns := play.of(TURNS)):
            await stage.goes_on()
            repeated = stage.heard("repeated")
            destroyed += await server.ask("XGROUP", "DESTROY", KEYS.stream, GROUP)
            # Made again from the beginning of the stream, so that all comes once more.
            await stage.exceeds("repeated", repeated)
        for _ in range(turns):
            await stage.goes_on()
            # Nobody in the group will be given these; who compares numbers finds them.
            forgotten += await _given_and_deleted(server)
        shown = await stage.settle()
    shown.fault = f"{destroyed} groups destroyed, {forgotten} entries deleted with a consumer"
    shown.must(destroyed == turns, "there was no group to destroy")
    shown.must(forgotten, "no consumer had anything when it was deleted")
    return shown


async def _given_and_deleted(server: Server) -> int:
    """Returns how many entries nobody in the group will be given any more."""
    start = ("XREADGROUP", "GROUP", GROUP, "gone", "COUNT", OWED, "BLOCK", 2_000)
    await server.ask(*start, "STREAMS", KEYS.stream, ">")
    return int(await server.ask("XGROUP", "DELCONSUMER", KEYS.stream, GROUP, "gone"))


async def behind(play: Play) -> Shown:
    """T17: one of two listed groups is far behind; nothing that it has not read is trimmed."""
    async with staged(play) as stage:
        server = await stage.serve()
        await server.ask("XGROUP", "CREATE", KEYS.stream, "billing", "0", "MKSTREAM")
        writer = await stage.writer(groups=(GROUP, "billing"), kept_s=0, sweep_s=0.1)
        await stage.consumer()
        await stage.reaches(play.of(3_000))
        published = writer.heard["published"]
        unread = await server.ask("XLEN", KEYS.stream)
        ids = await _read(server)
        await server.ask("XACK", KEYS.stream, "billing", *ids[: len(ids) // 2])
        trimmed = 0
        for _ in range(20):
            await stage.goes_on()
            ((first, _),) = await server.ask("XRANGE", KEYS.stream, "-", "+", "COUNT", 1)
            if trimmed := ids.index(first):
                break
        await stage.goes_on()
        ((first, _),) = await server.ask("XRANGE", KEYS.stream, "-", "+", "COUNT", 1)
        shown = await stage.settle()
    shown.fault = (
        f"{unread:,} unread by one group while the other had counted; {trimmed:,} trimmed once half"
        " of them were acknowledged"
    )
    shown.must(unread >= published, f"{published - unread} unread entries were trimmed")
    shown.must(trimmed, "nothing was ever trimmed")
    shown.must(ids.index(first) <= len(ids) // 2, "an unacknowledged entry was trimmed")
    return shown


async def _read(server: Server) -> list[bytes]:
    """Let billing have everything there is; returns the entries' ids."""
    given = await server.ask("XREADGROUP", "GROUP", "billing", "b", "STREAMS", KEYS.stream, ">")
    return [entry for entry, _ in given[KEYS.stream.encode()]]
