"""The process itself: its start-up line, SIGTERM and its drain, SIGHUP, the loopback rule."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.settings import Server as ServerSettings
from service.settings import Settings
from tests.double.script import reply
from tests.double.server import Double
from tests.double.steps import Gate, Wait
from tests.e2e.process import Served, serving, starting
from tests.e2e.stack import PATIENCE, Told, question, read, speaks, stack, variables
from tests.e2e.test_environment import CANARY, poisoned
from tests.service.http.serving import parsed, until


@pytest.fixture
async def double() -> AsyncIterator[Double]:
    """One that answers in the manner of the key's owner."""
    async with Double(speaks=speaks) as double:
        yield double


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def ask(client: aiohttp.ClientSession, served: Served, model: str, **fields: object) -> Told:
    body = question(model, **fields)
    async with client.post(f"{served.url}/v1/streams", json=body) as response:
        return await read(response)


async def draining(client: aiohttp.ClientSession, served: Served) -> None:
    """Wait until the service says that it drains."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with client.get(f"{served.url}/readyz") as response:
                if response.status == 503:
                    return


# --- Draining -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_told_to_stop_it_finishes_what_runs_takes_nothing_new_and_ends_well(
    number: signal.Signals, double: Double, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    gate = Gate()
    double.script(reply("Hel", Wait(gate), "lo"))
    async with serving(tmp_path, environ=variables(double.url, ["openai"])) as served:
        # The start-up line is the truth.
        async with client.get(f"{served.url}/healthz") as health:
            assert (await health.json())["status"] == "ok"
        async with (
            client.ws_connect(f"{served.url}/v1/ws") as ws,
            client.post(f"{served.url}/v1/streams", json=question("openai/auto")) as running,
        ):
            await ws.send_json({"t": "init"})
            assert (await ws.receive_json())["t"] == "ready"
            begun = await until(running, b'"delta":"Hel"')

            served.tell(number)
            await draining(client, served)

            goaway = await ws.receive_json()
            assert (goaway["t"], goaway["reason"]) == ("goaway", "draining")
            refused = await ask(client, served, "openai/auto")
            assert (refused.status, refused.error["code"]) == (503, "draining")
            assert refused.error["retryable"] is True
            assert "Retry-After" in refused.headers

            gate.open()
            events = [seen.data for seen in parsed(begun + await running.read())]
        assert _text(events) == "Hello"
        assert events[-1]["status"] == "completed"
        assert await served.ends() == 0
    assert len(double.requests) == 1
    assert not [line for line in served.log if "ERROR" in line or "Traceback" in line]


async def test_what_still_runs_at_the_end_of_the_drain_is_told_why_it_ends(
    double: Double, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    never = Gate()
    double.script(reply("Hel", Wait(never), "lo"), reply(Wait(never), "Hello"))
    environ = variables(double.url, ["openai"]) | {"TAILRACE_SERVER__DRAIN_S": "0.2"}
    async with serving(tmp_path, environ=environ) as served:
        async with client.post(f"{served.url}/v1/streams", json=question("openai/auto")) as late:
            begun = await until(late, b'"delta":"Hel"')
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(ask(client, served, "openai/auto"))
                silent = await double.seen(2)
                served.tell(signal.SIGTERM)
            events = [seen.data for seen in parsed(begun + await late.read())]
        assert await served.ends() == 0

    assert _text(events) == "Hel"
    end = events[-1]
    assert (end["type"], end["status"], end["finish"]) == ("stream.end", "failed", "interrupted")
    assert (end["error"]["code"], end["error"]["phase"]) == ("draining", "mid_stream")
    assert (waiting.result().status, waiting.result().error["code"]) == (503, "draining")
    await double.requests[0].left()
    await silent.left()
    await double.deserted()


async def test_a_drain_is_not_over_before_what_it_ends_has_its_end() -> None:
    """Only then can the others be told: the end waits until what was used is safe."""
    settings = Settings(server=ServerSettings(drain_s=0.05))
    async with stack("openai", settings=settings) as running:
        running.double.script(reply("Hel", Wait(Gate()), "lo"))
        async with running.post(question("openai/auto")) as response:
            begun = await until(response, b'"delta":"Hel"')
            await running.service.drain()
            assert running.service.relay.store.live == []
            events = [seen.data for seen in parsed(begun + await response.read())]
        assert events[-1]["error"]["code"] == "draining"


def _text(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "text.delta")


# --- Reading the configuration again --------------------------------------------------------

ONE = """
[providers.ollama]
base_url = "{host}/v1"
models = ["one"]
"""
TWO = """
[providers.openai]
enabled = false

[providers.ollama]
base_url = "{host}/v1"
models = ["two"]
"""
NEWCOMER = """
[providers.{name}]
base_url = "{address}"
key = "test-key-{name}"
"""
BAD = """
[providers.ollama]
base_url = "{host}/v1"
modells = ["three"]
"""


async def test_sighup_reads_the_configuration_again_and_keeps_the_old_one_from_a_bad_file(
    double: Double, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Beyond loopback too, which has to be asked for, and with canaries for every SDK around."""
    file = tmp_path / "tailrace.toml"
    file.write_text(ONE.format(host=double.url), encoding="utf-8")
    gate = Gate()
    async with Double() as trap:
        environ = {**poisoned(trap.url), **variables(double.url)}
        flags = ("--config", str(file), "--host", "0.0.0.0", "--insecure")  # noqa: S104 - the point
        async with serving(tmp_path, *flags, environ=environ) as served:
            assert served.url.startswith("http://0.0.0.0:")
            assert (await ask(client, served, "ollama/auto")).end["model"] == "one"
            double.script(reply("Hel", Wait(gate), "lo"))
            asked = question("openai/auto")
            async with client.post(f"{served.url}/v1/streams", json=asked) as running:
                begun = await until(running, b'"delta":"Hel"')

                file.write_text(BAD.format(host=double.url), encoding="utf-8")
                served.tell(signal.SIGHUP)
                refusal = await served.logs("configuration not changed")
                assert "providers.ollama.modells" in refusal
                assert (await ask(client, served, "ollama/auto")).end["model"] == "one"

                file.write_text(TWO.format(host=double.url), encoding="utf-8")
                served.tell(signal.SIGHUP)
                await served.logs("configuration read again")
                assert (await ask(client, served, "ollama/auto")).end["model"] == "two"
                disabled = await ask(client, served, "openai/auto")
                assert (disabled.status, disabled.error["code"]) == (422, "no_candidates")
                assert (await ask(client, served, "groq/auto")).end["status"] == "completed"

                # What began before goes on with what it began with.
                gate.open()
                events = [seen.data for seen in parsed(begun + await running.read())]
            assert _text(events) == "Hello"
            served.tell(signal.SIGTERM)
            assert await served.ends() == 0
        assert trap.accepted == 0
    for seen in double.requests:
        assert not any(CANARY in value for value in seen.headers.values())


async def test_a_provider_whose_sdk_nobody_needed_before_answers_after_a_sighup(
    double: Double, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    file = tmp_path / "tailrace.toml"
    file.write_text(ONE.format(host=double.url), encoding="utf-8")
    async with serving(tmp_path, "--config", str(file), environ={}) as served:
        assert (await ask(client, served, "ollama/auto")).end["model"] == "one"
        for name in ("claude", "mistral"):
            with file.open("a", encoding="utf-8") as opened:
                opened.write(NEWCOMER.format(name=name, address=double.base_url(name)))
            served.tell(signal.SIGHUP)
            await served.logs("configuration read again")
            assert (await ask(client, served, f"{name}/auto")).end["status"] == "completed"


# --- The loopback rule ----------------------------------------------------------------------


async def test_beyond_loopback_it_does_not_start_unless_told_that_it_may(
    double: Double, tmp_path: Path
) -> None:
    environ = variables(double.url, ["openai"])
    async with starting(tmp_path, "--host", "0.0.0.0", environ=environ) as served:  # noqa: S104
        assert await served.ends() != 0
    (line,) = served.log
    assert "server.host" in line
    assert "loopback" in line
