"""The embedded engine with real servers: adopted, started, killed, left and ended."""

import asyncio
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.usage.client import close, connect
from service.usage.embedded import Embedded, EngineError, executables, packaged_server
from tests.house.tree import ROOT
from tests.service.usage.servers import until

Start = Callable[[], Awaitable[Embedded]]


@pytest.fixture
async def start(executable: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts an embedded engine in the test's data folder; all are left at the end."""
    engines: list[Embedded] = []

    async def one(*servers: str) -> Embedded:
        engines.append(await Embedded.start(tmp_path, servers or (executable,)))
        return engines[-1]

    yield one
    for engine in engines:
        await engine.aclose()


async def asked(engine: Embedded, *command: str | int) -> object:
    """One command over the unix socket."""
    assert engine.address is not None
    client = connect(engine.address)
    try:
        return await client.execute_command(*command)
    finally:
        await close(client)


async def setting(engine: Embedded, name: str) -> str:
    """What CONFIG GET says."""
    assert engine.address is not None
    client = connect(engine.address)
    try:
        return str((await client.config_get(name))[name])
    finally:
        await close(client)


def pid_of(engine: Embedded) -> int:
    return engine._pid


def alive(pid: int) -> bool:
    """Whether that process runs; one that has ended and was not asked about does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def abandon(engine: Embedded) -> None:
    """What kill -9 of the service does: its locks are gone, and nobody watches."""
    assert engine._watching is not None
    engine._watching.cancel()
    engine._let_go()


async def test_it_keeps_a_log_evicts_nothing_and_listens_on_loopback_only(
    start: Start, tmp_path: Path
) -> None:
    engine = await start()
    assert engine.kind == "embedded"
    assert await setting(engine, "appendonly") == "yes"
    assert await setting(engine, "appendfsync") == "everysec"
    assert await setting(engine, "maxmemory-policy") == "noeviction"
    assert await setting(engine, "maxmemory") == str(1 << 30)
    assert await setting(engine, "bind") == "127.0.0.1"
    made = tmp_path / "engine"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE((made / "engine.sock").stat().st_mode) == 0o700


async def test_others_reach_it_at_its_url(start: Start) -> None:
    engine = await start()
    await asked(engine, "SET", "a", "b")
    assert engine.url is not None
    outside = Redis.from_url(engine.url)
    assert await outside.get("a") == b"b"
    await outside.aclose()


async def test_a_clean_stop_ends_the_server_and_keeps_what_it_held(start: Start) -> None:
    engine = await start()
    url, pid = engine.url, pid_of(engine)
    await asked(engine, "XADD", "s", "*", "n", "1")
    await engine.aclose()
    assert not alive(pid)
    again = await start()
    assert await asked(again, "XLEN", "s") == 1
    assert again.url == url
    assert pid_of(again) != pid


async def test_a_server_that_a_killed_service_left_behind_is_adopted_and_later_ended(
    start: Start,
) -> None:
    engine = await start()
    url, pid = engine.url, pid_of(engine)
    await asked(engine, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    abandon(engine)
    heir = await start()
    assert (pid_of(heir), heir.url) == (pid, url)
    assert await setting(heir, "maxmemory-policy") == "noeviction"
    await heir.aclose()
    await until(lambda: gone(pid))


async def test_a_killed_server_is_back_within_two_seconds_with_what_it_held(start: Start) -> None:
    engine = await start()
    url = engine.url
    await asked(engine, "XADD", "s", "*", "n", "1")
    for _ in range(2):
        pid = pid_of(engine)
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(2):
            await until(lambda: changed(engine, pid))  # noqa: B023 - awaited here
        assert await asked(engine, "XLEN", "s") == 1
        assert engine.url == url


async def test_an_adopted_server_that_dies_is_replaced_too(start: Start) -> None:
    engine = await start()
    pid = pid_of(engine)
    abandon(engine)
    heir = await start()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: changed(heir, pid))
    assert await asked(heir, "PING")


async def run_process(executable: str, data: Path) -> asyncio.subprocess.Process:
    """A service process with an embedded engine."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.service.usage.engine_process",
        str(data),
        executable,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def said(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """The server's process and its URL."""
    assert process.stdout is not None
    pid, url = (await process.stdout.readline()).decode().split()
    return int(pid), url


async def test_real_processes_share_one_server_that_outlives_kill_9_and_no_clean_stop(
    executable: str, tmp_path: Path
) -> None:
    first, second = [await run_process(executable, tmp_path) for _ in range(2)]
    server = await said(first)
    assert await said(second) == server
    for process in (first, second):
        process.kill()
        await process.wait()
    assert alive(server[0])

    heir = await run_process(executable, tmp_path)
    assert await said(heir) == server
    await heir.communicate(b"")
    assert heir.returncode == 0
    await until(lambda: gone(server[0]))


async def test_several_processes_share_one_server_and_the_last_to_leave_ends_it(
    start: Start,
) -> None:
    first, second, third = await asyncio.gather(start(), start(), start())
    pids = {pid_of(engine) for engine in (first, second, third)}
    assert len(pids) == 1
    await first.aclose()
    await asked(second, "PING")
    await second.aclose()
    (pid,) = pids
    assert alive(pid)
    await third.aclose()
    await until(lambda: gone(pid))


async def test_a_server_that_dies_after_its_starter_left_is_started_by_another_process(
    start: Start,
) -> None:
    first, second, third = await start(), await start(), await start()
    await first.aclose()
    pid = pid_of(second)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: changed(second, pid))
    await until(lambda: changed(third, pid))
    assert pid_of(second) == pid_of(third)


async def test_a_dropped_connection_is_not_taken_for_a_death(start: Start) -> None:
    engine = await start()
    pid = pid_of(engine)
    assert await asked(engine, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await asked(engine, "SET", "a", "b")
    await engine.aclose()
    again = await start()
    assert await asked(again, "GET", "a") == b"b"
    assert not alive(pid)


async def test_a_server_that_does_not_end_when_told_is_not_left_running(start: Start) -> None:
    engine = await start()
    pid = pid_of(engine)
    os.kill(pid, signal.SIGSTOP)
    await engine.aclose()
    await until(lambda: gone(pid))


async def test_a_port_that_is_taken_is_left_alone(start: Start) -> None:
    engine = await start()
    assert engine.url is not None
    port = int(engine.url.rpartition(":")[2])
    await engine.aclose()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        again = await start()
        assert again.url != engine.url
        assert await asked(again, "PING")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/fd")
async def test_a_data_folder_too_long_for_a_socket_is_reached_all_the_same(
    executable: str, tmp_path: Path
) -> None:
    data = tmp_path / ("long" * 20) / ("longer" * 20)
    data.mkdir(parents=True)
    engine = await Embedded.start(data, [executable])
    try:
        assert await asked(engine, "SET", "a", "b")
        assert (data / "engine" / "engine.sock").is_socket()
        pid = pid_of(engine)
        abandon(engine)
        engine = await Embedded.start(data, [executable])
        assert pid_of(engine) == pid
    finally:
        await engine.aclose()


async def test_a_server_that_lost_its_socket_is_ended_before_another_writes_its_files(
    start: Start, tmp_path: Path
) -> None:
    engine = await start()
    pid = pid_of(engine)
    await asked(engine, "XADD", "s", "*", "n", "1")
    abandon(engine)
    (tmp_path / "engine" / "engine.sock").unlink()
    again = await start()
    assert pid_of(again) != pid
    await until(lambda: gone(pid))
    assert await asked(again, "XLEN", "s") == 1


async def test_files_that_cannot_be_read_are_set_aside_and_it_begins_anew(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = await start()
    for number in range(100):
        await asked(engine, "SET", str(number), "b")
    await engine.aclose()
    (log,) = (tmp_path / "engine" / "appendonlydir").glob("*.incr.aof")
    content = log.read_bytes()
    log.write_bytes(content[:200] + b"\0" * 100 + content[300:])
    again = await start()
    assert await asked(again, "DBSIZE") == 0
    (aside,) = (tmp_path / "engine").glob("unreadable-*")
    assert (aside / "appendonlydir").is_dir()
    assert "begins anew" in caplog.text


async def test_a_server_that_cannot_run_gives_way_to_the_next(
    start: Start, executable: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-server"
    broken.write_text("#!/bin/sh\necho not today\nexit 1\n")
    broken.chmod(0o700)
    engine = await start(str(tmp_path / "missing"), str(broken), executable)
    assert await asked(engine, "PING")


async def test_no_server_that_runs_is_an_error_that_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken-server"
    broken.write_text("#!/bin/sh\necho not today\nexit 1\n")
    broken.chmod(0o700)
    with pytest.raises(EngineError, match="broken-server ended at once: not today"):
        await Embedded.start(tmp_path, [str(broken)])
    with pytest.raises(EngineError, match="no server on PATH"):
        await Embedded.start(tmp_path, [])


async def test_servers_on_path_come_before_the_packaged_one_unless_they_are_too_old(
    tmp_path: Path,
) -> None:
    for name, said in (
        ("valkey-server", "Server v=5.0.14"),
        ("redis-server", "Redis server v=6.2.0"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {said} sha=00000000:0\n")
        (tmp_path / name).chmod(0o700)
    found = await executables(str(tmp_path))
    assert found[0] == str(tmp_path / "redis-server")
    assert found[1:] == ((str(packaged_server()),) if packaged_server() else ())


async def changed(engine: Embedded, pid: int) -> bool:
    """Whether there is another server by now, which answers."""
    try:
        return pid_of(engine) != pid and bool(await asked(engine, "PING"))
    except RedisError:
        return False


async def gone(pid: int) -> bool:
    return not alive(pid)
