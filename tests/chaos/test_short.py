"""The short forms of scenarios, for `make test`; `make chaos` plays them whole."""

import secrets
from pathlib import Path

import pytest

from tests.chaos import kills, outage
from tests.chaos.scenario import Play

SHORT = {
    "the engine is away": outage.away,
    "everything is killed": kills.everything,
    "and the engine forgets": kills.forgetful,
}
"""Of the others the tests beside the code are the short forms: of T7 and T11 those of the journal,
of T9 the publisher's, of T14 and T15 the aggregator's, of T19 those of the shared limits."""


@pytest.mark.parametrize("title", SHORT)
async def test_nothing_is_lost_and_nothing_counted_twice_though(title: str, tmp_path: Path) -> None:
    play = Play(tmp_path, seed=secrets.randbelow(1_000_000), share=0.08)
    shown = await SHORT[title](play)
    assert shown.wrong == [], f"seed {play.seed}: {shown}"
    assert shown.lost == shown.double == 0
    assert shown.acked
    assert shown.fault
