"""What a report of the Autobahn suite comes to."""

import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.autobahn import echo
from tests.autobahn.verdict import Report, verdict

ROOT = Path(__file__).parents[2]


def report(**cases: tuple[str, str]) -> Report:
    """By case, how it went and how it was closed; 7.9.5 as it is known."""
    known = {"7.9.5": ("FAILED", "OK")}
    told = known | {name.replace("_", ".").strip("."): case for name, case in cases.items()}
    return {name: {"behavior": b, "behaviorClose": c} for name, (b, c) in told.items()}


def test_what_is_known_to_fail_is_nothing_new() -> None:
    told = verdict(report(_1_1=("OK", "OK"), _6_4_1=("NON-STRICT", "OK")))
    assert told.new == told.gone == []
    assert told.words == "3 cases: 1 FAILED, 1 NON-STRICT, 1 OK; failed: 7.9.5"


@pytest.mark.parametrize(
    "case", [("FAILED", "OK"), ("OK", "FAILED"), ("OK", "WRONG CODE"), ("UNIMPLEMENTED", "OK")]
)
def test_any_other_failure_is_new_also_one_of_the_close(case: tuple[str, str]) -> None:
    assert verdict(report(_2_1=case)).new == ["2.1"]


def test_what_does_not_fail_any_more_is_said() -> None:
    fixed = {"7.9.5": {"behavior": "OK", "behaviorClose": "OK"}}
    assert verdict(fixed).gone == ["7.9.5"]
    assert verdict(fixed).new == []


def test_without_python_2_7_it_says_so_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.autobahn"],
        cwd=ROOT,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (
        "autobahn: skipped, for it needs a Python 2.7, and there is none on this machine\n"
    )


async def test_what_is_tried_is_the_service_with_one_route_more(tmp_path: Path) -> None:
    async with echo.served(tmp_path) as url, aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as ws:
            await ws.send_str("text")
            await ws.send_bytes(b"bytes")
            assert await ws.receive_str() == "text"
            assert await ws.receive_bytes() == b"bytes"
        async with session.ws_connect(url.replace(echo.PATH, "/v1/ws")) as ws:
            await ws.send_json({"t": "ping"})
            assert await ws.receive_json() == {"t": "pong"}
