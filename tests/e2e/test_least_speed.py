"""A drip below the least speed that was asked for."""

import asyncio

from tests.double.script import reply
from tests.e2e.stack import ONE_OF_EACH, stack


async def test_a_drip_below_the_least_speed_is_too_slow() -> None:
    """The window is 10 s, so all wait for it together."""
    # 10 characters a second are 2.5 tokens.
    drip = reply(*["a"] * 200, between=0.1)
    async with stack(*ONE_OF_EACH) as running:
        running.double.script(*[drip] * len(ONE_OF_EACH))
        answers = await asyncio.gather(
            *(
                running.ask(f"{name}/auto", deadlines={"min_tokens_per_s": 5})
                for name in ONE_OF_EACH
            )
        )
        await running.double.deserted()
    for told in answers:
        assert told.end["error"]["code"] == "too_slow"
        assert told.end["error"]["http"] == 504
        assert 90 <= len(told.text) <= 130
