"""Background work with an owner: the one place that calls asyncio.create_task.

The event loop keeps only weak references to tasks, so one that nobody holds can be collected in
mid-flight, and an exception nobody awaits is reported whenever the collector comes by. A task from
`spawn` is held here until it ends, and an exception it dies of is logged at once. Work whose
starter waits for it belongs in a task group, not here.

Lifetime: `settle` at shutdown gives what runs a last chance, then cancels it; after it nothing
from here is left.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

_AGAIN = 0.5  # seconds
"""After which a task that was cancelled and goes on is cancelled once more."""

_running: set[asyncio.Task[Any]] = set()


def spawn(coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start `coro` on the running loop; `name` is what a log line calls it."""
    task = asyncio.create_task(coro, name=name)  # noqa: TID251 - the place the ban sends you to
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def heed_cancellation() -> None:
    """End the task that this is called in, if it was asked to end, whether or not it was told.

    For loops that call libraries which may pass over a cancellation: see `end`.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended.

    Once may not do: before Python 3.12, asyncio.wait_for passes over a cancellation that comes just
    when what it waits for is done, and redis-py sends every command within one: of some twenty
    cancellations one was lost.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN)


def running() -> int:
    """How many tasks have not ended."""
    return len(_running)


async def settle(patience: float = 0) -> None:
    """Wait `patience` seconds for every task, cancel the rest and wait for their ends."""
    deadline = asyncio.get_running_loop().time() + patience
    while _running:
        remaining = max(0, deadline - asyncio.get_running_loop().time())
        _, late = await asyncio.wait(_running, timeout=remaining)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        log.error("%s died", task.get_name(), exc_info=error)
