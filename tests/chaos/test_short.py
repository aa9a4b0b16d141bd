"""The short forms of scenarios, for `make test`; `make chaos` plays them whole."""

import secrets
from pathlib import Path

import pytest

from tests.chaos import kills
from tests.chaos.scenario import Play

SHORT = {
    "everything is killed": kills.everything,
    "and the engine forgets": kills.forgetful,
}
"""Of T9, T14 and T15 the tests of publisher and consumer are the short forms."""


@pytest.mark.parametrize("title", SHORT)
async def test_nothing_is_lost_and_nothing_counted_twice_though(title: str, tmp_path: Path) -> None:
    play = Play(tmp_path, seed=secrets.randbelow(1_000_000), share=0.08)
    shown = await SHORT[title](play)
    assert shown.wrong == [], f"seed {play.seed}: {shown}"
    assert shown.lost == shown.double == 0
    assert shown.acked
    assert shown.fault
