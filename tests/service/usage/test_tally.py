"""What an event adds to which sums."""

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.usage import tally
from service.usage.tally import DAY, HOUR, Amounts, Event, Key, UnknownSchemaError, UnreadableError
from tests.service.usage.attempts import body
from tests.service.usage.events import OPENED_NS

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))

AMOUNTS = Amounts(1, 0, 0, 10, 20, 30, None, 30, 10, None, None, 20)


def changed(**over: object) -> bytes:
    return orjson.dumps(orjson.loads(body(1)) | over)


def test_an_event_is_read_into_its_minute_key_and_amounts() -> None:
    event = tally.read(body(1))
    assert event.id == (2).to_bytes(16)
    assert event.ended == (OPENED_NS // 10**9 + 60) // 60 * 60
    assert event.key == Key(
        "groq", "llama-3.3-70b", "analysis", "premium", "key_1", "loser", "hedge"
    )
    amounts = event.amounts
    assert amounts[:5] == (1, 0, 0, 4_740, 1)
    assert amounts.cost_nano_usd == amounts.priced_cost_nano_usd
    assert amounts.cost_nano_usd is not None
    assert amounts.saved_ms is None


def test_an_unknown_cost_is_counted_as_such_and_prices_nothing() -> None:
    amounts = tally.read(body(0)).amounts
    assert amounts.cost_nano_usd is None
    assert amounts.unknown_cost_attempts == 1
    assert amounts[-5:] == (None,) * 5


def test_unknown_tokens_stay_unknown_though_the_cost_is_stated() -> None:
    usage = {"input_tokens": None, "output_tokens": None}
    amounts = tally.read(body(1, usage=usage)).amounts
    assert (amounts.input_tokens, amounts.output_tokens) == (None, None)
    assert amounts.cost_nano_usd is not None
    assert amounts[-5:] == (None,) * 5


def test_what_hedging_saved_is_read_where_an_event_says_so() -> None:
    assert tally.read(body(1, saved_ms=-40)).amounts.saved_ms == -40


def test_fields_and_words_that_are_not_known_yet_are_no_reason_not_to_count() -> None:
    assert tally.read(body(1, colour="blue", outcome="adopted")).key.outcome == "adopted"


@pytest.mark.parametrize("golden", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_every_golden_event_is_counted_and_what_a_later_minor_adds_changes_nothing(
    golden: Path,
) -> None:
    told = orjson.loads(golden.read_bytes())
    counted = tally.read(orjson.dumps(told))
    assert counted.amounts.cost_nano_usd == told["data"]["cost_nano_usd"]
    for inside in (told, told["data"], told["data"]["usage"]):
        inside["added"] = {"later": [1]}
    assert tally.read(orjson.dumps(told)) == counted


def test_no_client_is_an_empty_word_and_long_words_are_cut() -> None:
    key = tally.read(body(4, model="m" * 1_000)).key
    assert key.client == ""
    assert key.model == "m" * tally.LONGEST


def test_a_nul_which_postgresql_does_not_store_is_replaced() -> None:
    assert tally.read(body(1, model="a\0b")).key.model == "a\ufffdb"


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b'{"type": "llm.attempt.v1"}',
        changed(id="17"),
        changed(data=None),
        body(1, cost_nano_usd="12"),
        body(1, cost_nano_usd=-1),
        body(1, cost_nano_usd=tally.MOST_NANO + 1),
        body(1, cost_nano_usd=1.5),
        body(1, t_close_ns=2**63),
        body(1, usage={"input_tokens": tally.MOST_TOKENS + 1, "output_tokens": 0}),
        body(1, usage={}),
        b'{"data":' * 100_000,
    ],
)
def test_what_cannot_be_counted_says_so(event: bytes) -> None:
    with pytest.raises(UnreadableError) as caught:
        tally.read(event)
    assert not isinstance(caught.value, UnknownSchemaError)
    assert str(caught.value)


@pytest.mark.parametrize(
    "event",
    [changed(type="llm.attempt.v2"), b'{"type": "llm.attempt.v2", "id": 1, "data": []}'],
)
def test_another_kind_of_event_is_told_from_a_broken_one(event: bytes) -> None:
    with pytest.raises(UnknownSchemaError, match=r"llm\.attempt\.v2"):
        tally.read(event)


def test_sums_keep_minutes_and_keys_apart() -> None:
    key = tally.read(body(1)).key
    other = key._replace(role="primary")
    found = tally.sums(
        [
            Event(b"1", 60, key, AMOUNTS),
            Event(b"2", 60, key, AMOUNTS),
            Event(b"3", 120, key, AMOUNTS),
            Event(b"4", 60, other, AMOUNTS),
        ]
    )
    assert found[60, key] == Amounts(2, 0, 0, 20, 40, 60, None, 60, 20, None, None, 40)
    assert found[120, key] == found[60, other] == AMOUNTS


@pytest.mark.parametrize(
    ("a", "b", "both"), [(None, None, None), (None, 1, 1), (1, None, 1), (1, 2, 3)]
)
def test_unknown_is_what_nothing_known_was_added_to(
    a: int | None, b: int | None, both: int | None
) -> None:
    assert tally.plus(a, b) == both


@given(st.lists(st.tuples(st.integers(0, 3 * DAY), st.integers(0, 5) | st.none())))
def test_coarser_sums_are_those_of_the_events_themselves(
    told: list[tuple[int, int | None]],
) -> None:
    key = Key(*"abcdefg")
    events = [
        Event(b"", at // 60 * 60, key, AMOUNTS._replace(cost_nano_usd=cost)) for at, cost in told
    ]
    minutes = tally.sums(events)
    for period in (HOUR, DAY):
        whole = tally.sums(event._replace(ended=event.ended // period * period) for event in events)
        assert tally.coarser(minutes, period) == whole
