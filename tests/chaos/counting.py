"""The process that counts: a consumer of the stream, `python -m tests.chaos.counting ORDER`.

It ends when its input does. Told to `halt`, it stops for good between the commit of a batch and its
acknowledgement, says so, and waits to be killed.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import Sequence

import msgspec
import uvloop
from typing_extensions import override

from service import tasks
from service.usage.aggregate import Aggregator, Pace
from service.usage.client import Address, connect
from service.usage.database import connect as connect_database
from service.usage.rollups import Arrival, Rollups, Taken
from tests.chaos.worker import say
from tests.chaos.writing import Told


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is to do."""

    url: str
    sums: str
    consumer: str
    halt: bool = False
    batch: int = 200


class Halting(Rollups):
    """Never comes back from a batch that was committed."""

    __slots__ = ()

    @override
    def take(self, arrivals: Sequence[Arrival], now_ns: int) -> Taken:
        taken = Rollups.take(self, arrivals, now_ns)
        if arrivals:
            say("committed", len(arrivals))
            threading.Event().wait()
        return taken


async def main() -> None:
    """Count until the input ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    order = msgspec.json.decode(sys.argv[1], type=Order)
    address = Address.parse(order.url)
    rollups = (Halting if order.halt else Rollups)(lambda: connect_database(order.sums))
    aggregator = Aggregator(
        rollups,
        lambda: connect(address),
        consumer=order.consumer,
        # Brisk, as a scenario is over before the usual pace has looked twice.
        pace=Pace(batch=order.batch, block_ms=200, look_s=0.5, idle_s=2),
        observer=Told(),
    )
    counting = tasks.spawn(aggregator.run(), name="aggregator")
    say("counting")
    await asyncio.to_thread(sys.stdin.read)
    counting.cancel()
    await asyncio.wait([counting])
    await asyncio.to_thread(rollups.close)


if __name__ == "__main__":
    uvloop.run(main())
