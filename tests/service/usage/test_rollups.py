"""The sums, on both databases: each event in them exactly once."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.usage.database import UnavailableError, connect
from service.usage.rollups import (
    Arrival,
    HistoryError,
    Letter,
    Retention,
    Rollups,
    Run,
    Taken,
    joined,
    runs_of,
)
from service.usage.tally import DAY, TABLES, Amounts, Key, coarser, sums
from tests.service.usage.attempts import arrivals

NOW = 1_795_400_000_000_000_000
COLUMNS = ("at", *Key._fields, *Amounts._fields)


@pytest.fixture
def rollups(database_url: str) -> Iterator[Rollups]:
    opened = Rollups(partial(connect, database_url))
    yield opened
    opened.close()


def kept(rollups: Rollups) -> list[list[tuple[object, ...]]]:
    """All three tables."""
    names = ", ".join(COLUMNS)
    return [
        sorted(rollups.read(f"SELECT {names} FROM {table}", ()), key=str)  # noqa: S608 - our own names
        for table in TABLES.values()
    ]


def wanted(told: list[Arrival]) -> list[list[tuple[object, ...]]]:
    """The same, of events none of which comes twice."""
    minutes = sums(arrival.event for arrival in told)
    return [
        sorted(((at, *key, *row) for (at, key), row in coarser(minutes, period).items()), key=str)
        for period in TABLES
    ]


def letter(place: str = "s 1-1", *, seq: int = 1, at_ns: int = 7) -> Letter:
    return Letter(
        place=place, producer="p", seq=seq, body=b"\0\xff", reason="r", deliveries=5, at_ns=at_ns
    )


# --- Counting ---


def test_every_event_is_in_the_sums_of_its_minute_hour_and_day(rollups: Rollups) -> None:
    told = arrivals(range(1_203))
    assert rollups.take(told, NOW) == Taken(1_203)
    assert kept(rollups) == wanted(told)


def test_what_comes_again_is_not_counted_again(rollups: Rollups) -> None:
    told = arrivals(range(20))
    rollups.take(told[:12] + told[:12], NOW)
    assert rollups.take(told[6:], NOW) == Taken(8)
    assert kept(rollups) == wanted(told)


def test_the_same_event_from_another_producer_is_not_counted_again(rollups: Rollups) -> None:
    rollups.take(arrivals([3]), NOW)
    assert rollups.take(arrivals([3], producer="q"), NOW) == Taken(0)


def test_nothing_to_count_is_nothing_to_ask_for() -> None:
    def connect_nowhere() -> None:
        raise AssertionError

    assert Rollups(connect_nowhere).take([], NOW) == Taken()  # type: ignore[arg-type] # never asked


def test_it_is_known_which_events_were_counted(rollups: Rollups) -> None:
    told = arrivals([1, 2])
    rollups.take(told[:1], NOW)
    assert rollups.knows(told[0].event.id)
    assert not rollups.knows(told[1].event.id)


def test_sums_that_are_unknown_stay_null_until_something_is_known(rollups: Rollups) -> None:
    (unknown,) = arrivals([0])
    known = Arrival(
        unknown.event._replace(
            id=b"k" * 16, amounts=unknown.event.amounts._replace(cost_nano_usd=0)
        ),
        "p",
        2,
    )
    cost = "SELECT cost_nano_usd FROM usage_day"
    rollups.take([unknown], NOW)
    assert rollups.read(cost, ()) == [(None,)]
    rollups.take([known], NOW)
    assert rollups.read(cost, ()) == [(0,)]


def test_what_the_database_refuses_is_handed_back_and_the_rest_is_counted(
    rollups: Rollups,
) -> None:
    told = arrivals(range(200))
    key = told[77].event.key._replace(model=None)  # type: ignore[arg-type] # a fault
    poison = Arrival(told[77].event._replace(key=key), "p", 78)
    taken = rollups.take([*told[:77], poison, *told[78:]], NOW)
    assert taken.new == 199
    ((refused, why),) = taken.refused
    assert refused is poison
    assert "model" in why
    assert kept(rollups) == wanted([*told[:77], *told[78:]])
    assert rollups.positions(["p"]) == {"p": 77}


def test_several_consumers_count_together_what_one_would_have(database_url: str) -> None:
    told = arrivals(range(600))
    failures: list[BaseException] = []

    def consume(part: int) -> None:
        mine = Rollups(partial(connect, database_url))
        try:
            # Every event comes to two of the three, in batches that overlap in another order.
            for start in range(0, 600, 60):
                batch = [one for one in told[start : start + 60] if one.seq % 3 != part]
                mine.take(batch[::-1] if part else batch, NOW)
        except UnavailableError as failure:
            failures.append(failure)
        finally:
            mine.close()

    threads = [threading.Thread(target=consume, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    rollups = Rollups(partial(connect, database_url))
    assert kept(rollups) == wanted(told)
    rollups.take([], NOW)
    assert rollups.positions(["p"]) == {"p": 600}
    rollups.close()


# --- How far everything was taken ---


@pytest.mark.parametrize(
    ("runs", "fewest"),
    [
        ([], []),
        ([Run("a", 1, 2), Run("a", 3, 4)], [Run("a", 1, 4)]),
        ([Run("a", 5, 9), Run("a", 1, 3)], [Run("a", 1, 3), Run("a", 5, 9)]),
        ([Run("a", 1, 9), Run("a", 2, 3), Run("a", 9, 12)], [Run("a", 1, 12)]),
        ([Run("a", 1, 2), Run("b", 3, 4)], [Run("a", 1, 2), Run("b", 3, 4)]),
    ],
)
def test_runs_are_joined_where_they_touch(runs: list[Run], fewest: list[Run]) -> None:
    assert joined(runs) == fewest


@given(st.lists(st.integers(1, 40)))
def test_runs_hold_exactly_the_numbers_they_were_made_of(numbers: list[int]) -> None:
    runs = runs_of(("p", number) for number in numbers)
    assert sorted(n for run in runs for n in range(run.first, run.last + 1)) == sorted({*numbers})


def test_the_position_is_the_last_number_before_the_first_gap(rollups: Rollups) -> None:
    told = arrivals(range(10))
    rollups.take(told[4:6], NOW)
    assert rollups.positions(["p"]) == {}
    rollups.take(told[0:2], NOW)
    assert rollups.positions(["p", "q"]) == {"p": 2}
    rollups.take(told[2:4], NOW)
    assert rollups.positions(["p"]) == {"p": 6}
    assert rollups.positions([]) == {}


def test_what_was_purged_or_given_up_is_no_gap(rollups: Rollups) -> None:
    rollups.pass_over(Run("p", 1, 3))
    rollups.bury([letter(seq=4), letter("nobody's", seq=0)])
    rollups.take(arrivals([4, 5]), NOW)
    assert rollups.positions(["p"]) == {"p": 6}


# --- Keeping ---


def test_a_letter_is_kept_once_and_whole(rollups: Rollups) -> None:
    rollups.bury([letter("s 2-0", at_ns=9)])
    rollups.bury([letter("s 1-1"), letter("s 2-0", at_ns=9)])
    assert rollups.letters() == [letter("s 1-1"), letter("s 2-0", at_ns=9)]


def test_ids_are_forgotten_by_when_they_were_seen(rollups: Rollups) -> None:
    told = arrivals(range(4))
    rollups.take(told[:1], NOW - 40 * DAY * 10**9)
    rollups.take(told[1:], NOW)
    assert rollups.forget(NOW - 30 * DAY * 10**9) == 1
    assert not rollups.knows(told[0].event.id)
    assert rollups.knows(told[1].event.id)


@pytest.mark.parametrize(
    ("journal", "seen", "says"),
    [
        (7 * DAY, 14 * DAY - 1, "dedupe_retention: 1209599 s is not allowed; must be at least"),
        (3_599, 30 * DAY, "journal_retention: 3599 s is not allowed; must be 3600 s or more"),
    ],
)
def test_ids_that_are_forgotten_too_early_are_refused_at_the_start(
    journal: int, seen: int, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Retention(journal_s=journal, seen_s=seen)


def test_the_usual_retention_is_allowed() -> None:
    assert Retention() == Retention(journal_s=7 * DAY, seen_s=30 * DAY)


def test_sums_are_rebuilt_to_the_last_bit(rollups: Rollups) -> None:
    told = arrivals(range(300))
    for start in range(0, 300, 70):
        rollups.take(told[start : start + 90], NOW)
    before = kept(rollups)
    assert rollups.rebuild([told[150:], told[:150][::-1]], since=0, now_ns=NOW) == 300
    assert kept(rollups) == before


def test_sums_are_rebuilt_from_a_day_on_and_earlier_ones_are_left(rollups: Rollups) -> None:
    told = arrivals(range(400))
    rollups.take(told, NOW)
    before = kept(rollups)
    second = max(arrival.event.ended for arrival in told) // DAY * DAY
    later = [arrival for arrival in told if arrival.event.ended >= second]
    assert 0 < len(later) <= 400
    assert rollups.rebuild([later], since=second + 7, now_ns=NOW) == len(later)
    assert kept(rollups) == before


def test_rebuilding_mends_sums_that_are_wrong(rollups: Rollups) -> None:
    told = arrivals(range(50))
    rollups.take(told, NOW)
    rollups.read("UPDATE usage_minute SET cost_nano_usd = 1 WHERE 1 = 1", ())
    rollups.rebuild([told], since=0, now_ns=NOW)
    assert kept(rollups) == wanted(told)


def test_rebuilding_that_would_lose_history_is_refused_and_changes_nothing(
    rollups: Rollups,
) -> None:
    told = arrivals(range(50))
    rollups.take(told, NOW)
    before = kept(rollups)
    with pytest.raises(HistoryError, match="1 attempts of the sums to be rebuilt are in none"):
        rollups.rebuild([told[1:], arrivals([77])], since=0, now_ns=NOW)
    assert kept(rollups) == before
    assert rollups.take(told, NOW) == Taken(0)


def test_history_whose_ids_were_forgotten_is_not_wiped_either(rollups: Rollups) -> None:
    told = arrivals(range(3))
    rollups.take(told, NOW)
    rollups.forget(NOW + DAY * 10**9)
    with pytest.raises(HistoryError, match="3 attempts"):
        rollups.rebuild([told], since=0, now_ns=NOW)


# --- The database ---


def test_a_database_that_comes_back_is_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "usage"
    folder.write_text("in the way")
    rollups = Rollups(partial(connect, str(folder / "sums.db")))
    with pytest.raises(UnavailableError):
        rollups.take(arrivals([1]), NOW)
    folder.unlink()
    assert rollups.take(arrivals([1]), NOW) == Taken(1)
    rollups.close()
    assert rollups.take(arrivals([1]), NOW) == Taken(0)
    rollups.close()


def test_tables_of_another_version_are_not_touched(rollups: Rollups) -> None:
    rollups.take(arrivals([1]), NOW)
    rollups.read("UPDATE usage_schema SET version = 2", ())
    rollups.close()
    with pytest.raises(UnavailableError, match="only 1 is known here"):
        rollups.take(arrivals([2]), NOW)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_sums_do_not_depend_on_repetitions_order_or_restarts(
    tmp_path: Path, data: st.DataObject
) -> None:
    told = arrivals(range(25))
    url = str(tmp_path / f"{data.draw(st.uuids())}.db")
    rollups = Rollups(partial(connect, url))
    deliveries = data.draw(st.lists(st.lists(st.sampled_from(told), max_size=12), max_size=8))
    for batch in [*deliveries, told]:
        rollups.take(batch, NOW)
        if data.draw(st.booleans()):
            rollups.close()
            rollups = Rollups(partial(connect, url))
    assert kept(rollups) == wanted(told)
    assert rollups.positions(["p"]) == {"p": 25}
    assert rollups.read("SELECT COUNT(*) FROM usage_taken", ()) == [(1,)]
    rollups.close()
