"""Scenarios that tests beside the code play already: pytest is asked, and must have played them."""

import asyncio
import re
import sys

from tests.chaos.scenario import Play, Scenario, Shown
from tests.house.tree import ROOT

ROOM = "tests/service/usage"

_SUMMED = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


def proven(number: str, title: str, *tests: str) -> Scenario:
    """A scenario that these tests are, with all parameters; they start what they need.

    `publisher::test_...` is of `test_publisher.py` in the room of usage, anything else a path.
    """

    async def played(play: Play) -> Shown:
        names = [_path(test) for test in tests]
        # One after the other, and without what the whole suite's coverage wants.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *(f"--basetemp={play.folder / 'pytest'}", *names),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
        counts = {what: int(count) for count, what in _SUMMED.findall(said)}
        if not counts.get("passed") and process.returncode == 0:
            return Shown(skipped="nothing that it needs is on this machine")
        shown = Shown(fault=f"tests passed: {counts.get('passed', 0)}")
        shown.must(process.returncode == 0, said[-2_000:])
        return shown

    return Scenario(number, title, played, on="own")


def _path(test: str) -> str:
    module, _, name = test.partition("::")
    return test if "/" in module else f"{ROOM}/test_{module}.py::{name}"
