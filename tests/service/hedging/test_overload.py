"""The four signs of overload, each by the facts that make it and end it."""

from service.hedging.exclusions import Denied
from service.hedging.overload import Overload, Tally

CALM = (0.2, 0.2)


def test_nothing_speaks_against_hedging_at_first() -> None:
    assert Overload().reason(CALM, 0.0) is None


# --- Slow together ---


def test_one_slow_provider_is_what_hedging_is_for() -> None:
    assert Overload().reason((0.9, 0.2, 0.6), 0.0) is None


def test_several_slow_at_once_are_not() -> None:
    assert Overload().reason((0.61, 0.2, 0.61), 0.0) is Denied.CORRELATED


# --- Turned away ---


def test_more_than_a_hundredth_turned_away_stops_hedging_for_ten_seconds() -> None:
    overload = Overload()
    for _ in range(197):
        overload.attempt(1.0, limited=False)
    overload.attempt(2.0, limited=True)
    overload.attempt(2.0, limited=True)
    assert overload.reason(CALM, 2.0) is Denied.RATE_LIMITED
    overload.attempt(2.0, limited=False)
    assert overload.reason(CALM, 2.0) is None  # 2 of 200
    for _ in range(2):
        overload.attempt(3.0, limited=True)
    assert overload.reason(CALM, 12.9) is Denied.RATE_LIMITED
    assert overload.reason(CALM, 13.0) is None


def test_a_single_refusal_says_nothing() -> None:
    overload = Overload()
    overload.attempt(0.0, limited=True)
    assert overload.reason(CALM, 0.0) is None


# --- Late itself ---


def test_a_process_that_is_late_itself_hedges_nobody_for_a_second() -> None:
    overload = Overload()
    overload.lag(0.050, 10.0)
    assert not overload.lagging(10.0)
    overload.lag(0.051, 10.0)
    assert overload.reason(CALM, 10.9) is Denied.LOOP_LAG
    assert overload.reason(CALM, 11.0) is None


# --- Hedging in vain ---


def test_hedges_that_do_not_win_are_suspended_for_ten_minutes() -> None:
    overload = Overload()
    for number in range(20):
        overload.hedge(float(number), won=number < 3)
    assert overload.reason(CALM, 19.0) is Denied.HEDGES_LOSE
    assert overload.reason(CALM, 618.9) is Denied.HEDGES_LOSE
    assert overload.reason(CALM, 619.0) is None


def test_a_fifth_of_them_winning_is_enough() -> None:
    overload = Overload()
    for number in range(100):
        overload.hedge(float(number), won=number % 5 == 0)
    assert overload.reason(CALM, 99.0) is None


def test_after_the_suspension_they_are_judged_anew() -> None:
    overload = Overload()
    for _ in range(20):
        overload.hedge(0.0, won=False)
    for _ in range(19):
        overload.hedge(700.0, won=False)
    assert overload.reason(CALM, 700.0) is None


def test_what_lost_long_ago_is_forgotten() -> None:
    overload = Overload()
    for _ in range(19):
        overload.hedge(0.0, won=False)
    overload.hedge(600.0, won=False)
    assert overload.reason(CALM, 600.0) is None


# --- Counting ---


def test_a_tally_counts_what_is_within_its_window() -> None:
    tally = Tally(10.0)
    tally.add(0.0, hit=True)
    tally.add(5.0, hit=False)
    assert (tally.count, tally.hits) == (2, 1)
    tally.slide(10.0)
    assert (tally.count, tally.hits) == (1, 0)
    tally.clear()
    assert (tally.count, tally.hits) == (0, 0)
