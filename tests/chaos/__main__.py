"""`python -m tests.chaos`: play the scenarios, a line each, then a table; 1 where one failed."""

import argparse
import secrets
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
import uvloop

from service import clock
from tests.chaos.scenario import HIREDIS, Engine, Kind, Play, Scenario, Shown
from tests.chaos.scenarios import SCENARIOS

MATRIX = [
    Engine(kind, protocol, hiredis)
    for hiredis in (None, HIREDIS)
    for kind in get_args(Kind)
    for protocol in (2, 3)
]

HEAD = ("", "engine", "attempted", "acked", "counted", "lost", "twice", "again", "back", "s", "")


@dataclass(frozen=True, slots=True)
class Played:
    """One scenario on one engine."""

    scenario: Scenario
    engine: Engine
    shown: Shown
    seconds: float

    @property
    def on(self) -> str:
        """The engine, as the table names it."""
        return {"none": "none", "own": "its own"}.get(self.scenario.on, str(self.engine))


async def play(scenario: Scenario, given: Play) -> Played:
    """Play one."""
    began = clock.monotonic()
    try:
        shown = await scenario.play(given)
    except pytest.skip.Exception as reason:
        shown = Shown(skipped=str(reason))
    except Exception as failure:  # noqa: BLE001 - whatever it was, the others are played
        shown = Shown(wrong=[f"{failure!r} at {_place(failure)}"])
    return Played(scenario, given.engine, shown, clock.monotonic() - began)


def _place(failure: Exception) -> str:
    """Where in this suite it came from."""
    frames = traceback.extract_tb(failure.__traceback__)
    ours = [frame for frame in frames if "chaos" in frame.filename]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(ours))


def line(played: Played) -> str:
    """One line, to be read while the next one is played."""
    shown = played.shown
    counts = [
        f"{value:,} {what}"
        for value, what in (
            (shown.attempted, "attempted"),
            (shown.acked, "acked"),
            (shown.aggregated, "counted"),
            (shown.lost, "lost"),
            (shown.double, "twice"),
            (shown.redelivered, "redelivered"),
            (shown.rewinds, "rewinds"),
        )
        if value is not None
    ]
    why = f"skipped: {shown.skipped}" if shown.skipped else shown.fault
    said = ", ".join([*counts, why, *(f"WRONG: {what}" for what in shown.wrong)])
    scenario = played.scenario
    return f"{scenario.number:4} {scenario.title}, {played.on}: {said} ({played.seconds:.0f} s)"


def table(all_played: Sequence[Played]) -> str:
    """All of them."""
    rows: list[Sequence[str]] = [HEAD]
    for played in all_played:
        shown = played.shown
        counts = (
            *(shown.attempted, shown.acked, shown.aggregated),
            *(shown.lost, shown.double, shown.redelivered, shown.rewinds),
        )
        rows.append(
            (
                played.scenario.number,
                played.on,
                *("" if count is None else f"{count:,}" for count in counts),
                f"{played.seconds:.0f}",
                "WRONG" if shown.wrong else "skipped" if shown.skipped else "holds",
            )
        )
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def say(text: str) -> None:
    """At once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def programme(options: argparse.Namespace) -> Iterator[tuple[Scenario, Engine, float]]:
    """What is played, where, and how much of it.

    In the matrix everything is played on its first engine, and on the others half of what differs
    by engine.
    """
    wanted = set(options.only.split(",")) if options.only else None
    first, *others = MATRIX if options.matrix else [Engine(options.engine, options.protocol)]
    asked = [one for one in SCENARIOS if wanted is None or one.number in wanted]
    for scenario in asked:
        yield scenario, first, 1.0
    for engine in others:
        for scenario in asked:
            if scenario.on == "every":
                yield scenario, engine, 0.5


async def main(options: argparse.Namespace) -> int:
    """Play what is asked for."""
    say(f"seed {options.seed}")
    done = []
    with tempfile.TemporaryDirectory(prefix="tailrace-chaos-", dir=options.folder) as name:
        for number, (scenario, engine, share) in enumerate(programme(options)):
            folder = Path(name) / str(number)
            folder.mkdir()
            done.append(await play(scenario, Play(folder, options.seed, engine, share)))
            say(line(done[-1]))
            shutil.rmtree(folder, ignore_errors=True)
    say(table(done))
    return int(any(played.shown.wrong for played in done))


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--matrix", action="store_true", help="on every engine and client")
    parser.add_argument("--only", metavar="T1,T2", help="these scenarios")
    parser.add_argument("--engine", choices=("valkey", "redis"), default="valkey")
    parser.add_argument("--protocol", type=int, choices=(2, 3), default=2)
    parser.add_argument("--folder", type=Path, help="where to keep files: on a real disk")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(uvloop.run(main(arguments())))
