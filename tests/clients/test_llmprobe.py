"""`llmprobe`, a suite that others wrote for inference engines, with the service as the engine.

It finds out which APIs there are, sends each some thirty requests and more, and judges the answers:
by what an API demands (MUST, which makes its score), by what it recommends (SHOULD) and by taste.
The model behind the service is the `Pupil`, whose answers show what reached it. Two providers are
asked: Claude's format can say all that the three dialects ask for; behind the other one, which
speaks chat completions, samples and thinks aloud, a few things have no place, each named here and
in docs/conformance.md.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.clients.nodes import HOME, node
from tests.clients.pupil import Pupil
from tests.e2e.stack import stack

PROBE: Final = HOME / "node_modules" / "llmprobe" / "bin" / "dist" / "llmprobe.mjs"

PATIENCE: Final = 100.0  # seconds; a run takes 4

SURFACES: Final = {"models", "chat", "responses", "messages", "count-tokens"}

ADVICE: Final = {
    "messages-cache-write",  # what is to be cached is the provider's business here
    "count-tokens-matches-usage",  # an estimate, and a token of the pupil's is a word
}
"""What it recommends and does not get."""

ABSENT: Final = {
    "chat-logprobs",
    "chat-n-choices",
    # The limits are the providers' own.
    "chat-rate-limit-headers",
    "responses-rate-limit-headers",
    "messages-rate-limit-headers",
    # The suite has no such test yet.
    "responses-mcp-tools",
    "responses-reasoning-roundtrip",
}
"""What it looks for and is told that it is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model, and what of the suite cannot be had with it."""

    model: str
    demands: frozenset[str] = frozenset()
    advice: frozenset[str] = frozenset()


CLAUDE: Final = Case(model="claude/haiku")
OPENROUTER: Final = Case(
    model="openrouter/qwen3.8-27b",
    demands=frozenset(
        {
            # Open Responses' name for the model's own reasoning, which OpenAI's SDKs do not know.
            "responses-stream-chunk-schema",
            # Chat completions do not say that it was a stop sequence that ended the answer.
            "messages-stop-reason",
            # No other API than Anthropic's and Google's has it; it is passed over.
            "messages-top-k-honored",
        }
    ),
    advice=frozenset({"messages-stop-echoed"}),
)


@pytest.mark.parametrize("case", [CLAUDE, OPENROUTER], ids=lambda case: case.model)
async def test_the_suite_s_demands_are_met_on_all_dialects_but_for_what_a_provider_cannot_say(
    case: Case, tmp_path: Path
) -> None:
    found = await probed(case.model, tmp_path)
    ran = [result for result in found["results"] if result["surface"] in SURFACES]
    assert {one["surface"] for one in ran if one["outcome"] == "pass"} == SURFACES
    assert {one["outcome"] for one in ran} <= {"pass", "fail", "unsupported"}
    assert failed(ran, "MUST") == case.demands
    assert failed(ran, "SHOULD", "MAY") == case.advice | ADVICE
    assert {one["id"] for one in ran if one["outcome"] == "unsupported"} == ABSENT


async def probed(model: str, folder: Path) -> dict[str, Any]:
    """What all of the suite finds of the conformance; it writes nowhere but into `folder`."""
    report = folder / "report.json"
    options = ["--full", "--no-bench", "--no-save", "--no-color", "--save", str(report)]
    async with stack(model.partition("/")[0]) as running, asyncio.timeout(PATIENCE):
        running.double.choose(Pupil().script)
        process = await asyncio.create_subprocess_exec(
            node(),
            str(PROBE),
            f"{running.url}/v1",
            *("--api-key", "test-key-llmprobe", "--model", model),
            *options,
            env={"HOME": str(folder)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    assert report.is_file(), said.decode()
    conformance: dict[str, Any] = orjson.loads(report.read_bytes())["conformance"]
    return conformance


def failed(results: list[Mapping[str, Any]], *severities: str) -> set[str]:
    """The checks that failed."""
    failures = [failure for result in results for failure in result["failures"]]
    return {failure["id"] for failure in failures if failure["severity"] in severities}
