"""A batch of entries: what is counted, what is given up, what is left for later."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from service.usage.batch import DELIVERIES, UNTRIED, Entry, producer_of, settle
from service.usage.database import connect
from service.usage.rollups import Rollups
from service.usage.tally import read
from tests.service.usage.attempts import body

NOW = 1_795_400_000_000_000_000


@pytest.fixture
def rollups(tmp_path: Path) -> Iterator[Rollups]:
    opened = Rollups(partial(connect, str(tmp_path / "sums.db")))
    yield opened
    opened.close()


def entry(number: int, *, deliveries: int = 1, **over: bytes) -> Entry:
    fields = {b"p": b"p", b"s": b"%d" % (number + 1), b"v": b"1", b"e": body(number)}
    fields |= {name.encode(): value for name, value in over.items()}
    return Entry(f"{number}-0", fields, deliveries)


def test_what_can_be_counted_is_and_says_how_far_its_producer_is(rollups: Rollups) -> None:
    settled = settle(rollups, "s", [entry(0), entry(1), entry(3)], NOW)
    assert settled.counted == ("0-0", "1-0", "3-0")
    assert (settled.new, settled.buried, settled.positions) == (3, (), {"p": 2})
    assert settle(rollups, "s", [entry(1), entry(2)], NOW).new == 1


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (entry(0, e=b"{}"), "missing required field"),
        (entry(0, s=b"0"), "'0' is no event's number"),
        (entry(0, s=b"9" * 19), "is no event's number"),
        (Entry("0-0", {b"p": b"p", b"s": b"1", b"v": b"1"}, 1), "the entry has no field 'e'"),
        (Entry("0-0", {}, 1), "the entry has no field 'p'"),
    ],
)
def test_what_cannot_be_read_stays_until_its_fifth_delivery(
    rollups: Rollups, broken: Entry, reason: str
) -> None:
    for deliveries in range(1, DELIVERIES):
        settled = settle(rollups, "s", [Entry("0-0", broken.fields, deliveries), entry(1)], NOW)
        assert (settled.counted, settled.buried) == (("1-0",), ())
    settled = settle(rollups, "s", [Entry("0-0", broken.fields, DELIVERIES)], NOW)
    ((key, letter),) = settled.buried
    assert key == "0-0"
    assert letter.place == "s 0-0"
    assert reason in letter.reason
    assert letter.deliveries == DELIVERIES
    assert rollups.letters() == [letter]


@pytest.mark.parametrize(
    "unknown",
    [
        entry(0, v=b"2"),
        entry(0, v=b"2", e=b'{"type": "llm.attempt.v2"}'),
        entry(0, e=b'{"type": "llm.adjustment.v1"}'),
    ],
)
def test_an_unknown_major_version_or_kind_is_given_up_at_once(
    rollups: Rollups, unknown: Entry
) -> None:
    settled = settle(rollups, "s", [unknown, entry(1)], NOW)
    assert settled.counted == ("1-0",)
    ((_, letter),) = settled.buried
    assert "is not known here, only" in letter.reason
    assert letter.body == unknown.fields[b"e"]
    assert settled.positions == {"p": 2}


def test_what_the_database_refuses_alone_is_given_up_alone(rollups: Rollups) -> None:
    rollups.read("SELECT 1", ())
    rollups.read(
        "CREATE TRIGGER t BEFORE INSERT ON usage_minute WHEN NEW.model = 'poison'"
        " BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        (),
    )
    poison = {b"p": b"p", b"s": b"1", b"v": b"1", b"e": body(0, model="poison")}
    first = settle(rollups, "s", [Entry("0-0", poison, 1), *map(entry, range(1, 200))], NOW)
    assert (first.new, first.buried, first.positions) == (199, (), {})
    last = settle(rollups, "s", [Entry("0-0", poison, DELIVERIES)], NOW)
    ((_, letter),) = last.buried
    assert letter.reason == "not this one"
    assert last.positions == {"p": 200}


def test_what_nobody_survived_is_given_up_without_a_try(rollups: Rollups) -> None:
    settled = settle(rollups, "s", [entry(0, deliveries=UNTRIED)], NOW)
    ((_, letter),) = settled.buried
    assert "10 deliveries" in letter.reason
    assert not rollups.knows(read(body(0)).id)


def test_what_was_counted_before_its_consumers_died_is_not_given_up(rollups: Rollups) -> None:
    settle(rollups, "s", [entry(0)], NOW)
    settled = settle(rollups, "s", [entry(0, deliveries=50)], NOW)
    assert (settled.counted, settled.new, settled.buried) == (("0-0",), 0, ())


def test_a_producer_is_named_whatever_the_bytes_are() -> None:
    assert producer_of({b"p": b"a\0\xff"}) == "a\ufffd\ufffd"
    assert producer_of({}) == ""
