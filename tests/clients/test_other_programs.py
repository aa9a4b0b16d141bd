"""Other people's programs in Python, set up as docs/chat-completions.md shows, before the demo."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.programs import LIMIT
from tests.clients.pythons import ENVIRONMENT, command
from tests.e2e.process import serving
from tests.house.tree import ROOT

ADDRESS = "http://127.0.0.1:8180"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
async def shown(tmp_path: Path) -> AsyncIterator[list[tuple[str, str]]]:
    """The page's examples in their languages, with the address of a service without any key."""
    page = (ROOT / "docs" / "chat-completions.md").read_text(encoding="utf-8")
    section = page.partition("\n## From other programs\n")[2]
    async with serving(tmp_path, environ={}) as served:
        yield BLOCK.findall(section.replace(ADDRESS, served.url))


async def printed(*arguments: str, folder: Path) -> str:
    """What a command prints; its failure fails the test."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "PATH": f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "LLM_USER_PATH": str(folder),
        },
    )
    async with asyncio.timeout(LIMIT):
        output, _ = await process.communicate()
    assert process.returncode == 0, arguments
    return output.decode()


async def test_every_example_answers_as_pasted(
    shown: list[tuple[str, str]], tmp_path: Path
) -> None:
    runs = {"python": (command("python"), "-c"), "sh": ("sh", "-ec")}
    [models] = [text for language, text in shown if language == "yaml"]
    (tmp_path / "extra-openai-models.yaml").write_text(models, encoding="utf-8")
    async with asyncio.TaskGroup() as group:
        answers = [
            group.create_task(printed(*runs[language], text, folder=tmp_path))
            for language, text in shown
            if language in runs
        ]
    assert len(answers) == 3
    assert all(answer.result().strip() for answer in answers)
