"""What an attempt used where its provider did not say."""

import msgspec
import pytest

from adapters.errors import Reached, make
from adapters.events import Ending, ErrorCode, Finish, UsageSource
from adapters.tokens import UNKNOWN
from service.hedging.account import usage_of

TOLD = msgspec.structs.replace(UNKNOWN, input=10, output=20, total=30, source=UsageSource.PROVIDER)
LOST = Ending(finish=Finish.CANCELLED)
BROKEN = Ending(finish=Finish.ERROR, error=make(ErrorCode.UPSTREAM_CONNECT, "broken"))


def test_the_providers_word_stands() -> None:
    ending = Ending(finish=Finish.STOP, usage=TOLD)
    assert usage_of(ending, reached="taken", input_tokens=99, said=99) is TOLD


def test_a_loser_was_sent_its_input_and_may_have_said_something() -> None:
    used = usage_of(LOST, reached="taken", input_tokens=12, said=9)
    assert (used.input, used.output, used.total) == (12, 3, 15)
    assert used.source is UsageSource.ESTIMATED


def test_what_the_provider_told_before_it_lost_is_kept() -> None:
    begun = msgspec.structs.replace(UNKNOWN, input=10, source=UsageSource.PROVIDER)
    lost = Ending(finish=Finish.CANCELLED, usage=begun)
    used = usage_of(lost, reached="taken", input_tokens=99, said=4)
    assert (used.input, used.output, used.source) == (10, 1, UsageSource.ESTIMATED)


@pytest.mark.parametrize("reached", ["unsent", "refused"])
def test_nothing_is_estimated_for_what_nobody_took(reached: Reached) -> None:
    assert usage_of(BROKEN, reached=reached, input_tokens=12, said=0) is UNKNOWN


def test_a_connection_that_broke_after_the_request_had_gone_out_may_be_charged() -> None:
    used = usage_of(BROKEN, reached="taken", input_tokens=12, said=0)
    assert (used.input, used.output, used.source) == (12, 0, UsageSource.ESTIMATED)
