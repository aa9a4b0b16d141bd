"""The stream log: numbering, encoding, cursors, readers, bounds."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.events import BlockKind, Event, Ping, TextDelta
from service.streams.log import StreamLog, control_json, decode, json_of
from tests.service.streams.events_for_tests import NEWER, end, newer, start, text_block

TS = 1_795_392_000_123


class CountingReader:
    """A reader that remembers what the log held whenever it was called."""

    def __init__(self, log: StreamLog) -> None:
        self.log = log
        self.seen: list[int] = []

    def push(self, new: list[bytes], upto: int) -> None:
        assert self.log.read(upto - len(new)) == new
        self.seen.append(upto)


def filled(*events: Event, **bounds: int) -> StreamLog:
    log = StreamLog("st_1", **bounds)
    for event in events:
        log.append([event], TS)
    return log


def test_an_entry_is_one_sse_block_with_id_type_and_the_enveloped_event() -> None:
    log = filled(TextDelta("b1.0", 'say "hi"\n'))
    assert log.read(0) == [
        (
            b"id: st_1:0\nevent: text.delta\n"
            b'data: {"v":1,"stream":"st_1","seq":0,"ts":1795392000123,'
            b'"type":"text.delta","block":"b1.0","delta":"say \\"hi\\"\\n"}\n\n'
        )
    ]


def test_sequence_numbers_run_without_gaps_over_appends_of_any_size() -> None:
    log = StreamLog("st_1")
    log.append([start(), *text_block("b1.0", "a", "b")], TS)
    log.append([end()], TS)
    numbers = [msgspec.json.decode(json_of(entry))["seq"] for entry in log.read(0)]
    assert numbers == list(range(6))
    assert log.next == 6


def test_an_entry_decodes_to_the_event_that_was_appended() -> None:
    events = [start(), *text_block("b1.0", "a"), end()]
    assert [decode(entry) for entry in filled(*events).read(0)] == events


def test_a_cursor_reads_on_from_where_it_stands() -> None:
    log = filled(*text_block("b1.0", "a", "b", "c"))
    assert log.read(3) == log.read(0)[3:]
    assert log.read(log.next) == []


def test_read_some_stops_at_the_bytes_asked_for_but_never_starves() -> None:
    log = filled(*text_block("b1.0", "a", "b", "c"))
    entries = log.read(0)
    assert log.read_some(0, len(entries[0]) + len(entries[1])) == entries[:2]
    assert log.read_some(0, 1) == entries[:1]
    assert log.read_some(log.next, 1) == []


def test_every_reader_is_called_once_per_append_after_the_entries_are_there() -> None:
    log = StreamLog("st_1")
    first, second = CountingReader(log), CountingReader(log)
    log.subscribe(first)
    log.append([start()], TS)
    log.subscribe(second)
    log.append(text_block("b1.0", "a"), TS)
    assert (first.seen, second.seen) == ([1, 4], [4])


def test_a_reader_may_leave_while_it_is_being_called() -> None:
    log = StreamLog("st_1")
    other = CountingReader(log)

    class Leaver:
        def push(self, new: list[bytes], upto: int) -> None:
            del new, upto
            log.unsubscribe(self)

    log.subscribe(Leaver())
    log.subscribe(other)
    log.append([start()], TS)
    log.append([end()], TS)
    assert other.seen == [1, 2]
    assert log.readers == 1


def test_nothing_can_follow_the_end() -> None:
    log = filled(start(), end())
    assert log.end == end()
    with pytest.raises(RuntimeError, match="has ended"):
        log.append([end()], TS)


def test_beyond_its_bounds_a_log_keeps_the_newest_and_folds_the_rest() -> None:
    log = filled(start(), *text_block("b1.0", *"abcdefgh"), max_events=6)
    assert log.next == 11
    assert log.first > 0
    assert len(log.read(log.first)) == log.next - log.first <= 6
    assert log.size == sum(map(len, log.read(log.first)))
    snapshot = log.snapshot()
    assert snapshot is not None
    kept = "".join(
        event.delta for event in map(decode, log.read(log.first)) if isinstance(event, TextDelta)
    )
    [block] = snapshot.blocks
    assert (snapshot.as_of, block.done) == (log.first - 1, False)
    assert (block.text or "") + kept == "abcdefgh"


def test_the_bounds_hold_however_unequal_the_entries_are() -> None:
    log = filled(start(), *text_block("b1.0", *"a" * 500)[:-1], max_bytes=64 * 1024)
    for _ in range(40):
        log.append([TextDelta("b1.0", "x" * 30_000)], TS)
        assert log.size <= 64 * 1024


def test_a_control_event_has_the_envelope_but_no_number() -> None:
    assert control_json("st_1", Ping(5)) == b'{"v":1,"stream":"st_1","type":"ping","t":5}'


def test_one_append_is_never_evicted_before_its_readers_have_seen_it() -> None:
    log = filled(start(), max_bytes=1024)
    seen: list[list[bytes]] = []

    class Follower:
        def push(self, new: list[bytes], upto: int) -> None:
            del upto
            assert log.read(1) == new
            seen.append(new)

    log.subscribe(Follower())
    log.append(text_block("b1.0", "x" * 5_000), TS)
    assert [type(decode(entry)).__name__ for entry in seen[0]] == [
        "BlockStart",
        "TextDelta",
        "BlockEnd",
    ]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=40), st.integers(2, 10))
def test_the_fold_of_a_log_does_not_depend_on_what_was_evicted(
    deltas: list[str], max_events: int
) -> None:
    events = [start(), *text_block("b1.0", *deltas), end()]
    bounded, whole = filled(*events, max_events=max_events), filled(*events)
    assert bounded.fold().blocks["b1.0"].text == whole.fold().blocks["b1.0"].text
    assert bounded.fold().end == whole.fold().end == end()


def test_a_log_within_its_bounds_has_no_snapshot() -> None:
    assert filled(start()).snapshot() is None


@pytest.mark.parametrize("bounds", [{}, {"max_events": 4}])
def test_what_was_said_is_counted_in_bytes_however_often_it_is_asked_and_evicted(
    bounds: dict[str, int],
) -> None:
    log = StreamLog("st_1", **bounds)
    asked = []
    for text in ("a", "é", '"', "abc", "defg", "h"):
        log.append(text_block("b1.0", text), TS)
        asked.append(log.written())
    assert asked == [1, 3, 5, 8, 12, 13]  # as JSON has them: two bytes each for é and \"


# --- Entries of another process ---------------------------------------------------------------


def test_adopted_entries_are_those_of_the_log_that_made_them() -> None:
    made = filled(start(), *text_block("b1.0", "a", "b"), end())
    copy = StreamLog("st_1")
    reader = CountingReader(copy)
    copy.subscribe(reader)
    copy.adopt(made.read(0)[:3])
    assert copy.end is None
    copy.adopt(made.read(3))
    assert copy.read(0) == made.read(0)
    assert (copy.end, copy.size, copy.next) == (made.end, made.size, made.next)
    assert reader.seen == [3, 6]


def test_adopted_entries_are_bounded_as_others_are() -> None:
    made = filled(*text_block("b1.0", *"abcdefgh"))
    copy = StreamLog("st_1", max_events=4)
    for entry in made.read(0):
        copy.adopt([entry])
    assert (copy.first, copy.next) == (6, 10)
    assert copy.fold().blocks["b1.0"].text == "abcdefgh"


def test_a_log_goes_on_from_a_fold_of_what_it_does_not_have() -> None:
    made = filled(*text_block("b1.0", *"abcdefgh"), max_events=4)
    gone = made.evicted()
    assert gone is not None
    copy = filled(*text_block("b1.0", "a")[:2])
    copy.resume(made.first, gone)
    copy.adopt(made.read(made.first))
    assert copy.read(copy.first) == made.read(made.first)
    assert copy.snapshot() == made.snapshot()
    assert copy.fold().blocks == made.fold().blocks


# --- What a newer version says --------------------------------------------------------------


def test_what_only_a_newer_version_knows_is_kept_and_passed_over_where_it_is_folded() -> None:
    log = filled(*text_block("b1.0", "a", "b")[:-1], max_events=8)
    entries = newer(log, *NEWER)
    log.adopt(entries)
    assert log.read(3) == entries
    assert log.fold().text(BlockKind.TEXT) == "ab"
    for word in "cdefgh":
        log.append([TextDelta("b1.0", word)], TS)
    assert log.first > 3
    assert log.fold().text(BlockKind.TEXT) == "abcdefgh"


def test_of_a_run_whose_end_cannot_be_read_nothing_is_kept() -> None:
    log = filled(start())
    word = {"type": "text.delta", "block": "b1.0", "delta": "a"}
    last = {"type": "stream.end", "status": "transcended"}
    with pytest.raises(msgspec.ValidationError):
        log.adopt(newer(log, word, last))
    assert (log.next, log.end) == (1, None)
