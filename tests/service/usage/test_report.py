"""What was used and spent, asked of the sums."""

import csv
import io
import threading
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.catalog.price import Rates
from service.usage import tally
from service.usage.database import connect
from service.usage.report import GROUPS, Query, QueryError, Segment, report, segments, summary, usd
from service.usage.rollups import Arrival, Rollups
from service.usage.tally import DAY, HOUR, MINUTE
from tests.service.usage.attempts import arrivals, body, oracle

NOW = 1_795_400_000_000_000_000
NUMBERS = range(700)
BODIES = [body(number) for number in NUMBERS]
TOLD = arrivals(NUMBERS)
FIELD = {"client": "client_key"}


@pytest.fixture(scope="module")
def sqlite_sums(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rollups]:
    rollups = Rollups(partial(connect, str(tmp_path_factory.mktemp("sums") / "sums.db")))
    rollups.take(TOLD, NOW)
    yield rollups
    rollups.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Rollups]:
    rollups = Rollups(partial(connect, str(tmp_path / "sums.db")))
    yield rollups
    rollups.close()


# --- Questions ---


def test_a_question_is_read_from_its_parameters() -> None:
    asked = Query.parse("2026-11-23", "2026-11-23T08:30:01+01:00", "provider,hour")
    assert asked == Query(1_795_392_000, 1_795_419_060, ("provider", "hour"))
    assert Query.parse(None, None, None) == Query() == Query.parse(None, None, "")


def test_a_range_covers_the_minutes_that_it_touches() -> None:
    asked = Query.parse("2026-11-23T08:30:59.9Z", "2026-11-23T08:31:00.1Z", None)
    assert (asked.end or 0) - (asked.start or 0) == 2 * MINUTE


@pytest.mark.parametrize(
    ("start", "end", "group_by", "param", "says"),
    [
        ("yesterday", None, None, "from", "'yesterday' is not allowed; must be a date or a time"),
        (None, "0001-01-01T00:00:00+14:00", None, "to", "is not allowed"),
        (None, None, "provider,price", "group_by", "'price' is not allowed; must be some of prov"),
        (None, None, "day,day", "group_by", "must name nothing twice"),
        (None, None, ",", "group_by", "'' is not allowed"),
        ("2026-11-24", "2026-11-23", None, "from", "must not be after to, 2026-11-23"),
    ],
)
def test_a_wrong_question_says_what_is_wrong(
    start: str | None, end: str | None, group_by: str | None, param: str, says: str
) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        Query.parse(start, end, group_by)
    assert caught.value.param == param
    assert str(caught.value).startswith(f"{param}: ")


# --- Answers ---


@pytest.mark.parametrize(
    "groups",
    [(), ("provider",), ("model", "role"), ("use_case", "tier", "client"), ("outcome", "provider")],
)
def test_rows_are_what_somebody_else_adds_up(sqlite_sums: Rollups, groups: tuple[str, ...]) -> None:
    expected = oracle(BODIES, *(FIELD.get(group, group) for group in groups))
    answer = report(sqlite_sums.read, Query(group_by=groups))
    found = {
        tuple(name or "" for name in names): [
            amounts.attempts,
            amounts.attempts - amounts.unknown_cost_attempts,
            amounts.cost_nano_usd or 0,
            amounts.output_tokens,
        ]
        for names, amounts in answer.rows
    }
    assert found == expected
    (total,) = oracle(BODIES).values()
    assert answer.total.attempts == total[0]
    assert answer.total.cost_nano_usd == total[2]


def test_both_databases_answer_alike(database_url: str, sqlite_sums: Rollups) -> None:
    rollups = Rollups(partial(connect, database_url))
    rollups.take(TOLD, NOW)
    for query in (
        Query(),
        Query(group_by=GROUPS),
        Query.parse("2026-11-23T00:20:00Z", "2026-11-23T05:01:00Z", "hour,client"),
        Query.parse("2026-11-24", "2026-11-24", "day"),
    ):
        assert report(rollups.read, query) == report(sqlite_sums.read, query)
    assert summary(rollups.read, None) == summary(sqlite_sums.read, None)
    rollups.close()


def test_time_is_told_as_the_beginning_of_the_hour_or_day(sqlite_sums: Rollups) -> None:
    by_hour = report(sqlite_sums.read, Query(group_by=("hour",)))
    assert [names[0] for names, _ in by_hour.rows][:2] == [
        "2026-11-23T00:00:00Z",
        "2026-11-23T01:00:00Z",
    ]
    by_day = report(sqlite_sums.read, Query(group_by=("day",)))
    assert [names for names, _ in by_day.rows] == [("2026-11-23",)]
    assert by_hour.total == by_day.total


@settings(deadline=None)
@given(st.integers(0, 420), st.integers(0, 420), st.sampled_from([(), ("hour",), ("day",)]))
def test_a_range_holds_what_was_over_within_it(
    sqlite_sums: Rollups, first: int, last: int, groups: tuple[str, ...]
) -> None:
    begin = min(arrival.event.ended for arrival in TOLD)
    start, end = begin + min(first, last) * MINUTE, begin + max(first, last) * MINUTE
    answer = report(sqlite_sums.read, Query(start, end, groups))
    inside = [arrival for arrival in TOLD if start <= arrival.event.ended < end]
    assert answer.total.attempts == len(inside)
    assert sum(amounts.attempts for _, amounts in answer.rows) == len(inside)


def test_an_answer_has_the_shape_that_is_promised(sqlite_sums: Rollups) -> None:
    shown = report(sqlite_sums.read, Query.parse("2026-11-23", None, "client,role")).to_json()
    assert (shown["from"], shown["to"]) == ("2026-11-23T00:00:00Z", None)
    row = shown["rows"][0]
    assert list(row) == [
        "client",
        "role",
        "attempts",
        "input_tokens",
        "output_tokens",
        "cost_nano_usd",
        "cost_usd",
        "unknown_cost_attempts",
        "estimated_attempts",
        "hedge_attempts",
        "hedge_cost_usd",
        "saved_ms",
    ]
    assert row["client"] == "key_1"
    assert shown["rows"][-1]["client"] is None
    assert Decimal(row["cost_usd"]) * 10**9 == int(row["cost_nano_usd"])
    assert list(shown["total"]) == list(row)[2:]
    orjson.dumps(shown)


def test_hedges_are_those_that_were_asked_beside_another(sqlite_sums: Rollups) -> None:
    answer = report(sqlite_sums.read, Query(group_by=("role",)))
    by_role = {names[0]: amounts for names, amounts in answer.rows}
    for role, amounts in by_role.items():
        hedges = amounts.attempts if role in {"hedge", "race"} else 0
        assert amounts.hedge_attempts == hedges
        assert amounts.hedge_cost_nano_usd == (amounts.cost_nano_usd if hedges else None)
    assert answer.total.hedge_attempts == by_role["hedge"].attempts + by_role["race"].attempts


def test_unknown_is_null_and_never_0(empty: Rollups) -> None:
    empty.take(arrivals([0]), NOW)  # its cost is unknown
    shown = report(empty.read, Query()).to_json()
    assert shown["rows"] == [shown["total"]]
    assert shown["total"]["cost_nano_usd"] is None
    assert shown["total"]["cost_usd"] is None
    assert shown["total"]["unknown_cost_attempts"] == 1


def test_nothing_used_is_nothing_spent_which_is_known(empty: Rollups) -> None:
    shown = report(empty.read, Query()).to_json()
    assert shown["rows"] == []
    assert shown["total"]["attempts"] == 0
    assert shown["total"]["cost_usd"] == shown["total"]["hedge_cost_usd"] == "0"
    assert shown["total"]["input_tokens"] == 0


def test_csv_has_a_head_and_leaves_unknown_empty(sqlite_sums: Rollups) -> None:
    answer = report(sqlite_sums.read, Query(group_by=("provider", "client")))
    head, *rows = list(csv.reader(io.StringIO(answer.to_csv(), newline="")))
    assert head[:4] == ["provider", "client", "attempts", "input_tokens"]
    assert head[-1] == "saved_ms"
    assert len(rows) == len(answer.rows)
    assert rows[0][:3] == ["claude", "key_1", str(answer.rows[0][1].attempts)]
    assert rows[0][-1] == ""
    assert {row[1] for row in rows} == {"", "key_1", "key_2", "key_3"}


@pytest.mark.parametrize("model", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_name_in_csv_is_a_formula(empty: Rollups, model: str) -> None:
    empty.take([Arrival(tally.read(body(1, model=model)), "p", 1)], NOW)
    answer = report(empty.read, Query(group_by=("model", "provider")))
    _, row = csv.reader(io.StringIO(answer.to_csv(), newline=""))
    assert row[:2] == [f"'{model}", "groq"]
    assert answer.to_json()["rows"][0]["model"] == model


def test_rows_and_total_agree_while_events_arrive(tmp_path: Path) -> None:
    url = str(tmp_path / "sums.db")
    told = arrivals(range(1_000))
    # The day, one hour and two minutes of it, the rest of its hours: all answers of one moment.
    minute = min(arrival.event.ended for arrival in told) // DAY * DAY + 90 * MINUTE
    over = threading.Event()

    def write() -> None:
        writer = Rollups(partial(connect, url))
        for start in range(0, 1_000, 4):
            # In each batch one attempt of every quarter of the range, so they grow together.
            writer.take([told[start + one] for one in range(4)], NOW)
        writer.close()
        over.set()

    reader = Rollups(partial(connect, url))
    reader.read("SELECT 1", ())
    thread = threading.Thread(target=write)
    thread.start()
    seen = []
    while not over.is_set():
        answer = report(reader.read, Query(None, minute + DAY, ("provider",)))
        assert sum(amounts.attempts for _, amounts in answer.rows) == answer.total.attempts
        assert answer.total.attempts % 4 == 0
        seen.append(answer.total.attempts)
    thread.join()
    assert seen == sorted(seen)
    assert report(reader.read, Query()).total.attempts == 1_000
    reader.close()


@pytest.mark.parametrize(
    ("nano_usd", "shown"),
    [
        (None, None),
        (0, "0"),
        (1, "0.000000001"),
        (12_345_678, "0.012345678"),
        (1_500_000_000, "1.5"),
        (10_000_000_000, "10"),
        (-250_000_000, "-0.25"),
        (2**63, "9223372036.854775808"),
    ],
)
def test_money_is_shown_exactly(nano_usd: int | None, shown: str | None) -> None:
    assert usd(nano_usd) == shown


# --- Ranges ---


def test_a_range_is_cut_into_the_longest_periods() -> None:
    day = 20_000 * DAY
    assert segments(None, None) == [Segment(DAY, None, None)]
    assert segments(day, day + 2 * DAY) == [Segment(DAY, day, day + 2 * DAY)]
    assert segments(day - 2 * HOUR, day + DAY + MINUTE) == [
        Segment(DAY, day, day + DAY),
        Segment(HOUR, day - 2 * HOUR, day),
        Segment(MINUTE, day + DAY, day + DAY + MINUTE),
    ]
    assert segments(None, day + MINUTE, (HOUR, MINUTE)) == [
        Segment(HOUR, None, day),
        Segment(MINUTE, day, day + MINUTE),
    ]
    assert segments(day, day) == []


@given(st.integers(0, 4_000), st.integers(0, 4_000))
def test_segments_cover_every_minute_once(a: int, b: int) -> None:
    start, end = min(a, b) * MINUTE, max(a, b) * MINUTE
    found = segments(start, end)
    minutes = [
        minute
        for segment in found
        for minute in range(segment.start or 0, segment.end or 0, MINUTE)
    ]
    assert sorted(minutes) == list(range(start, end, MINUTE))
    for segment in found:
        assert (segment.start or 0) % segment.period == (segment.end or 0) % segment.period == 0


# --- Savings ---

PREMIUM = Rates(input=Decimal(15), output=Decimal(75), cached=Decimal("1.5"))


def test_the_baseline_prices_the_tokens_of_answers_at_other_rates(sqlite_sums: Rollups) -> None:
    found = summary(sqlite_sums.read, PREMIUM)
    events = [orjson.loads(one)["data"] for one in BODIES]
    answers = [
        data
        for data in events
        if data["cost_nano_usd"] is not None
        and data["outcome"] in {"winner", "cancelled", "interrupted"}
    ]
    # 4,740 of input, of which 4,735 were written to a cache, which PREMIUM prices as input.
    baseline = sum(4_740 * 15_000 + data["usage"]["output_tokens"] * 75_000 for data in answers)
    paid = sum(data["cost_nano_usd"] or 0 for data in events)
    assert found.baseline == baseline
    assert found.cost == paid
    assert found.savings == baseline - paid
    assert found.requests == sum(data["role"] == "primary" for data in events)
    assert found.attempts == len(events)
    assert found.unknown_cost_attempts == sum(data["cost_nano_usd"] is None for data in events)
    assert sum(cost or 0 for cost in found.by_provider.values()) == paid
    assert found.by_use_case == {"analysis": paid}


def test_without_rates_there_is_no_baseline_and_without_attempts_no_cost(empty: Rollups) -> None:
    assert summary(empty.read, None).savings is None
    nothing = summary(empty.read, PREMIUM)
    assert (nothing.cost, nothing.baseline, nothing.savings, nothing.requests) == (0, 0, 0, 0)


def test_a_summary_may_be_of_a_range(sqlite_sums: Rollups) -> None:
    query = Query.parse("2026-11-23T01:00:00Z", "2026-11-23T02:00:00Z", None)
    assert 0 < summary(sqlite_sums.read, PREMIUM, query).attempts < len(BODIES)


def test_an_offset_whose_plus_sign_became_a_space_in_a_query_is_understood() -> None:
    meant = Query.parse("2026-11-23T08:00:00+01:00", None, None)
    assert Query.parse("2026-11-23T08:00:00 01:00", None, None) == meant
