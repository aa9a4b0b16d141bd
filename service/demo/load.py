"""`tailrace demo-load`: a made-up week into a data folder's journal.

The next service on the folder publishes and counts it exactly once, as it would what a process that
was killed has left behind. Sums are by the time at which an attempt was over, so they have the week
in its own days and hours; what journals and the stream keep goes by when an event was written down,
which is now, so nothing is old before it is counted.

Before the first event a mark is put into the folder (`demo.json`), because sums outlive journals:
a second week on top of the first one would be of no use and could not be told from it. Real usage
is not mixed with it unasked. There is no undoing, as sums cannot be taken back: a demo is thrown
away with its folder.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import orjson

from service.demo import attempts, traffic
from service.settings import Settings, SettingsError
from service.usage import journal as journals
from service.usage import sums
from service.usage.cost import usd
from service.usage.database import UnavailableError
from service.usage.journal import Journal
from service.usage.record import UsageEvent, encode
from service.usage.report import Query, report
from service.usage.slot import Slot, SlotError, in_use
from service.usage.store import JournalError, JournalFailedError

MARK: Final = "demo.json"

_NS: Final = 1_000_000_000


class LoadError(Exception):
    """It cannot be loaded; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was written down."""

    folder: Path
    attempts: int
    requests: int
    days: int
    nano_usd: int
    unknown: int
    """Attempts whose cost nobody knows."""

    def lines(self) -> Sequence[str]:
        """For a person."""
        return (
            f"{self.attempts} attempts of {self.requests} requests in {self.days} days, made up",
            f"cost: ${usd(self.nano_usd)}, and {self.unknown} attempts whose cost is unknown",
            f"`tailrace serve --data {self.folder}` counts them as it starts",
        )


def load(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    days: int,
    seed: int,
    force: bool,
    now_ns: int,
) -> Loaded:
    """Write the days before `now_ns` (Unix time) into the data folder.

    `force`: also beside real usage. Raises SettingsError where the folder cannot be written to, and
    LoadError where it must not be.
    """
    data = settings.server.data
    _check(settings, environ, force=force)
    until = now_ns / _NS
    since = until - days * traffic.DAY
    luck = Random(seed)  # noqa: S311 - made up, no secret
    asks = traffic.asks(luck, since=since, until=until)
    events = attempts.told(luck, asks, since=since, until=until)
    try:
        asyncio.run(_write(settings, events, {"seed": seed, "days": days, "until_ns": now_ns}))
    except (SlotError, JournalError, OSError) as failure:
        raise SettingsError(
            f"server.data: {data}: usage cannot be written down there: {failure}"
        ) from None
    costs = [event.data.cost_nano_usd for event in events]
    return Loaded(
        folder=data,
        attempts=len(events),
        requests=len({event.data.request_id for event in events}),
        days=days,
        nano_usd=sum(cost for cost in costs if cost is not None),
        unknown=costs.count(None),
    )


def _check(settings: Settings, environ: Mapping[str, str], *, force: bool) -> None:
    """Raise LoadError where made-up usage must not go."""
    data = settings.server.data
    if (data / MARK).exists():
        raise LoadError(
            f"{data} has demo data already; delete the folder to be rid of it, or name another "
            "one with --data"
        )
    if in_use(data):
        raise LoadError(f"{data} is held by a running service; stop it first")
    if force:
        return
    if environ.get("REDIS_URL"):
        raise LoadError(
            "REDIS_URL is set, and whoever reads usage there would be given the demo's; unset it, "
            "or say --force"
        )
    if journals.left_behind(data) or _counted(settings):
        raise LoadError(
            f"{data} has usage of its own, which the demo's would be added to; name another folder "
            "with --data, or say --force"
        )


def _counted(settings: Settings) -> bool:
    """Whether there is anything in the sums."""
    if not settings.usage.database and not Path(sums.url_of(settings)).exists():
        return False
    try:
        with closing(sums.check(settings)) as rollups:
            return report(rollups.read, Query()).total.attempts > 0
    except UnavailableError as failure:
        raise LoadError(str(failure)) from None


async def _write(settings: Settings, events: Sequence[UsageEvent], mark: Mapping[str, int]) -> None:
    data = settings.server.data
    journal = await Journal.start(
        # On a disk that does not last, a demo is no loss.
        Slot.claim(data, volatile=True),
        on_failure=_unheard,
        durability=settings.usage.durability,
        ballast=0,
    )
    try:
        (data / MARK).write_bytes(orjson.dumps(dict(mark)))
        await asyncio.gather(*(journal.close(event.id.bytes, encode(event)) for event in events))
    finally:
        await journal.stop()


def _unheard(_failure: JournalFailedError) -> None:
    """Who waits for an event hears of it."""
