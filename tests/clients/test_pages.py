"""Every example on the pages for developers runs as it stands there, before the demo provider.

A block is not run where the comment before it says why. The service listens on a free port, which
is put in the place of the one that the pages name.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest
import pytest_asyncio

from tests.clients.nodes import HOME, node, program
from tests.e2e.process import serving
from tests.house.tree import ROOT

EXAMPLES = ROOT / "docs" / "examples"

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = (
    "README.md",
    "docs/agents.md",
    "docs/ai-sdk.md",
    "docs/browser-sse.md",
    "docs/browser-websocket.md",
    "docs/chat-completions.md",
    "docs/messages.md",
    "docs/openai-sdk.md",
    "docs/responses.md",
    "docs/websocket.md",
)
ADDRESS = "127.0.0.1:8180"
LIMIT = 60.0  # seconds
"""For all of them together."""

_BLOCK = re.compile(r"^(<!-- not run: [^>]+ -->\n)?```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OWN_SECTION = re.compile(r"^## The clients you have\n(.*?)^## ", re.MULTILINE | re.DOTALL)
"""Of the README: its other examples start servers, follow without an end, or have their tests."""


_ALL = """
import json, sys, traceback
from concurrent.futures import ThreadPoolExecutor

def failure(code):
    try:
        exec(compile(code, "an example", "exec"), {"__name__": "__main__"})
    except BaseException:
        return traceback.format_exc()

examples = json.load(sys.stdin)
with ThreadPoolExecutor(len(examples)) as pool:
    json.dump(list(pool.map(failure, examples)), sys.stderr)
"""
"""All examples in Python side by side: the SDKs take longer to import than the demo to answer."""


class Example(NamedTuple):
    """A block of a page."""

    page: str
    language: str
    code: str


def examples(address: str) -> list[Example]:
    """Those that are to be run, against that service."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        if page == "README.md":
            section = _OWN_SECTION.search(text)
            assert section is not None
            text = section[1]
        found += [
            Example(page, language, code.replace(ADDRESS, address))
            for excuse, language, code in _BLOCK.findall(text)
            if not excuse and language in {"python", "js", "sh"}
        ]
    return found


async def ran(*command: str, where: Path = ROOT, told: bytes = b"") -> tuple[int, str, str]:
    """A command's exit code, and what it wrote to its outputs."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=where,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate(told)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def in_python(those: list[Example]) -> list[str]:
    """What failed, each with its page."""
    told = orjson.dumps([example.code for example in those])
    _, _, err = await ran(sys.executable, "-W", "error", "-c", _ALL, told=told)
    failures = orjson.loads(err)
    return [f"{of.page}: {why}" for of, why in zip(those, failures, strict=True) if why]


async def by_itself(example: Example) -> list[str]:
    """What failed of one in JavaScript or for a shell."""
    if example.language == "sh":
        code, out, err = await ran("sh", "-ec", example.code)
    else:
        # An EventSource is what browsers have; Node's own asks to be switched on.
        flags = ("--no-warnings", "--experimental-eventsource", "--input-type=module")
        where = EXAMPLES if "'./tailrace-" in example.code else HOME
        code, out, err = await ran(node(), *flags, "--eval", example.code, where=where)
    return [] if code == 0 and out else [f"{example.page}: {example.code}\n{out}{err}"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Host and port of a service without any key."""
    async with serving(tmp_path_factory.mktemp("pages"), environ={}) as served:
        yield served.url.removeprefix("http://")


async def test_every_example_runs_as_pasted(address: str) -> None:
    shown = examples(address)
    assert {example.page for example in shown} == set(PAGES)
    python = [example for example in shown if example.language == "python"]
    others = [example for example in shown if example.language != "python"]
    async with asyncio.timeout(LIMIT):
        told = await asyncio.gather(in_python(python), *map(by_itself, others))
    assert [failure for each in told for failure in each] == []


async def test_the_page_over_sse_asks_stops_and_finds_its_answer_after_a_reload(
    address: str,
) -> None:
    async with program("browser", f"http://{address}") as browser:
        await browser.do("open", page="browser_sse.html")
        await browser.do("ask", question="What is a tailrace?")
        before = await browser.do("shows", text="demo provider")
        await browser.do("open", page="browser_sse.html")
        await browser.do("shows", text=before["answer"])
        await browser.do("stop")
        seen = await browser.do("says", status="cancelled")
    assert seen["answer"].startswith(before["answer"])
