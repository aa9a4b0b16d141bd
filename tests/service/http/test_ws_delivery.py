"""Lanes and their turns: what is sent, in which order and form, and when a lane is slow."""

from collections.abc import Iterable
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from adapters.events import BlockKind, BlockStart, Event, ReasoningDelta, TextDelta
from service.http.ws_delivery import BURST, Delivery, Lane, joined
from service.streams.fold import Fold
from service.streams.log import StreamLog, decode, json_of
from tests.service.streams.events_for_tests import attempt, end, start, text_block

TS = 1_795_392_000_123
WIDE = 1024 * 1024


def log_of(*events: Event, stream: str = "st_1", **bounds: int) -> StreamLog:
    log = StreamLog(stream, **bounds)
    log.append(events, TS)
    return log


def texts(count: int) -> list[Event]:
    return [TextDelta("b1.0", f"word{number} ") for number in range(count)]


def drained(delivery: Delivery, now: float = 0) -> list[dict[str, Any]]:
    """Everything that is sent until nobody has anything to send, or credit."""
    messages = []
    while turn := delivery.next(now):
        messages += [orjson.loads(message) for message in turn]
    return messages


def sent(messages: Iterable[dict[str, Any]], of: str = "a") -> list[dict[str, Any]]:
    """The events of one id, out of their frames."""
    events: list[dict[str, Any]] = []
    for message in messages:
        if message["id"] == of and message["t"] in {"ev", "evs"}:
            events += message["e"] if message["t"] == "evs" else [message["e"]]
    return events


def bare(log: StreamLog, cursor: int = 0) -> list[dict[str, Any]]:
    return [orjson.loads(json_of(entry)) for entry in log.read(cursor)]


def delivery_of(*lanes: Lane, patience: float = 10) -> Delivery:
    delivery = Delivery(patience=patience)
    for lane in lanes:
        delivery.add(lane)
    return delivery


# --- Forms ----------------------------------------------------------------------------------


def test_a_lane_that_keeps_up_gets_each_event_alone_as_the_log_has_it() -> None:
    log = log_of(start(), *texts(2))
    messages = delivery_of(Lane("a", log, cursor=0, window=WIDE)).next(0)
    assert messages == [b'{"t":"ev","id":"a","e":%b}' % json_of(entry) for entry in log.read(0)]


def test_a_lane_that_is_behind_gets_batches_of_at_most_16_kib() -> None:
    log = log_of(*texts(1000))
    lane = Lane("a", log, cursor=0, window=WIDE)
    delivery = delivery_of(lane)
    turns = []
    while turn := delivery.next(0):
        turns.append(turn)
    assert {len(turn) for turn in turns[:-1]} == {1}
    assert max(len(message) for turn in turns for message in turn) <= 16 * 1024
    assert len(turns) > 5
    events = [event for turn in turns for message in turn for event in orjson.loads(message)["e"]]
    assert events == bare(log)


def test_an_id_is_quoted_as_json_wherever_it_stands() -> None:
    odd = 'a"\\é\n'
    log = log_of(*texts(BURST + 1), end())
    messages = drained(delivery_of(Lane(odd, log, cursor=0, window=WIDE)))
    assert [message["id"] for message in messages] == [odd, odd]


def test_an_event_larger_than_a_batch_is_sent_alone() -> None:
    log = log_of(*[TextDelta("b1.0", "x" * 100_000)] * 20)
    events = sent(drained(delivery_of(Lane("a", log, cursor=0, window=16 * WIDE))))
    assert [event["seq"] for event in events] == list(range(20))


def test_the_end_follows_the_last_event_and_frees_the_id() -> None:
    delivery = delivery_of(Lane("a", log_of(start(), end()), cursor=0, window=WIDE))
    messages = drained(delivery)
    assert [message["t"] for message in messages] == ["ev", "ev", "end"]
    assert messages[-1] == {"t": "end", "id": "a", "reason": "stream_end"}
    assert delivery.notable
    assert delivery.ended() == ["a"]
    assert (len(delivery), delivery.notable, delivery.ended()) == (0, False, [])


def test_a_reader_who_has_everything_of_an_ended_stream_gets_only_the_end() -> None:
    log = log_of(start(), end())
    messages = drained(delivery_of(Lane("a", log, cursor=2, window=WIDE)))
    assert [message["t"] for message in messages] == ["end"]


def test_a_cursor_that_was_evicted_gets_the_fold_of_what_it_missed_and_then_the_rest() -> None:
    log = log_of(start(), *attempt(), *text_block("b1.0", *"abcd")[:-1], max_events=6)
    log.append([TextDelta("b1.0", letter) for letter in "efgh"], TS)
    assert log.first > 3
    lane = Lane("a", log, cursor=1, window=WIDE)
    snapshot, *rest = sent(drained(delivery_of(lane)))
    assert snapshot["type"] == "stream.snapshot"
    assert "seq" not in snapshot
    assert (snapshot["v"], snapshot["stream"]) == (1, "st_1")
    assert (snapshot["as_of"], snapshot["attempt"]) == (log.first - 1, 1)
    [block] = snapshot["blocks"]
    missed = "".join(event["delta"] for event in rest if event["type"] == "text.delta")
    assert block["text"] + missed == "abcdefgh"
    assert rest[0]["seq"] == log.first


# --- Turns ----------------------------------------------------------------------------------


def test_lanes_take_turns_of_one_batch_each() -> None:
    lanes = [
        Lane(name, log_of(*texts(1000), stream=f"st_{name}"), cursor=0, window=WIDE)
        for name in "abc"
    ]
    messages = drained(delivery_of(*lanes))
    assert [message["id"] for message in messages[:6]] == list("abcabc")


def test_a_lane_without_news_takes_no_turn() -> None:
    log = StreamLog("st_1")
    lane = Lane("a", log, cursor=0, window=WIDE)
    delivery = delivery_of(lane)
    assert delivery.next(0) == []
    log.append(texts(1), TS)
    assert delivery.next(0) == []  # nobody said so
    delivery.wake(lane)
    delivery.wake(lane)
    assert len(delivery.next(0)) == 1
    assert delivery.next(0) == []


def test_a_removed_lane_sends_nothing_more() -> None:
    delivery = delivery_of(Lane("a", log_of(*texts(3)), cursor=0, window=WIDE))
    assert "a" in delivery
    delivery.remove("a")
    assert delivery.next(0) == []
    assert "a" not in delivery


def test_a_lane_counts_as_generating_until_its_stream_has_ended() -> None:
    running = Lane("a", log_of(start()), cursor=0, window=WIDE)
    ended = Lane("b", log_of(start(), end()), cursor=0, window=WIDE)
    delivery = delivery_of(running, ended)
    assert (len(delivery), delivery.generating) == (2, 1)


# --- Credit ---------------------------------------------------------------------------------


def two_lanes(window: int, count: int = 2000, patience: float = 10) -> tuple[Delivery, Lane, Lane]:
    """A lane with news beyond its window and an idle one, so that credit counts."""
    busy = Lane("a", log_of(*texts(count)), cursor=0, window=window)
    idle = Lane("b", StreamLog("st_2"), cursor=0, window=window)
    return delivery_of(busy, idle, patience=patience), busy, idle


def test_a_lane_stops_at_its_window_and_goes_on_as_it_is_acknowledged() -> None:
    window = 20_000
    delivery, lane, _ = two_lanes(window)
    events = sent(drained(delivery))
    size = sum(len(orjson.dumps(event)) for event in events)
    assert size <= lane.unacked < window + 200
    delivery.ack("a", events[-1]["seq"])
    assert lane.unacked == 0 or lane.pending
    more = sent(drained(delivery))
    assert more[0]["seq"] == events[-1]["seq"] + 1


def test_acknowledging_everything_sent_always_gets_the_whole_stream_through() -> None:
    delivery, lane, _ = two_lanes(window=1, count=50)
    seqs: list[int] = []
    while lane.pending:
        events = sent(drained(delivery))
        assert len(events) == 1  # a window smaller than any event lets one through
        seqs.append(events[0]["seq"])
        delivery.ack("a", seqs[-1])
    assert seqs == list(range(50))


@given(st.integers(0, 400), st.integers(64, 40_000))
def test_what_is_unacknowledged_never_exceeds_the_window_by_more_than_an_event(
    acknowledged: int, window: int
) -> None:
    delivery, lane, _ = two_lanes(window)
    drained(delivery)
    delivery.ack("a", acknowledged)
    drained(delivery)
    assert 0 <= lane.unacked < window + 200


def test_acknowledgements_that_come_late_twice_or_for_nobody_change_nothing() -> None:
    delivery, lane, _ = two_lanes(20_000)
    drained(delivery)
    delivery.ack("a", 5_000_000)
    assert lane.unacked == 0
    delivery.ack("a", 3)
    delivery.ack("zz", 3)
    assert lane.unacked == 0


def test_the_account_of_a_lane_stays_small_however_many_events_are_unacknowledged() -> None:
    log = StreamLog("st_1")
    lane = Lane("a", log, cursor=0, window=WIDE)
    delivery = delivery_of(lane, Lane("b", StreamLog("st_2"), cursor=0, window=WIDE))
    for _ in range(5_000):  # one at a time, so that each is a turn of its own
        log.append(texts(1), TS)
        delivery.wake(lane)
        delivery.next(0)
    assert lane.unacked > WIDE // 3
    assert len(lane._marks) <= 70


def test_a_client_that_never_acknowledges_may_have_one_lane_without_a_limit() -> None:
    lane = Lane("a", log_of(*texts(3_000)), cursor=0, window=10_000)
    delivery = delivery_of(lane)
    assert len(sent(drained(delivery))) == 3_000
    assert delivery.due() is None


def test_a_second_lane_puts_the_window_in_force_from_there_on() -> None:
    log = log_of(*texts(3_000))
    lane = Lane("a", log, cursor=0, window=10_000)
    delivery = delivery_of(lane)
    drained(delivery)
    delivery.add(Lane("b", StreamLog("st_2"), cursor=0, window=10_000))
    log.append(texts(3_000), TS)
    delivery.wake(lane)
    assert 0 < len(sent(drained(delivery))) < 3_000


def test_the_last_lane_of_a_client_that_never_acknowledges_is_let_go() -> None:
    delivery, lane, _ = two_lanes(10_000)
    drained(delivery)
    assert lane.pending
    delivery.remove("b")
    drained(delivery)
    assert not lane.pending


def test_one_acknowledgement_puts_the_window_in_force_for_good() -> None:
    lane = Lane("a", log_of(*texts(3_000)), cursor=0, window=10_000)
    delivery = delivery_of(lane)
    delivery.ack("a", 0)
    drained(delivery)
    assert lane.pending


def test_the_last_lane_of_a_client_that_acknowledges_stays_counted() -> None:
    delivery, lane, _ = two_lanes(10_000)
    delivery.ack("b", 0)
    drained(delivery)
    delivery.remove("b")
    drained(delivery)
    assert lane.pending


def test_one_blocked_lane_does_not_hold_up_another() -> None:
    delivery, _, other = two_lanes(1_000)
    drained(delivery)
    other.log.append([*texts(3), end()], TS)
    delivery.wake(other)
    assert [event["seq"] for event in sent(drained(delivery), "b")] == [0, 1, 2, 3]


# --- Slow lanes -----------------------------------------------------------------------------


def test_a_lane_is_slow_when_it_has_waited_for_credit_for_as_long_as_it_may() -> None:
    delivery, _, _ = two_lanes(1_000, patience=10)
    assert delivery.due() is None
    drained(delivery, now=100)
    assert delivery.notable
    assert delivery.due() == 110
    assert delivery.slow(109.9) == []
    assert delivery.slow(110) == ["a"]


def test_waiting_starts_anew_whenever_something_could_be_sent() -> None:
    delivery, _, _ = two_lanes(1_000, patience=10)
    drained(delivery, now=100)
    delivery.ack("a", 2)
    drained(delivery, now=109)
    assert delivery.slow(110) == []
    assert delivery.due() == 119


def test_a_lane_with_nothing_to_send_is_never_slow() -> None:
    lane = Lane("a", log_of(*texts(3)), cursor=0, window=1)
    delivery = delivery_of(lane, Lane("b", StreamLog("st_2"), cursor=0, window=1))
    drained(delivery, now=0)
    for seq in range(3):
        delivery.ack("a", seq)
        drained(delivery, now=0)
    assert delivery.slow(1_000) == []


# --- Joined deltas --------------------------------------------------------------------------


def test_adjacent_deltas_of_a_block_are_joined_when_the_client_lags_and_takes_it() -> None:
    log = log_of(start(), *attempt(), *text_block("b1.0", *(["ab"] * 100)))
    delivery = Delivery(patience=10)
    delivery.coalesce = True
    delivery.add(Lane("a", log, cursor=0, window=WIDE))
    events = sent(drained(delivery))
    assert [event["type"] for event in events[3:]] == ["block.start", "text.delta", "block.end"]
    delta = events[4]
    assert (delta["seq_first"], delta["seq"]) == (4, 103)
    assert delta["delta"] == "ab" * 100
    assert (delta["v"], delta["stream"], delta["ts"]) == (1, "st_1", TS)


def test_a_lane_that_keeps_up_gets_its_deltas_unjoined() -> None:
    log = log_of(*texts(BURST))
    delivery = Delivery(patience=10)
    delivery.coalesce = True
    delivery.add(Lane("a", log, cursor=0, window=WIDE))
    assert sent(drained(delivery)) == bare(log)


def test_deltas_of_other_blocks_other_kinds_or_with_logprobs_are_not_joined() -> None:
    log = log_of(
        TextDelta("b1.0", "a"),
        TextDelta("b1.1", "b"),
        ReasoningDelta("b1.1", "c"),
        TextDelta("b1.1", "d", [{"logprob": -1}]),
        TextDelta("b1.1", "e", [{"logprob": -2}]),
        TextDelta("b1.1", 'f "\\\n'),
        TextDelta("b1.1", "g"),
    )
    events = [orjson.loads(json) for _, json in joined(log.read(0), 0)]
    assert [event["delta"] for event in events] == ["a", "b", "c", "d", "e", 'f "\\\ng']
    assert [event["seq"] for event in events] == [0, 1, 2, 3, 4, 6]
    assert ["seq_first" in event for event in events] == [False] * 5 + [True]


_BLOCKS = ("b1.0", "b1.1")
_deltas = st.lists(
    st.tuples(st.sampled_from(_BLOCKS), st.text(min_size=1, max_size=5)), max_size=60
)


@given(_deltas)
def test_joined_deltas_fold_to_the_same_answer(said: list[tuple[str, str]]) -> None:
    starts = [
        BlockStart(block=block, index=index, attempt=1, kind=BlockKind.TEXT)
        for index, block in enumerate(_BLOCKS)
    ]
    log = log_of(*starts, *(TextDelta(block, text) for block, text in said))
    plain, whole = Fold(), Fold()
    for entry in log.read(0):
        plain.add(decode(entry))
    covered = -1
    for seq, json in joined(log.read(0), 0):
        event = orjson.loads(json)
        assert event.get("seq_first", event["seq"]) == covered + 1
        covered = event["seq"]
        assert seq == covered
        whole.add(decode(b"\ndata: " + json + b"\n\n"))
    assert covered == log.next - 1
    assert whole.snapshot() == plain.snapshot()
