"""`tailrace usage aggregate` as the processes that it is, on a real server."""

import asyncio
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from service.settings import Settings, SettingsError
from service.usage import sums
from service.usage.aggregate import GROUP
from service.usage.consumer import run
from service.usage.report import Query, report
from service.usage.scripts import UNSHARDED
from tests.service.test_cli import BARE, TAILRACE
from tests.service.usage.attempts import body
from tests.service.usage.servers import Server, until
from tests.service.usage.watching import published

(KEYS,) = UNSHARDED.all


class Running(NamedTuple):
    name: str
    process: asyncio.subprocess.Process

    async def end(self, number: signal.Signals) -> str:
        """Send it a signal; what it logged until its end."""
        self.process.send_signal(number)
        assert await self.process.wait() == 0
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


@asynccontextmanager
async def aggregating(folder: Path, server: Server, *options: str) -> AsyncIterator[Running]:
    """The command, once it counts; its log is on its standard error."""
    process = await asyncio.create_subprocess_exec(
        *(str(TAILRACE), "usage", "aggregate", *options),
        cwd=folder,
        env={**BARE, "REDIS_URL": f"unix://{server.address.path}"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        first = await process.stderr.readline()
        found = re.search(r"counting usage from unix://\S+ as (\S+) in group \w+$", first.decode())
        assert found is not None, first
        yield Running(found[1], process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def consumers(server: Server, group: str = GROUP) -> list[str]:
    found = await server.ask("XINFO", "CONSUMERS", KEYS.stream, group)
    return sorted(name.decode() for _, name, *_ in found)


async def counted(data: Path, attempts: int) -> None:
    """Once the sums hold so many."""
    rollups = sums.opened(Settings.model_validate({"server": {"data": data}}))

    async def there() -> bool:
        return report(rollups.read, Query()).total.attempts == attempts

    await until(there)
    rollups.close()


async def test_two_on_one_machine_share_the_work_under_names_that_stay(
    tmp_path: Path, server: Server
) -> None:
    await published(server, [body(number) for number in range(500)])
    async with aggregating(tmp_path, server) as first, aggregating(tmp_path, server) as second:
        await counted(tmp_path / "data", 500)
        assert ", 0 came again" in await first.end(signal.SIGTERM)
        async with aggregating(tmp_path, server) as third:
            await published(server, [body(500)], first=501)
            await counted(tmp_path / "data", 501)
    host = socket.gethostname()
    names = [first.name, second.name, third.name]
    assert names == [f"{host}-aggregate-{number}" for number in (0, 1, 0)]
    assert set(await consumers(server)) <= set(names)


async def test_a_name_and_a_group_may_be_given(tmp_path: Path, server: Server) -> None:
    await published(server, [body(1)])
    options = ("--consumer", "billing-1", "--group", "billing")
    async with aggregating(tmp_path, server, *options) as running:
        await counted(tmp_path / "data", 1)
        assert ", 0 came again" in await running.end(signal.SIGINT)
    assert await consumers(server, "billing") == [running.name] == ["billing-1"]
    assert not (tmp_path / "data" / "consumers").exists()


def test_without_a_stream_there_is_nothing_to_do(tmp_path: Path) -> None:
    own = Settings.model_validate({"server": {"data": tmp_path}, "usage": {"engine": "in-process"}})
    with pytest.raises(SettingsError, match=r"usage\.engine: there is no stream to read"):
        run(own, {})


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    own = Settings.model_validate({"server": {"data": tmp_path / "file"}})
    with pytest.raises(SettingsError, match=f"server.data: {tmp_path / 'file'}: File exists"):
        run(own, {"REDIS_URL": "redis://127.0.0.1:1"})
