"""How long a request waits for Redis, and what it is told when that was in vain.

A request has no time for a Redis that is slow: it goes on alone after `QUICK`, and asks for what is
elsewhere for `PATIENCE` at most.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, Final, Protocol, TypeVar, cast

from redis.exceptions import RedisClusterException, RedisError

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from service import tasks

QUICK: Final = 0.05
"""Seconds a request waits for Redis before it goes on alone."""

PATIENCE: Final = 2.0
"""Seconds a request waits for what is elsewhere and must appear."""

LOOK: Final = 0.02
"""Seconds between two looks for what has been claimed and is not there yet."""

AWAY: Final = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What is raised where Redis is not there, or not in time."""

T = TypeVar("T")


class Asks(Protocol):
    """Asks Redis on behalf of a request."""

    def __call__(self, asked: Coroutine[Any, Any, T], /) -> Awaitable[T | None]:
        """The answer; None where there is none in time."""


class AsksPatiently(Protocol):
    """Asks Redis what a request cannot do without."""

    def __call__(self, asked: Coroutine[Any, Any, T], /) -> Awaitable[T]:
        """The answer; raises RequestError where there is none in time."""


class Questions:
    """What requests have asked Redis, each until it is answered, whoever still waits for that.

    Lifetime: `close` before the clients are closed that they are asked with. redis-py would connect
    anew for one that is tried once more after that, and nobody would close that connection.
    """

    def __init__(self) -> None:
        self._open: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def within(self, limit: float, asked: Coroutine[Any, Any, T]) -> T:
        """The answer; TimeoutError after `limit` seconds, and once this is closed.

        It is waited for in a task that nobody cancels, neither the limit nor a client that leaves:
        redis-py closes a connection that is cancelled before its reply has come, and a Redis that
        is slow already would have to greet a new one for every request that did not wait. And what
        was asked may be done all the same, which who takes it back has to know. The client's
        timeouts end the task.
        """
        if self._closed:
            asked.close()
            raise TimeoutError
        task = tasks.spawn(_outcome(asked), name="streams: ask Redis")
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        done, _ = await asyncio.wait([task], timeout=limit)
        if not done or task.cancelled():
            raise TimeoutError
        answer, failure = task.result()
        if failure is not None:
            raise failure
        return cast("T", answer)

    async def patiently(self, asked: Coroutine[Any, Any, T]) -> T:
        """An answer without which there is nothing to be told; RequestError where there is none."""
        try:
            return await self.within(PATIENCE, asked)
        except AWAY:
            raise unreachable() from None

    async def close(self) -> None:
        """Ask no more, and end what is not answered at once."""
        self._closed = True
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=QUICK)
            _ = await asyncio.gather(*map(tasks.end, late))


def unreachable() -> RequestError:
    """What is elsewhere cannot be asked for."""
    return RequestError(
        make(
            ErrorCode.INTERNAL,
            "this stream is not in this process, and the others cannot be asked for it now",
            http=503,
            retry_after_ms=1_000,
            phase=Phase.BEFORE_STREAM,
        )
    )


async def _outcome(asked: Coroutine[Any, Any, T]) -> tuple[T | None, Exception | None]:
    """An answer or a failure, which is then not the task's own: it may have no reader any more."""
    try:
        return await asked, None
    except Exception as failure:  # noqa: BLE001 - raised by who waits for it
        return None, failure
