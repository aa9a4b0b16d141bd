"""Schemathesis against the service, which runs in this process before the provider double.

`python -m tests.clients.fuzzing` (`make schemathesis`) runs all of its phases, with whatever
arguments of `st run` it is given; the test beside this runs some of them, briefly. How the service
is held to its document: schemathesis.toml.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from tests.e2e.stack import Stack, stack

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
COMMAND = Path(sys.executable).with_name("st")

Answer = tuple[str, int, str]
"""An operation, a status and a media type."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a run went."""

    code: int
    """0: nothing is wrong."""
    output: str
    answers: Counter[Answer]
    """What the service answered, and how often."""


async def fuzz(service: Stack, folder: Path, *arguments: str, document: Path | None = None) -> Run:
    """Run Schemathesis; `folder` takes its report, `document` stands in for the service's own."""
    report = folder / "report.ndjson"
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, f"--config-file={CONFIGURATION}", "run"),
        f"{service.url}/openapi.json" if document is None else document,
        *("--url", service.url, "--report", "ndjson", f"--report-ndjson-path={report}"),
        *("--no-color", "--continue-on-failure", *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return Run(process.returncode, output.decode(errors="replace"), Counter(_answers(report)))


def _answers(report: Path) -> Iterator[Answer]:
    for line in report.read_bytes().splitlines():
        recorder = orjson.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for exchanged in recorder.get("interactions", {}).values():
            response: dict[str, Any] | None = exchanged["response"]
            if response is not None:
                kind = response["headers"].get("content-type", [""])[0].partition(";")[0]
                yield recorder["label"], response["status_code"], kind


async def main(arguments: list[str]) -> int:
    """Run everything, and print what Schemathesis says."""
    with TemporaryDirectory() as folder:
        async with stack() as service:
            run = await fuzz(service, Path(folder), *arguments)
    sys.stdout.write(run.output)
    return run.code


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
