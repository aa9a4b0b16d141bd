"""docs/failover.md shows streams as they are: each listing is asked for again here, and compared.

A listing leaves out what differs from run to run (ids, times) and what has nothing to do with the
matter (the plan, token counts, facts about the connection); `SHOWN` says what is left of an event.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.double.script import Script, reply
from tests.double.steps import Cut
from tests.e2e.stack import Told, stack

PAGE = Path(__file__).parents[2] / "docs" / "failover.md"
LISTING = re.compile(r"<!-- (\w+) -->\n```\n(.*?)\n```", re.DOTALL)

SHOWN: Mapping[str, tuple[str, ...]] = {
    "attempt.start": ("attempt", "provider", "role", "replaces"),
    "attempt.commit": ("attempt", "reason"),
    "attempt.end": ("attempt", "outcome", "error"),
    "failover": ("from", "to", "mode", "drop", "overlap_chars", "must_understand"),
    "block.start": ("block", "index", "kind"),
    "text.delta": ("block", "delta"),
    "block.end": ("block", "status", "text_len"),
    "stream.end": ("status", "finish", "provider", "error"),
}

BROKEN = reply("The capital", " of Fr", Cut())
SECOND: Mapping[str, Script] = {
    "restart": reply("Paris is", " the capital."),
    "continue": reply("of", " Fr", "ance is", " Paris."),
    "fail": reply("Nobody asks for this."),
}


def listed(told: Told) -> str:
    """The events, one a line."""
    return "\n".join(
        f"{event['type']:<15}{_told(event)}" for event in told.events if event["type"] in SHOWN
    )


def _told(event: Mapping[str, Any]) -> str:
    """What is shown of an event; of an error its code."""
    fields = {name: event[name] for name in SHOWN[event["type"]] if name in event}
    if "error" in fields:
        fields["error"] = fields["error"]["code"]
    return orjson.dumps(fields).decode()


@pytest.mark.parametrize("mode", SECOND)
async def test_a_stream_on_the_page_is_what_is_sent(mode: str) -> None:
    async with stack("openai", "groq") as running:
        running.double.on_provider("openai", BROKEN)
        running.double.on_provider("groq", SECOND[mode])
        told = await running.ask(
            "auto", latency={"providers": ["openai", "groq"]}, after_commit=mode
        )
    on_page = dict(LISTING.findall(PAGE.read_text()))
    assert on_page[mode] == listed(told)


def test_every_listing_on_the_page_is_looked_at() -> None:
    assert {mode for mode, _ in LISTING.findall(PAGE.read_text())} == set(SECOND)
