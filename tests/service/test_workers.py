"""Several processes on one port: they start, serve, follow, are replaced and end as one service.

The processes are real, and so are the signals. A worker is chosen by freezing the others: a frozen
process accepts no connection.
"""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.line import Drain, Line, Refused, Reload, Reloaded
from service.settings import Settings, SettingsError
from service.workers import RELOADED_S, Worker, Workers, serve
from tests.double.script import reply
from tests.double.server import Double
from tests.double.steps import Gate, Wait
from tests.e2e.process import PATIENCE, Served, serving, starting
from tests.e2e.stack import Told, question, read, speaks, variables
from tests.service.http.serving import parsed, until
from tests.service.usage.servers import Server, binary, free_port
from tests.service.usage.servers import until as soon

pytestmark = pytest.mark.timeout(120)  # each starts interpreters that import five SDKs

SERVES = re.compile(r"worker (\d+) serves as process (\d+)")


@dataclass(slots=True)
class Crew:
    """A running service of two workers."""

    served: Served
    client: aiohttp.ClientSession
    """With a connection for each request."""
    pids: dict[int, int]
    """The workers' process numbers."""

    async def ask(self) -> Told:
        url = f"{self.served.url}/v1/streams"
        async with self.client.post(url, json=question("openai/auto")) as response:
            return await read(response)

    async def state(self, provider: str) -> str:
        async with self.client.get(f"{self.served.url}/v1/providers") as response:
            (found,) = (p for p in (await response.json())["providers"] if p["name"] == provider)
            return str(found["state"])

    async def becomes(self, provider: str, state: str) -> None:
        """Wait until the worker that is asked says so."""
        async with asyncio.timeout(PATIENCE):
            while await self.state(provider) != state:
                pass

    async def figures(self, name: str) -> dict[str | None, float]:
        """A family's values, by worker."""
        async with self.client.get(f"{self.served.url}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
            (family,) = (family for family in families if family.name == name)
        return {sample.labels.get("worker"): sample.value for sample in family.samples}

    async def started(self) -> int:
        """Read the log until another worker serves; its number."""
        found = SERVES.search(await self.served.logs(" serves as process "))
        assert found is not None
        number = int(found[1])
        self.pids[number] = int(found[2])
        return number

    @contextmanager
    def only(self, number: int) -> Iterator[None]:
        """Let no other worker accept a connection."""
        others = [pid for other, pid in self.pids.items() if other != number]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def crew(folder: Path, *flags: str, environ: Mapping[str, str]) -> AsyncIterator[Crew]:
    """With a Redis that others run: one of its own would outlive workers that are killed."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        redis(folder / "redis") as url,
        serving(folder, "--workers", "2", *flags, environ={**environ, "REDIS_URL": url}) as served,
        aiohttp.ClientSession(connector=connector) as client,
    ):
        running = Crew(served, client, {})
        for _ in range(2):
            await running.started()
        yield running


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[str]:
    port = str(free_port())
    server = await Server(binary("valkey"), folder, "--port", port).start()
    try:
        yield f"redis://127.0.0.1:{port}"
    finally:
        await server.kill()


@pytest.fixture
async def double() -> AsyncIterator[Double]:
    async with Double(speaks=speaks) as double:
        yield double


def children_of(process: int) -> list[int]:
    """Its children, as Linux lists them; skips the test on other systems."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    if not listed.exists():
        pytest.skip("this system does not list a process' children")
    return [int(child) for child in listed.read_text().split()]


def text_of(raw: bytes) -> str:
    events = [seen.data for seen in parsed(raw)]
    return "".join(event["delta"] for event in events if event["type"] == "text.delta")


# --- Serving --------------------------------------------------------------------------------


async def test_all_serve_on_one_port_and_whoever_is_asked_tells_the_figures_of_all(
    double: Double, tmp_path: Path
) -> None:
    async with crew(tmp_path, environ=variables(double.url, ["openai"])) as running:
        for number in running.pids:
            with running.only(number):
                assert (await running.ask()).end["status"] == "completed"
        with running.only(1):  # a frozen one does not answer
            assert await running.figures("tailrace_attempts") == {"1": 1}
            assert await running.figures("tailrace_workers_missing") == {None: 1}
        assert await running.figures("tailrace_attempts") == {"0": 1, "1": 1}
        assert await running.figures("tailrace_workers_missing") == {None: 0}
        assert set(await running.figures("process_resident_memory_bytes")) == {"0", "1"}

        running.served.tell(signal.SIGTERM)
        assert running.served.process.stdout is not None
        assert await running.served.process.stdout.read() == b""  # the start-up line came once
        assert await running.served.ends() == 0


async def test_all_have_one_embedded_engine_which_ends_with_the_last(tmp_path: Path) -> None:
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        serving(tmp_path, "--workers", "2", environ={"REDIS_URL": ""}) as served,
        aiohttp.ClientSession(connector=connector) as client,
    ):
        running = Crew(served, client, {})
        for _ in range(2):
            await running.started()
        engines = []
        for number in running.pids:
            with running.only(number):
                async with client.get(f"{served.url}/healthz") as response:
                    engines.append((await response.json())["engine"])
        served.tell(signal.SIGTERM)
        assert await served.ends() == 0
    assert engines[0] == engines[1]
    assert engines[0]["kind"] == "embedded"
    port = int(engines[0]["url"].rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_change_over_the_api_and_the_configuration_read_again_reach_every_worker(
    double: Double, tmp_path: Path
) -> None:
    file = tmp_path / "tailrace.toml"
    file.write_text("")
    environ = variables(double.url, ["openai", "groq", "mistral"])
    async with crew(tmp_path, "--config", str(file), environ=environ) as running:
        for number, name in zip(running.pids, ("openai", "groq"), strict=True):
            address = f"{running.served.url}/v1/providers/{name}"
            with running.only(number):
                async with running.client.patch(address, json={"enabled": False}) as response:
                    assert response.status == 200
        for number in running.pids:
            with running.only(number):
                await running.becomes("openai", "disabled")
                await running.becomes("groq", "disabled")

        # The second one only a worker finds wrong.
        gone = tmp_path / "gone"
        refusals = {"enabled = 'perhaps'": "enabled", f"key_file = '{gone}'": f"{gone} cannot"}
        for wrong, why in refusals.items():
            file.write_text(f"[providers.deepseek]\n{wrong}\n")
            running.served.tell(signal.SIGHUP)
            refusal = await running.served.logs("configuration")
            assert "WARNING configuration not changed: " in refusal
            assert why in refusal
        file.write_text("[providers.mistral]\nenabled = false\n")
        running.served.tell(signal.SIGHUP)
        # The next line of them: what was refused was refused once.
        assert "configuration read again" in await running.served.logs("configuration")
        for number in running.pids:
            with running.only(number):
                assert await running.state("mistral") == "disabled"
                assert await running.state("openai") == "disabled"


# --- Deaths ---------------------------------------------------------------------------------


async def test_a_worker_that_is_killed_is_replaced_while_the_others_serve(
    double: Double, tmp_path: Path
) -> None:
    gate = Gate()
    double.script(reply("Hel", Wait(gate), "lo"), reply("Hel", "lo"))
    async with crew(tmp_path, environ=variables(double.url, ["openai"])) as running:
        with running.only(1):
            url = f"{running.served.url}/v1/streams"
            cut = await running.client.post(url, json=question("openai/auto"))
            begun = await until(cut, b'"delta":"Hel"')
        os.kill(running.pids[1], signal.SIGKILL)
        with pytest.raises(aiohttp.ClientPayloadError):
            await cut.read()
        assert b"stream.end" not in begun
        assert "was ended by SIGKILL" in await running.served.logs("worker 1 ")
        assert (await running.ask()).text == "Hello"
        assert await running.figures("tailrace_worker_restarts") == {"0": 0, "1": 1}

        assert await running.started() == 1
        with running.only(1):
            assert (await running.ask()).end["status"] == "completed"
        running.served.tell(signal.SIGTERM)
        assert await running.served.ends() == 0


async def test_a_replacement_whose_configuration_cannot_stand_keeps_nobody_from_serving(
    double: Double, tmp_path: Path
) -> None:
    file = tmp_path / "tailrace.toml"
    file.write_text("")
    environ = variables(double.url, ["openai"])
    async with crew(tmp_path, "--config", str(file), environ=environ) as running:
        file.write_text("[server]\ndrain_s = 'x'\n")
        os.kill(running.pids[1], signal.SIGKILL)
        refusal = await running.served.logs("worker 1 cannot start")
        assert "server.drain_s" in refusal
        assert (await running.ask()).end["status"] == "completed"

        os.kill(running.pids[0], signal.SIGKILL)  # nobody is left who could serve
        assert await running.served.ends() == 2


async def test_workers_whose_parent_is_killed_finish_what_runs_and_end(
    double: Double, tmp_path: Path
) -> None:
    gate = Gate()
    double.script(reply("Hel", Wait(gate), "lo"))
    async with crew(tmp_path, environ=variables(double.url, ["openai"])) as running:
        url = f"{running.served.url}/v1/streams"
        async with running.client.post(url, json=question("openai/auto")) as response:
            begun = await until(response, b'"delta":"Hel"')
            running.served.process.kill()
            await running.served.logs("is gone")
            gate.open()
            assert text_of(begun + await response.read()) == "Hello"
        # Their log is this process' pipe: it ends when the last of them has.
        assert await running.served.ends() == -signal.SIGKILL
        with pytest.raises(aiohttp.ClientConnectionError):
            await running.ask()


# --- Stopping -------------------------------------------------------------------------------


async def test_ctrl_c_in_a_terminal_drains_all_once(double: Double, tmp_path: Path) -> None:
    """It goes to the whole process group, workers or not."""
    gate = Gate()
    double.script(reply("Hel", Wait(gate), "lo"))
    async with crew(tmp_path, environ=variables(double.url, ["openai"])) as running:
        url = f"{running.served.url}/v1/streams"
        async with running.client.post(url, json=question("openai/auto")) as response:
            begun = await until(response, b'"delta":"Hel"')
            os.killpg(running.served.process.pid, signal.SIGINT)
            await draining(running)
            gate.open()
            assert text_of(begun + await response.read()) == "Hello"
        assert await running.served.ends() == 0
        assert "ERROR" not in "".join(running.served.log)


async def test_told_twice_to_stop_all_end_at_once(double: Double, tmp_path: Path) -> None:
    never = Gate()
    double.script(reply("Hel", Wait(never), "lo"))
    async with crew(tmp_path, environ=variables(double.url, ["openai"])) as running:
        url = f"{running.served.url}/v1/streams"
        async with running.client.post(url, json=question("openai/auto")) as response:
            await until(response, b'"delta":"Hel"')
            running.served.tell(signal.SIGTERM)
            await draining(running)
            running.served.tell(signal.SIGTERM)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        assert await running.served.ends() == 128 + signal.SIGTERM


@asynccontextmanager
async def sitting(
    *codes: str, reloaded_s: float = RELOADED_S
) -> AsyncIterator[tuple[Workers, list[Worker], list[Line]]]:
    """Processes that run this, each in its place, and the other ends of their lines."""
    workers = Workers(len(codes), [], Settings, reloaded_s=reloaded_s)
    there, theirs = [], []
    for number, code in enumerate(codes):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
        near, far = socket.socketpair()
        worker = workers._there[number] = Worker(process, await Line.over(near))
        there.append(worker)
        theirs.append(await Line.over(far))
    try:
        yield workers, there, theirs
    finally:
        for worker, line in zip(there, theirs, strict=True):
            if worker.process.returncode is None:
                worker.process.kill()
            await worker.process.wait()
            worker.line.close()
            line.close()


async def test_told_twice_to_stop_nobody_is_spared_because_another_one_has_ended() -> None:
    async with sitting("", "import time; time.sleep(60)") as (workers, there, _):
        ended, busy = there
        assert await ended.process.wait() == 0  # and is not put away as yet
        workers.told_to_stop(signal.SIGTERM)
        workers.told_to_stop(signal.SIGTERM)
        assert await busy.process.wait() == -signal.SIGKILL


async def test_what_cannot_be_done_with_a_message_keeps_no_other_from_being_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with sitting("") as (workers, (worker,), (line,)):
        line.say(Drain())  # the parent's word
        line.say(Refused("server.port: no"))
        line.close()
        async with asyncio.timeout(10):
            await workers._hear(0, worker)
    assert "Drain of worker 0 was passed over" in caplog.text
    assert worker.refusal == "server.port: no"


async def test_a_worker_that_does_not_say_whether_it_has_read_the_configuration_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with sitting("", "", reloaded_s=2) as (workers, there, (silent, answers)):
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(workers._hear(1, there[1]))
            reloading = tasks.create_task(workers._reload_all())
            assert await anext(answers.heard()) == Reload()
            answers.say(Reloaded())
            await reloading
            answers.close()
            await hearing
        assert await anext(silent.heard()) == Reload()
    assert "configuration not changed in worker 0: no answer within 2 s" in caplog.text


async def draining(running: Crew) -> None:
    """Wait until it says that it drains; a worker with nothing to finish may have left by then."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with running.client.get(f"{running.served.url}/readyz") as response:
                if response.status == 503:
                    return


# --- Refusals -------------------------------------------------------------------------------


async def refused(folder: Path, *flags: str, environ: Mapping[str, str]) -> str:
    """The one line that a start with two workers ends with."""
    async with starting(folder, "--workers", "2", *flags, environ=environ) as served:
        assert await served.ends() == 2
    (line,) = served.log
    return line


async def test_what_a_worker_finds_wrong_at_the_start_is_told_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "providers.json").write_text("[]")
    assert "providers.json" in await refused(tmp_path, environ={})


async def test_a_worker_that_is_killed_before_all_serve_ends_them_with_a_word(
    tmp_path: Path,
) -> None:
    async with starting(tmp_path, "--workers", "2", environ={}) as served:
        parent = served.process.pid

        async def begun() -> bool:
            return bool(children_of(parent))

        await soon(begun)
        os.kill(children_of(parent)[0], signal.SIGKILL)
        assert await served.ends() == 1
    assert any("was ended by SIGKILL before all of them served" in line for line in served.log)


async def test_a_port_that_is_taken_is_told_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = await refused(tmp_path, "--port", str(port), environ={})
    assert line.startswith(f"tailrace: server.port: cannot listen on 127.0.0.1:{port}: ")


@pytest.mark.parametrize("count", ["0", "65", "many"])
async def test_a_number_of_workers_that_cannot_be_is_refused(count: str, tmp_path: Path) -> None:
    async with starting(tmp_path, "--workers", count, environ={}) as served:
        assert await served.ends() == 2
    (line,) = served.log
    assert "server.workers" in line


def test_several_workers_need_an_engine_that_they_share() -> None:
    alone: dict[str, Any] = {"server": {"workers": 4}, "usage": {"engine": "in-process"}}
    settings = Settings.model_validate(alone)
    with pytest.raises(SettingsError, match=r"^server\.workers: 4: must be 1 .*in-process"):
        serve(settings, reload=lambda: settings)
