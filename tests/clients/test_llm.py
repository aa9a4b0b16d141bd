"""simonw's `llm`, unchanged, as the command-line program that it is and as a library."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import pytest_asyncio

from tests.clients.programs import LIMIT, Program
from tests.clients.pythons import command, program
from tests.double.answer import tool_call
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
either_api = pytest.mark.parametrize("model", ["by-chat", "by-responses"])
either_way = pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
every_way = pytest.mark.parametrize(
    ("streams", "sync"),
    [(True, True), (True, False), (False, True)],
    ids=["streamed", "streamed-async", "whole"],
)
sync_or_async = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])

# Its clients are never closed; their connections shall not outlive an answer.
MODELS = """
- &chat
  model_id: by-chat
  model_name: groq/auto
  api_base: {url}/v1
  supports_tools: true
  supports_schema: true
  headers: {{connection: close}}
- <<: *chat
  model_id: by-responses
  responses: true
"""

WEATHER = '''
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user folder of its own."""
    return tmp_path_factory.mktemp("llm")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def library(folder: Path) -> AsyncIterator[Program]:
    async with program("with_llm", LLM_USER_PATH=str(folder)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def service(folder: Path) -> AsyncIterator[Stack]:
    async with stack("groq") as running:
        models = MODELS.format(url=running.url)
        (folder / "extra-openai-models.yaml").write_text(models, encoding="utf-8")
        yield running


# --- The program ----------------------------------------------------------------------------


@asynccontextmanager
async def typed(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`llm` with these arguments, until the test is over."""
    process = await asyncio.create_subprocess_exec(
        command("llm"),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "LLM_USER_PATH": str(folder)},
    )
    try:
        async with asyncio.timeout(LIMIT):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ran(folder: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Its exit status, its output and what it complained of."""
    async with typed(folder, *arguments) as process:
        output, complaints = await process.communicate()
    return process.returncode, output.decode(), complaints.decode()


async def test_an_answer_is_printed_and_its_tokens_are_logged(folder: Path, service: Stack) -> None:
    service.double.script(reply("Hello ", "you."))
    status, output, complaints = await ran(folder, "-m", "by-chat", "--usage", "Say hello.")
    assert (status, output) == (0, "Hello you.\n")
    assert "12 input, 9 output" in complaints
    _, logged, _ = await ran(folder, "logs", "--json", "--count", "1")
    [entry] = orjson.loads(logged)
    assert (entry["response"], entry["input_tokens"], entry["output_tokens"]) == (
        "Hello you.",
        12,
        9,
    )


async def test_a_function_is_called_and_its_result_answered(folder: Path, service: Stack) -> None:
    service.double.script(reply(tool_call("weather", '{"city":"Oslo"}')), reply("It rains."))
    status, output, _ = await ran(folder, "-m", "by-chat", "--functions", WEATHER, "Weather?")
    assert (status, output) == (0, "It rains.\n")
    assert service.double.requests[1].body["messages"][-1]["content"] == "rain in Oslo"


async def test_an_answer_that_breaks_is_a_failed_command(folder: Path, service: Stack) -> None:
    service.double.script(reply("Half an", Cut()))
    status, output, complaints = await ran(folder, "-m", "by-chat", "Say hello.")
    assert (status, output.strip()) == (1, "Half an")
    assert complaints.strip().startswith("Error: ")


async def test_an_interrupted_command_is_cancelled_at_the_provider(
    folder: Path, service: Stack
) -> None:
    service.double.script(reply("Hello ", Wait(Gate()), "you."))
    async with typed(folder, "-m", "by-chat", "Say hello.") as process:
        assert process.stdout is not None
        assert await process.stdout.readexactly(5) == b"Hello"
        process.send_signal(signal.SIGINT)
        await service.double.requests[0].left()
        assert await process.wait() != 0


# --- The library ----------------------------------------------------------------------------


@every_way
@either_api
async def test_an_answer_has_its_text_and_its_tokens(
    service: Stack, library: Program, model: str, *, streams: bool, sync: bool
) -> None:
    service.double.script(reply("Hello ", "you."))
    seen = await library.do("ask", model=model, streams=streams, sync=sync)
    assert seen == {"text": "Hello you.", "error": None, "tokens": [[12, 9]]}


@every_way
@either_api
async def test_a_tool_is_called_and_its_result_answered_in_a_chain(
    service: Stack, library: Program, model: str, *, streams: bool, sync: bool
) -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}')
    service.double.script(reply("Let me look. ", call), reply("It rains."))
    seen = await library.do("ask", model=model, streams=streams, sync=sync, tools=True)
    assert seen["text"] == "Let me look. It rains."
    assert (seen["error"], seen["tokens"]) == (None, [[12, 9], [12, 9]])
    told = service.double.requests[1].body["messages"]
    assert [(one["role"], one["content"]) for one in told[1:]] == [
        ("assistant", "Let me look. "),
        ("tool", "rain in Oslo"),
    ]


@either_way
@either_api
async def test_an_answer_has_the_structure_that_was_asked_for(
    service: Stack, library: Program, model: str, *, streams: bool
) -> None:
    service.double.script(reply('{"city":', '"Oslo"}'))
    seen = await library.do("place", model=model, streams=streams)
    assert seen["output"] == {"city": "Oslo"}
    assert service.double.requests[0].body["response_format"]["type"] == "json_schema"


@sync_or_async
async def test_an_answer_that_breaks_raises_after_what_came(
    service: Stack, library: Program, *, sync: bool
) -> None:
    service.double.script(reply("Half an", Cut()))
    seen = await library.do("ask", model="by-chat", streams=True, sync=sync)
    assert seen == {"text": "Half an", "error": "APIError", "tokens": []}


@sync_or_async
async def test_over_responses_it_looks_past_a_failure_and_only_the_tokens_are_missing(
    service: Stack, library: Program, *, sync: bool
) -> None:
    """Its own doing, and why docs/chat-completions.md says not to; once this fails, it need not."""
    service.double.script(reply("Half an", Cut()))
    seen = await library.do("ask", model="by-responses", streams=True, sync=sync)
    assert seen == {"text": "Half an", "error": None, "tokens": [[None, None]]}


@either_api
async def test_half_of_a_whole_answer_is_never_shown(
    service: Stack, library: Program, model: str
) -> None:
    service.double.script(reply("Half an", Cut()), http_error(Kind.INVALID_REQUEST))
    seen = await library.do("ask", model=model, streams=False, sync=True)
    assert seen == {"text": "", "error": "BadRequestError", "tokens": []}


@pytest.mark.parametrize("how", ["cancel", "leave"])
@either_api
async def test_an_answer_that_is_left_is_cancelled_at_the_provider(
    service: Stack, library: Program, model: str, how: str
) -> None:
    service.double.script(reply("Hello ", Wait(Gate()), "you."))
    seen = await library.do(how, model=model)
    await service.double.requests[0].left()
    assert seen["text"] == "Hello "
