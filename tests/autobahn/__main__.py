"""`python -m tests.autobahn`: the suite against the service; 1 where more fails than is known."""

import asyncio
import sys
import tempfile
from pathlib import Path

import uvloop

from service import clock
from tests.autobahn import echo, suite
from tests.autobahn.verdict import verdict

FOLDER = Path(__file__).parents[2] / "build" / "autobahn"


def main() -> int:
    """Find, install, run, judge."""
    python = suite.found()
    if python is None:
        _say("skipped, for it needs a Python 2.7, and there is none on this machine")
        return 0
    try:
        suite.install(python, FOLDER)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_judged(python))
    except suite.SuiteError as failure:
        _say(f"{failure}")
        return 1


async def _judged(python: suite.Python27) -> int:
    began = clock.monotonic()
    with tempfile.TemporaryDirectory() as data:
        async with echo.served(Path(data)) as url:
            report = await suite.run(python, FOLDER, url)
    told = verdict(report)
    _say(f"{told.words}; {clock.monotonic() - began:.0f} s")
    if told.gone:
        _say(f"does not fail any more: {', '.join(told.gone)}")
    if told.new:
        _say(f"fails and did not: {', '.join(told.new)}; see {FOLDER / 'reports'}")
    return 1 if told.new else 0


def _say(words: str) -> None:
    sys.stdout.write(f"autobahn: {words}\n")


if __name__ == "__main__":
    sys.exit(main())
