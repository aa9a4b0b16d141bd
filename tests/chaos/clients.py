"""T21: whoever is cancelled in the middle of asking Redis leaves nobody else with a wrong reply."""

import asyncio
from dataclasses import replace
from typing import Any

from service import tasks
from service.usage.client import Client, close, connect
from tests.chaos.scenario import Play, Shown
from tests.chaos.stage import Stage, staged

CANCELLATIONS = 1_000
AT_ONCE = 40
CONNECTIONS = 8

ECHO = "return {ARGV[1], redis.call('GET', KEYS[1])}"


async def cancelled(play: Play) -> Shown:
    """T21: a thousand tasks are cancelled at any step of a command, a pipeline or a script."""
    async with staged(play) as stage:
        server = await stage.serve()
        address = replace(server.address, protocol=play.engine.protocol)
        client = connect(address, connections=CONNECTIONS)
        await client.mset({f"key-{number}": f"value-{number}" for number in range(AT_ONCE)})
        cancelled = answered = 0
        wrong: list[str] = []
        while cancelled < play.of(CANCELLATIONS):
            ends = await _round(stage, client)
            cancelled += sum(end is None for end in ends)
            answered += sum(end == "" for end in ends)
            wrong += [end for end in ends if end]
        held = len(_pool(client)._in_use_connections)
        await close(client)
    shown = Shown(fault=f"{cancelled:,} cancelled, {answered:,} answered, {len(wrong)} wrongly")
    shown.must(not wrong, f"{len(wrong)} wrong replies, as {wrong[:1]}")
    shown.must(not held, f"{held} connections are still in use")
    return shown


def _pool(client: Any) -> Any:  # noqa: ANN401 - redis-py's own
    return client.connection_pool


async def _round(stage: Stage, client: Client) -> list[str | None]:
    """Of each task: None where it was cancelled, what was wrong about its reply, or nothing."""
    asking = [
        tasks.spawn(_ask(client, number), name=f"asks for {number}") for number in range(AT_ONCE)
    ]
    doomed = stage.chance.sample(asking, AT_ONCE // 2)
    for task in doomed:
        for _ in range(stage.chance.randrange(6)):
            await asyncio.sleep(0)
        task.cancel()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    return [_said(end) for end in ends]


def _said(end: str | BaseException) -> str | None:
    if isinstance(end, asyncio.CancelledError):
        return None
    return repr(end) if isinstance(end, BaseException) else end


async def _ask(client: Client, number: int) -> str:
    """Ask in one of three ways; returns what is wrong about the reply."""
    key, value = f"key-{number}", f"value-{number}".encode()
    match number % 3:
        case 0:
            said: Any = await client.get(key)
            wanted: Any = value
        case 1:
            async with client.pipeline(transaction=False) as pipeline:
                for command in ("GET", "STRLEN"):
                    pipeline.execute_command(command, key)
                said = await pipeline.execute()
            wanted = [value, len(value)]
        case _:
            said = await client.eval(ECHO, 1, key, str(number))
            wanted = [str(number).encode(), value]
    return "" if said == wanted else f"{said!r} instead of {wanted!r}"
