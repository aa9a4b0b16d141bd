"""A program that is told what to do, a line of JSON at a time, and answers each with a line."""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import orjson

Answer = dict[str, Any]


def serve(commands: Mapping[str, Callable[..., Awaitable[Answer]]]) -> None:
    """Run commands by name until nobody asks; an answer is what one returns, or `{failed}`."""
    asyncio.run(_serve(commands))


async def _serve(commands: Mapping[str, Callable[..., Awaitable[Answer]]]) -> None:
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        given = orjson.loads(line)
        name = given.pop("do")
        try:
            answer = await commands[name](**given)
        except Exception:  # noqa: BLE001 - whatever it is, the test that asked is told
            answer = {"failed": f"{name}: {traceback.format_exc()}"}
        sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
        sys.stdout.buffer.flush()


async def cancelled(work: Coroutine[Any, Any, object], begun: asyncio.Event) -> bool:
    """Cancel work's task once it has begun, as a web framework does whose own client left.

    Whether it ended as cancelled: a client that swallows that would have gone on.
    """
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        await begun.wait()
        task.cancel()
    return task.cancelled()
