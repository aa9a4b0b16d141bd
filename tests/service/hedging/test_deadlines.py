"""One attempt's limits, walked through with invented times."""

from adapters.events import ErrorCode
from service.hedging.deadlines import FINISH_GRACE, RATE_WINDOW, Deadlines


def limits(*, min_rate: float | None = None) -> Deadlines:
    return Deadlines(started=100.0, first_content=60.0, stall=30.0, until=700.0, min_rate=min_rate)


def code(deadlines: Deadlines, now: float) -> ErrorCode | None:
    error = deadlines.check(now)
    return None if error is None else error.code


def test_the_first_content_has_its_own_limit() -> None:
    deadlines = limits()
    assert deadlines.due(100.0) == 160.0
    assert code(deadlines, 159.9) is None
    assert code(deadlines, 160.0) is ErrorCode.TIMEOUT_FIRST_TOKEN


def test_a_pause_is_measured_from_the_last_content() -> None:
    deadlines = limits()
    deadlines.content(101.0)
    deadlines.content(140.0)
    assert deadlines.due(140.0) == 170.0
    assert code(deadlines, 169.9) is None
    assert code(deadlines, 170.0) is ErrorCode.TIMEOUT_IDLE


def test_an_error_names_the_limit_it_ran_into() -> None:
    first = limits().check(160.0)
    assert first is not None
    assert "60 s" in first.message
    stalled = limits()
    stalled.content(101.0)
    error = stalled.check(200.0)
    assert error is not None
    assert "30 s" in error.message


def test_after_the_finish_signal_only_the_grace_counts() -> None:
    deadlines = limits()
    deadlines.content(101.0)
    deadlines.finished(102.0)
    deadlines.finished(105.0)
    assert deadlines.due(102.0) == 102.0 + FINISH_GRACE
    assert code(deadlines, 106.9) is None
    assert code(deadlines, 107.0) is ErrorCode.STREAM_INTERRUPTED


def test_without_a_least_speed_nobody_counts_characters() -> None:
    assert not limits().counting
    assert limits(min_rate=5).counting


def test_a_least_speed_is_judged_over_a_full_window_from_the_first_content() -> None:
    deadlines = limits(min_rate=2.0)
    for second in range(130, 141):  # one token of four characters a second
        deadlines.content(float(second), chars=4)
    assert code(deadlines, 130.0 + RATE_WINDOW - 0.1) is None
    error = deadlines.check(130.0 + RATE_WINDOW)
    assert error is not None
    assert error.code is ErrorCode.TOO_SLOW
    assert "1.0 tokens/s" in error.message
    assert "at least 2" in error.message


def test_a_stream_that_keeps_its_speed_is_let_alone() -> None:
    deadlines = limits(min_rate=2.0)
    for second in range(100, 200):
        deadlines.content(float(second), chars=8)
        assert code(deadlines, float(second)) is None


def test_the_next_look_is_in_the_future_so_that_no_timer_spins() -> None:
    deadlines = limits(min_rate=1.0)
    deadlines.content(100.0, chars=1_000)
    for now in (100.0, 105.0, 111.0, 120.0):
        assert deadlines.due(now) > now


def test_the_whole_has_a_limit_that_no_content_moves() -> None:
    deadlines = limits()
    deadlines.content(690.0)
    assert deadlines.due(690.0) == 700.0
    assert code(deadlines, 699.9) is None
    assert code(deadlines, 700.0) is ErrorCode.TIMEOUT_TOTAL
    deadlines.finished(699.0)
    assert code(deadlines, 700.0) is ErrorCode.TIMEOUT_TOTAL
