"""docs/examples/agent_pipeline.py: as its reader starts it, and what it says when things fail."""

import asyncio
import importlib.util
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import aiohttp
import orjson
import pytest

from service.settings import ModelSettings, ProviderSettings, Settings
from tests.clients.lines import Line
from tests.double.answer import tool_call
from tests.double.errors import Kind
from tests.double.script import Script, http_error, reply
from tests.double.server import Double
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import PATIENCE, Stack, stack
from tests.service.http.serving import parsed

ROOT: Final = Path(__file__).parents[2]
EXAMPLE: Final = ROOT / "docs" / "examples" / "agent_pipeline.py"
PAGE: Final = (ROOT / "docs" / "integrations" / "agent-pipelines.md").read_text(encoding="utf-8")

HANDED_ON: Final = ("analysis", "backlog", "design", "story")
"""What is done before the executor's turn."""


def loaded() -> ModuleType:
    """The example in this process, which has the SDKs: to import them takes seconds."""
    spec = importlib.util.spec_from_file_location("agent_pipeline", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PIPELINE: Final = loaded()


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run has said."""

    code: int
    out: str
    errors: str

    @property
    def steps(self) -> list[list[str]]:
        """The table's lines, without its head and its sum: cells, and the remark where one is."""
        lines = self.out.partition("\n\n")[0].splitlines()[1:]
        return [re.split(r" +", line, maxsplit=8) for line in lines if not line.startswith("sum")]

    @property
    def sum(self) -> str:
        """What all steps have cost."""
        (line,) = (line for line in self.out.splitlines() if line.startswith("sum"))
        return line.removeprefix("sum").strip()

    @property
    def verdict(self) -> str:
        """The last line, on the bill."""
        return self.out.splitlines()[-1]


Run = Callable[..., Coroutine[Any, Any, Ran]]
"""Runs the example, given the router's address and more arguments."""


@pytest.fixture
async def service() -> AsyncIterator[Stack]:
    async with stack("claude", "openai", "groq", "deepseek") as running:
        yield running


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def running(url: str, *arguments: str) -> Ran:
        code = await asyncio.to_thread(PIPELINE.main, ["--url", url, *arguments])
        return Ran(code, *capsys.readouterr())

    return running


def writes(path: str, content: str = "x = 1") -> Script:
    """The executor calls its tool."""
    arguments = orjson.dumps({"path": path, "content": content}).decode()
    return reply(tool_call("write_file", arguments[:9], arguments[9:]))


def handed_on() -> list[Script]:
    """What the four before the executor say."""
    return [reply(f"The {step}.") for step in HANDED_ON]


# --- As a reader starts it ------------------------------------------------------------------


async def test_it_runs_as_the_page_says_before_the_demo_provider() -> None:
    async with stack("openai", environ={"OPENAI_API_KEY": ""}) as service:
        # The demo takes its time for each token: six are a tool call's.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, EXAMPLE, "--url", service.url, "--max-tokens", "6"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
    assert process.returncode is not None
    ran = Ran(process.returncode, out.decode(), errors.decode())
    assert (ran.code, ran.errors) == (0, "")
    steps = [*HANDED_ON, "code", "code", "review"]
    assert [cells[0] for cells in ran.steps] == steps
    for _, _, _, provider, model, first, total, cost, *_ in ran.steps:
        assert (provider, model, cost) == ("demo", "demo", "0")
        assert 350 <= int(first) <= int(total)
    assert "1 file(s) written: 'demo'\n" in ran.out
    assert ran.verdict == "Together 0, as the steps say."


def test_the_page_has_its_roles_and_the_head_of_its_table() -> None:
    told = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert told == [(role.step, role.preset) for role in PIPELINE.ROLES]
    assert PIPELINE.line(*PIPELINE.HEAD) in PAGE
    assert ".venv/bin/python docs/examples/agent_pipeline.py\n" in PAGE


# --- Several providers ----------------------------------------------------------------------


async def test_each_role_is_given_what_the_others_made_and_its_preset_s_instructions(
    service: Stack, run: Run
) -> None:
    service.double.script(*handed_on(), writes("photos.py"), reply("Done."), reply("Fine."))
    ran = await run(service.url, "Sort my photos.")
    assert (ran.code, ran.errors) == (0, "")
    sent = [orjson.dumps(seen.body).decode() for seen in service.double.requests]
    assert all("Sort my photos." in body for body in sent)
    assert "You are a business analyst." in sent[0]
    assert "The analysis." in sent[1]
    assert "You are a scrum master." in sent[3]
    assert "The backlog." in sent[3]
    assert "The analysis." not in sent[3]
    assert "The story." in sent[4]
    assert "wrote photos.py, 5 characters" in sent[5]
    assert "photos.py\\nx = 1" in sent[6]
    assert {cells[2] for cells in ran.steps} == {"chat", "messages"}


async def test_the_bill_is_what_the_steps_say_with_what_failed_and_what_is_unknown(
    service: Stack, run: Run
) -> None:
    analysis, *others = handed_on()
    service.double.script(
        http_error(Kind.OVERLOADED),
        analysis,
        reply("Half a back", Cut("rst")),
        *others,
        writes("photos.py"),
        reply("Done."),
        reply("Fine."),
    )
    ran = await run(service.url)
    assert (ran.code, ran.errors) == (0, "")
    first, second, *rest = ran.steps
    # A whole answer that broke off was begun again: nobody had seen its half.
    assert first[3] != "claude"
    assert first[-1].endswith("after claude overloaded")
    assert second[-1].endswith("after claude stream_interrupted")
    assert not any("after" in cells[-1] for cells in rest)
    assert ran.sum.endswith(" + ?")
    assert ran.verdict == f"Together {ran.sum}, as the steps say."
    assert re.search(r"^  preset:analyst +2 attempt\(s\) ", ran.out, re.MULTILINE)


async def test_a_loop_goes_on_with_another_provider_which_is_given_the_calls_and_their_results(
    service: Stack, run: Run
) -> None:
    loop = (writes("photos.py"), http_error(Kind.OVERLOADED), reply("Done."))
    service.double.script(*handed_on(), *loop, reply("Fine."))
    ran = await run(service.url)
    assert ran.code == 0
    called, ended = (cells for cells in ran.steps if cells[0] == "code")
    assert called[3] == "deepseek"
    assert ended[3] == "claude"
    assert ended[-1].endswith("after deepseek overloaded")
    (asked,) = (seen for seen in service.double.requests if b"tool_use_id" in _sent(seen))
    (use,) = (
        block
        for turn in asked.body["messages"]
        for block in turn["content"]
        if isinstance(block, dict) and block["type"] == "tool_use"
    )
    assert use["input"] == {"path": "photos.py", "content": "x = 1"}
    assert f'"tool_use_id":"{use["id"]}"'.encode() in _sent(asked)


def _sent(seen: Any) -> bytes:  # noqa: ANN401 - a request of any form
    return orjson.dumps(seen.body)


async def test_a_cost_that_nobody_knows_is_shown_as_unknown(run: Run) -> None:
    unlisted = ProviderSettings(models=(ModelSettings(id="house-model"),))
    async with stack("groq", settings=Settings(providers={"groq": unlisted})) as service:
        ran = await run(service.url)
    assert ran.code == 0
    assert {cells[4] for cells in ran.steps} == {"house-model"}
    assert {cells[7] for cells in ran.steps} == {"unknown"}
    assert ran.verdict == "Together unknown, as the steps say."


async def test_what_others_ask_meanwhile_is_not_on_the_run_s_bill(service: Stack, run: Run) -> None:
    gate = Gate()
    service.double.script(reply(Wait(gate), "The analysis."))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run(service.url))
        await service.double.seen(1)
        await service.ask("groq/auto", reply("Hello."), user="somebody-else")
        await service.ask("groq/auto", reply("Hello."))
        gate.open()
    ran = running.result()
    assert ran.verdict == f"Together {ran.sum}, as the steps say."
    assert "preset:analyst" in ran.out
    assert "groq/auto" not in ran.out


async def test_a_run_alone_on_the_router_is_all_of_its_sums(service: Stack, run: Run) -> None:
    service.double.script(*handed_on(), writes("photos.py"), reply("Done."), reply("Fine."))
    ran = await run(service.url)
    sums = f"{service.url}/v1/usage"
    total: dict[str, Any] = {"attempts": 0}
    async with asyncio.timeout(PATIENCE):
        while total["attempts"] < 7:
            async with service.client.get(sums) as response:
                total = (await response.json())["total"]
    assert (total["cost_usd"], total["unknown_cost_attempts"]) == (ran.sum, 0)


async def test_usage_events_tell_the_roles_and_the_run_apart(service: Stack, run: Run) -> None:
    service.double.script(*handed_on(), writes("photos.py"), reply("Done."), reply("Fine."))
    ran = await run(service.url)
    assert ran.code == 0
    events: list[Any] = []
    live = f"{service.url}/v1/usage/events"
    async with service.client.get(live, params={"after": "0"}) as response:
        body = b""
        while len(events) < 7:
            body += await response.content.readany()
            events = [told.data["data"] for told in parsed(body) if told.event == "usage"]
    presets = [f"preset:{role.preset}" for role in PIPELINE.ROLES]
    assert {event["requested_model"] for event in events} == set(presets)
    (user,) = {event["end_user"] for event in events}
    assert user.startswith("pipeline-")
    (sums,) = re.findall(r"python -c '\n(.*?)^'$", PAGE, re.MULTILINE | re.DOTALL)
    lines = (await python(sums, body)).splitlines()
    assert {tuple(line.split()[:3]) for line in lines} == {
        (user, name, "2" if name == "preset:developer" else "1") for name in presets
    }
    assert all(re.search(r"\$0\.0\d+ 0 unknown$", line) for line in lines)


async def python(program: str, given: bytes = b"") -> str:
    """What a program prints, in a process of its own, that has nothing to complain about."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate(given)
    assert (process.returncode, errors) == (0, b"")
    return out.decode()


# --- What fails -----------------------------------------------------------------------------


async def test_a_lost_connection_is_taken_up_again_and_nobody_is_asked_twice(
    service: Stack, run: Run
) -> None:
    whole, streamed = Gate(), Gate()
    _, *others = handed_on()
    service.double.script(
        reply("The ", Wait(whole), "analysis."),
        *others,
        reply(
            "I will ",
            Wait(streamed),
            "write.",
            tool_call("write_file", '{"path":"a","content":""}'),
        ),
        reply("Done."),
        reply("Fine."),
    )
    async with Line(service.url) as line, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run(line.url))
        for number, gate in ((1, whole), (5, streamed)):
            await service.double.seen(number)
            line.cut()
            gate.open()
    ran = running.result()
    assert (ran.code, ran.errors) == (0, "")
    assert len(service.double.requests) == 7
    assert ran.verdict.endswith("as the steps say.")


async def test_a_streamed_answer_that_breaks_off_ends_the_run_with_one_line(
    service: Stack, run: Run
) -> None:
    service.double.script(*handed_on(), reply("I will wri", Cut("rst")))
    ran = await run(service.url)
    assert ran.code == 1
    assert [cells[0] for cells in ran.steps] == [*HANDED_ON]
    assert ran.errors == "agent_pipeline: code: The provider's answer was cut off.\n"


async def test_a_refused_request_ends_the_run_with_the_router_s_own_words(
    service: Stack, run: Run
) -> None:
    ran = await run(service.url, "--max-tokens", "0")
    assert ran.code == 1
    assert (
        ran.errors == "agent_pipeline: analysis: max_tokens: 0 is not allowed; must be at least 1\n"
    )
    service.double.default = http_error(Kind.OVERLOADED)
    ran = await run(service.url)
    assert ran.code == 1
    assert ran.errors.startswith("agent_pipeline: analysis: ")
    assert ran.errors.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9", "Connection refused"),
        ("127.0.0.1:9", "missing an 'http://' or 'https://' protocol"),
        ("http://[::1", "Invalid port"),
    ],
)
async def test_an_address_where_nobody_answers_is_one_line(url: str, said: str, run: Run) -> None:
    ran = await run(url)
    assert (ran.code, ran.out) == (1, "")
    assert ran.errors.startswith(f"agent_pipeline: {url}: ")
    assert said in ran.errors
    assert ran.errors.count("\n") == 1


async def test_somebody_else_at_the_address_is_told_from_the_router(
    double: Double, run: Run
) -> None:
    ran = await run(double.url)
    assert ran.code == 1
    assert ran.errors.endswith("/v1/usage/events: HTTP 404: this is not Tailrace\n")
    assert ran.errors.count("\n") == 1


@pytest.mark.parametrize("path", ["../outside.py", "/outside.py", "a\x00b"])
async def test_the_tool_writes_nowhere_else_and_tells_the_model_so(
    service: Stack, run: Run, path: str
) -> None:
    service.double.script(*handed_on(), writes(path), reply("Done."), reply("Fine."))
    ran = await run(service.url)
    assert ran.code == 0
    assert "0 file(s) written: none" in ran.out
    assert b"Error: " in _sent(service.double.requests[5])


async def test_an_executor_that_never_stops_writing_is_stopped(service: Stack, run: Run) -> None:
    calls = [writes(f"{number}.py") for number in range(PIPELINE.ROUNDS)]
    service.double.script(*handed_on(), *calls, reply("Fine."))
    ran = await run(service.url)
    assert ran.code == 0
    assert len([cells for cells in ran.steps if cells[0] == "code"]) == PIPELINE.ROUNDS


# --- What the page says of keys -------------------------------------------------------------


async def test_the_page_s_repeated_request_is_answered_once(service: Stack) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    await python(program.replace("http://127.0.0.1:8180", service.url))
    assert len(service.double.requests) == 1


async def test_an_answer_is_kept_under_its_key_and_so_is_a_failure(service: Stack) -> None:
    async def asked(key: str) -> tuple[int, bytes]:
        body = {"model": "preset:tester", "messages": [{"role": "user", "content": "Hi"}]}
        return await posted(service, body, {"Idempotency-Key": key})

    service.double.script(reply("Fine."))
    assert await asked("run-1") == await asked("run-1")
    assert len(service.double.requests) == 1

    service.double.default = http_error(Kind.OVERLOADED)
    failed = await asked("run-2")
    assert failed[0] >= 500
    before = len(service.double.requests)
    assert await asked("run-2") == failed
    assert len(service.double.requests) == before
    await asked("run-3")
    assert len(service.double.requests) > before


async def posted(service: Stack, body: object, headers: dict[str, str]) -> tuple[int, bytes]:
    url = f"{service.url}/v1/chat/completions"
    async with service.client.post(url, json=body, headers=headers) as response:
        assert isinstance(response, aiohttp.ClientResponse)
        return response.status, await response.read()
