"""What an attempt used where its provider did not say."""

import msgspec
import pytest

from adapters.errors import make
from adapters.events import Ending, ErrorCode, Finish, Usage, UsageSource
from adapters.tokens import UNKNOWN
from service.hedging.account import charged, usage_of

TOLD = msgspec.structs.replace(UNKNOWN, input=10, output=20, total=30, source=UsageSource.PROVIDER)
LOST = Ending(finish=Finish.CANCELLED)


def broken(code: ErrorCode, usage: Usage | None = None) -> Ending:
    return Ending(finish=Finish.ERROR, usage=usage, error=make(code, "broken"))


def test_the_providers_word_stands() -> None:
    ending = Ending(finish=Finish.STOP, usage=TOLD)
    assert usage_of(ending, accepted=True, input_tokens=99, said=99) is TOLD


def test_a_loser_was_sent_its_input_and_may_have_said_something() -> None:
    used = usage_of(LOST, accepted=True, input_tokens=12, said=9)
    assert (used.input, used.output, used.total) == (12, 3, 15)
    assert used.source is UsageSource.ESTIMATED


def test_what_the_provider_told_before_it_lost_is_kept() -> None:
    begun = msgspec.structs.replace(UNKNOWN, input=10, source=UsageSource.PROVIDER)
    lost = Ending(finish=Finish.CANCELLED, usage=begun)
    used = usage_of(lost, accepted=True, input_tokens=99, said=4)
    assert (used.input, used.output, used.source) == (10, 1, UsageSource.ESTIMATED)


@pytest.mark.parametrize(
    "code",
    [ErrorCode.AUTH_PROVIDER, ErrorCode.RATE_LIMIT_PROVIDER, ErrorCode.UPSTREAM_CONNECT],
)
def test_nothing_is_estimated_for_a_refusal(code: ErrorCode) -> None:
    assert usage_of(broken(code), accepted=False, input_tokens=12, said=0) is UNKNOWN
    assert not charged(broken(code), accepted=False)


@pytest.mark.parametrize("code", [ErrorCode.CANCELLED, ErrorCode.TIMEOUT_FIRST_TOKEN])
def test_one_that_we_gave_up_before_it_answered_had_the_request(code: ErrorCode) -> None:
    used = usage_of(broken(code), accepted=False, input_tokens=12, said=0)
    assert (used.input, used.output) == (12, 0)
    assert charged(broken(code), accepted=False)


def test_one_that_broke_after_it_had_answered_is_charged() -> None:
    assert charged(broken(ErrorCode.STREAM_INTERRUPTED), accepted=True)
