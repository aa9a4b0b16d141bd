"""Whatever a process had said when it died, the ending makes a whole stream of it."""

import pytest

from adapters.errors import make
from adapters.events import (
    AttemptCommit,
    AttemptEnd,
    AttemptStart,
    BlockEnd,
    BlockKind,
    BlockStart,
    ErrorCode,
    Event,
    Failover,
    Finish,
    Outcome,
    Phase,
    ReasoningDelta,
    Role,
    Status,
    StreamEnd,
    TextDelta,
    ToolDelta,
)
from adapters.tokens import UNKNOWN
from service.streams.ending import bare, interrupted
from service.streams.fold import Fold
from service.streams.log import StreamLog
from tests.e2e import grammar
from tests.service.http.serving import parsed
from tests.service.streams.events_for_tests import start

LATER = start().created_at + 1_234
BROKEN = make(ErrorCode.STREAM_INTERRUPTED, "cut")


def tried(number: int) -> AttemptStart:
    return AttemptStart(
        attempt=number, provider=f"p{number}", model="m", role=Role.PRIMARY, after_ms=number
    )


def block(at: str, index: int, kind: BlockKind, attempt: int, **fields: str) -> BlockStart:
    return BlockStart(block=at, index=index, attempt=attempt, kind=kind, **fields)


STREAM: list[Event] = [
    start(),
    tried(1),
    tried(2),
    AttemptCommit(attempt=1, reason="first_content", ttft_ms=5),
    block("b1.0", 0, BlockKind.REASONING, 1),
    ReasoningDelta("b1.0", "hm"),
    AttemptEnd(attempt=2, outcome=Outcome.LOST_RACE, usage=UNKNOWN),
    BlockEnd(block="b1.0", status="incomplete", text_len=2),
    AttemptEnd(attempt=1, outcome=Outcome.FAILED, error=BROKEN),
    tried(3),
    Failover(
        from_attempt=1, to=3, mode="restart", drop=["b1.0"], error=BROKEN, must_understand=True
    ),
    AttemptCommit(attempt=3, reason="failover", ttft_ms=5),
    block("b3.0", 0, BlockKind.TEXT, 3),
    TextDelta("b3.0", "Well, "),
    block("b3.1", 1, BlockKind.TOOL_CALL, 3, call_id="c1", name="weather"),
    ToolDelta("b3.1", '{"city":'),
]
"""An answer that broke, was taken back, and was cut off again inside a text and a call."""

CUTS = [n for n in range(1, len(STREAM) + 1) if not isinstance(STREAM[n - 1], Failover)]
"""A failover and its commit are one append: nothing ends between them."""


def fold_of(events: list[Event]) -> Fold:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold


@pytest.mark.parametrize("cut", CUTS)
def test_any_beginning_and_its_ending_keep_the_grammar(cut: int) -> None:
    begun = STREAM[:cut]
    log = StreamLog("st_1")
    log.append(begun, 0)
    log.append(interrupted(fold_of(begun), LATER), 0)
    grammar.check([seen.data for seen in parsed(b"".join(log.read(0)))])


def last_of(begun: list[Event]) -> StreamEnd:
    last = interrupted(fold_of(begun), LATER)[-1]
    assert isinstance(last, StreamEnd)
    return last


def test_it_says_that_the_stream_was_interrupted_and_how_far_it_had_come() -> None:
    last = last_of(STREAM)
    assert (last.status, last.finish) == (Status.FAILED, Finish.INTERRUPTED)
    assert last.error is not None
    assert (last.error.code, last.error.phase) == (ErrorCode.STREAM_INTERRUPTED, Phase.MID_STREAM)
    assert last.error.bytes_out
    assert last.error.retryable
    assert (last.provider, last.timing.total_ms) == ("p3", 1_234)


def test_what_nobody_knows_any_more_is_unknown_and_not_zero() -> None:
    last = last_of(STREAM)
    assert (last.usage.output, last.usage.requests) == (None, 1)
    assert (last.usage_total.output, last.usage_total.requests) == (None, 3)


def test_before_any_content_nobody_has_answered() -> None:
    last = last_of(STREAM[:3])
    assert last.error is not None
    assert (last.error.phase, last.error.bytes_out) == (Phase.BEFORE_COMMIT, False)
    assert (last.provider, last.model, last.usage.requests) == (None, None, 0)
    assert [summary.outcome for summary in last.attempts] == [Outcome.FAILED, Outcome.FAILED]


def test_a_stream_of_which_nothing_is_known_has_an_ending_too() -> None:
    assert last_of([]).timing.total_ms == 0


def test_a_clock_that_is_behind_makes_no_negative_time() -> None:
    last = interrupted(fold_of(STREAM), start().created_at - 5)[-1]
    assert isinstance(last, StreamEnd)
    assert last.timing.total_ms == 0


def test_a_bare_end_says_how_it_ends_and_nothing_else() -> None:
    end = bare(Status.FAILED, Finish.INTERRUPTED, BROKEN)
    assert (end.status, end.finish, end.error) == (Status.FAILED, Finish.INTERRUPTED, BROKEN)
    assert (end.provider, end.usage, end.usage_total, end.attempts) == (None, UNKNOWN, UNKNOWN, [])
