"""A made-up week, loaded by the command and counted by the service that comes after it."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.process import PATIENCE, command, environment, serving


async def demo_load(folder: Path) -> tuple[int, str, int]:
    """Run it on the folder of `serving`; the attempts, US dollars and unknown costs it tells."""
    process = await asyncio.create_subprocess_exec(
        *_demo_load(command(folder)),
        cwd=folder,
        env=environment({}),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    found = re.match(r"(\d+) attempts .*\ncost: \$([\d.]+), and (\d+) attempts", said.decode())
    assert found is not None
    return int(found[1]), found[2], int(found[3])


def _demo_load(serve: Sequence[str]) -> list[str]:
    """Of a command line that serves: the one that loads its folder."""
    python, dash_m, service, *_ = serve
    return [python, dash_m, service, "demo-load", *serve[serve.index("--data") :]]


async def counted(folder: Path, attempts: int) -> dict[str, Any]:
    """What a service tells by model and day, once there are so many attempts in its sums."""
    async with (
        serving(folder, environ={}) as served,
        aiohttp.ClientSession(served.url) as session,
        asyncio.timeout(PATIENCE),
    ):
        told: dict[str, Any] = {"total": {"attempts": 0}}
        while told["total"]["attempts"] < attempts:
            async with session.get("/v1/usage?group_by=model,day") as answer:
                told = await answer.json()
    return told


async def test_the_week_that_was_loaded_is_counted_once_and_to_the_last_digit(
    tmp_path: Path,
) -> None:
    attempts, dollars, unknown = await demo_load(tmp_path)
    told = await counted(tmp_path, attempts)
    assert await counted(tmp_path, attempts) == told  # a second service finds it counted
    total, rows = told["total"], told["rows"]
    assert (total["attempts"], total["cost_usd"]) == (attempts, dollars)
    assert total["unknown_cost_attempts"] == unknown
    assert sum(Decimal(row["cost_usd"] or 0) for row in rows) == Decimal(dollars)
    assert all(row["model"].endswith(" (demo)") for row in rows)
    days: Counter[str] = Counter()
    for row in rows:
        days[row["day"]] += row["attempts"]
    first, *whole, _last = sorted(days)  # from now back, which need not be midnight
    assert len(whole) in {5, 6}
    assert all(days[day] > 100 for day in whole)
    assert first >= (datetime.now(UTC) - timedelta(days=8)).date().isoformat()
