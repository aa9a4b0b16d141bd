"""The race as dialogues: facts in, commands out."""

from adapters.errors import make
from adapters.events import ErrorCode, Role
from service.hedging.race import Cancel, Commit, Finish, Race, Start

BROKEN = make(ErrorCode.STREAM_INTERRUPTED, "cut")
GONE = make(ErrorCode.CANCELLED, "client left")


def started() -> Race:
    race = Race()
    assert race.begin() == [Start(1, 0, Role.PRIMARY)]
    return race


def test_the_first_content_wins_once() -> None:
    race = started()
    assert race.content(1) == [Commit(1, "first_content")]
    assert race.winner == 1
    assert race.content(1) == []


def test_a_winner_that_ends_finishes_the_stream() -> None:
    race = started()
    race.content(1)
    assert race.ended(1, None) == [Finish(1, None)]


def test_a_clean_end_without_content_wins() -> None:
    assert started().ended(1, None) == [Commit(1, "empty_end"), Finish(1, None)]


def test_an_error_never_wins() -> None:
    race = started()
    assert race.ended(1, BROKEN) == [Finish(None, BROKEN)]
    assert race.winner is None


def test_a_winner_that_breaks_finishes_with_its_error() -> None:
    race = started()
    race.content(1)
    assert race.ended(1, BROKEN) == [Finish(1, BROKEN)]


def test_stopping_cancels_what_runs_and_finishes_with_the_reason() -> None:
    before, after = started(), started()
    after.content(1)
    assert before.stop(GONE) == [Cancel(1, GONE), Finish(None, GONE)]
    assert after.stop(GONE) == [Cancel(1, GONE), Finish(1, GONE)]


def test_after_the_finish_no_fact_has_a_consequence() -> None:
    race = started()
    race.stop(GONE)
    assert race.content(1) == race.ended(1, None) == race.stop(GONE) == []
