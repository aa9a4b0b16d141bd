"""Server-sent events are framed as WHATWG HTML 9.2.6 says, however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.sse import MAX_UNFRAMED, Message, SseParser, TooLongError


def read(*pieces: bytes) -> list[Message]:
    parser = SseParser()
    return [message for piece in pieces for message in parser.feed(piece)]


def reference(body: bytes) -> list[Message]:
    """The standard's algorithm over a whole body, without a thought for speed or pieces."""
    text = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *lines, _ = text.split(b"\n")
    messages: list[Message] = []
    event, buffer = b"", b""
    for line in lines:
        if line == b"":
            if buffer:
                messages.append(Message(event.decode("utf-8", "replace") or "message", buffer[:-1]))
            event, buffer = b"", b""
            continue
        name, colon, value = line.partition(b":")
        if colon and value.startswith(b" "):
            value = value[1:]
        if name == b"event":
            event = value
        elif name == b"data":
            buffer += value + b"\n"
    return messages


# --- The standard's rules -------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_lines_may_end_in_any_of_three_ways(end: bytes) -> None:
    lines = [b"event: greeting", b"data: hello", b"data: world", b"", b"data: again", b"", b""]
    assert read(end.join(lines)) == [
        Message("greeting", b"hello\nworld"),
        Message("message", b"again"),
    ]


def test_line_endings_may_be_mixed() -> None:
    assert read(b"data: a\r\ndata: b\rdata: c\n\r\n") == [Message("message", b"a\nb\nc")]


def test_a_line_end_cut_in_two_is_one_line_end() -> None:
    assert read(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [Message("message", b"a\nb")]


def test_an_empty_piece_inside_a_line_end_changes_nothing() -> None:
    assert read(b"data: a\r", b"", b"\ndata: b\r\n\r\n") == [Message("message", b"a\nb")]


def test_a_carriage_return_ends_an_event_without_waiting_for_a_line_feed() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\r\r") == [Message("message", b"a")]
    assert parser.feed(b"\ndata: b\n\n") == [Message("message", b"b")]


@pytest.mark.parametrize("cut", range(5))
def test_a_byte_order_mark_at_the_start_is_dropped(cut: int) -> None:
    body = b"\xef\xbb\xbfdata: a\n\n"
    assert read(body[:cut], body[cut:]) == [Message("message", b"a")]


def test_a_byte_order_mark_elsewhere_is_text() -> None:
    assert read(b"data: \xef\xbb\xbfa\n\n\xef\xbb\xbfdata: b\n\n") == [
        Message("message", b"\xef\xbb\xbfa")
    ]


def test_what_only_begins_like_a_byte_order_mark_is_kept() -> None:
    assert read(b"\xef", b"\xbb", b"data: a\n\ndata: b\n\n") == [Message("message", b"b")]


def test_comments_and_unknown_fields_are_skipped() -> None:
    body = b": OPENROUTER PROCESSING\n\n:\n:data: no\nid: 7\nretry: 9\nfoo: bar\ndata: a\n\n"
    assert read(body) == [Message("message", b"a")]


def test_an_event_without_data_is_not_dispatched_and_its_type_is_forgotten() -> None:
    assert read(b"event: ping\n\ndata: a\n\n") == [Message("message", b"a")]


def test_an_empty_data_line_is_data() -> None:
    assert read(b"data\n\ndata:\ndata:\n\n") == [Message("message", b""), Message("message", b"\n")]


def test_one_space_after_the_colon_is_dropped() -> None:
    assert read(b"data:a\n\ndata:  b \n\n") == [
        Message("message", b"a"),
        Message("message", b" b "),
    ]


def test_the_last_type_of_an_event_counts_and_may_be_empty() -> None:
    assert read(b"event: a\nevent: b\ndata: 1\n\nevent: c\nevent\ndata: 2\n\n") == [
        Message("b", b"1"),
        Message("message", b"2"),
    ]


def test_a_field_name_is_matched_exactly() -> None:
    assert read(b"Data: a\n data: b\ndata : c\n\n") == []


def test_an_event_that_the_end_of_the_stream_cuts_off_is_discarded() -> None:
    assert read(b"data: a\n\ndata: b\n") == [Message("message", b"a")]


def test_several_whole_events_in_one_piece_are_all_read() -> None:
    parser = SseParser()
    parser.feed(b"\n")
    body = b"data: a\n\nevent: x\ndata: b\n\nevent: \ndata: \n\n: note\n\n"
    assert parser.feed(body + b"data: c\ndata: d\n\n\n\ndata: e\n\n") == [
        Message("message", b"a"),
        Message("x", b"b"),
        Message("message", b""),
        Message("message", b"c\nd"),
        Message("message", b"e"),
    ]


def test_a_character_cut_in_two_arrives_whole() -> None:
    assert read(b"data: caf\xc3", b"\xa9\n\n") == [Message("message", "café".encode())]


# --- Cuts -----------------------------------------------------------------------------------

_BODIES = st.lists(
    st.sampled_from([b"data:", b"data: ", b"event: e", b"event", b":", b"id: 1", b"junk", b" "])
    | st.sampled_from([b"\n", b"\n\n", b"\r", b"\r\n", b"\r\r"])
    | st.sampled_from([b"\xef\xbb\xbf", b"\xef", b"\xc3\xa9", b"\xff", b"x", b"{}", b"\0"]),
    max_size=40,
).map(b"".join)


@given(body=_BODIES)
@example(body=b"data: a\r\rdata: b\n\n")
@example(body=b"event: e\n\ndata:\n\n")
def test_any_body_reads_as_the_standard_says(body: bytes) -> None:
    assert read(body) == reference(body)


@given(body=_BODIES, cuts=st.lists(st.integers(0, 400), max_size=12))
def test_messages_do_not_depend_on_how_the_bytes_are_cut(body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    assert read(*pieces) == reference(body)


@given(body=_BODIES)
def test_messages_do_not_depend_on_single_bytes(body: bytes) -> None:
    assert read(*(body[at : at + 1] for at in range(len(body)))) == reference(body)


# --- Bounds ---------------------------------------------------------------------------------


def bounded(*pieces: bytes) -> list[Message]:
    parser = SseParser(max_line=20, max_event=30)
    return [message for piece in pieces for message in parser.feed(piece)]


def test_a_line_as_long_as_the_bound_is_read() -> None:
    line = b"data: " + b"x" * 14
    assert bounded(line + b"\n\n") == [Message("message", b"x" * 14)]
    assert bounded(line, b"\n\n") == [Message("message", b"x" * 14)]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 15 + b"\n\n"],
        [b"data: " + b"x" * 15],
        [b"data: " + b"x" * 14, b"x"],
        [b"\n", b"data: " + b"x" * 15 + b"\n\n"],
        [b": " + b"x" * 19],
        [b"x" * 21],
    ],
)
def test_a_longer_line_is_refused_before_it_is_kept(pieces: list[bytes]) -> None:
    with pytest.raises(TooLongError, match="an SSE line of 21 bytes, expected no more than 20"):
        bounded(*pieces)


def test_an_event_of_many_lines_is_bounded_as_a_whole() -> None:
    lines = b"data: 123456789\n"
    assert bounded(lines * 3 + b"\n") == [Message("message", b"\n".join([b"123456789"] * 3))]
    with pytest.raises(TooLongError, match="an SSE event of 31 bytes, expected no more than 30"):
        bounded(lines * 3, b"data:\n")


def test_whole_events_in_one_piece_keep_to_the_event_bound_too() -> None:
    parser = SseParser(max_line=100, max_event=10)
    parser.feed(b"\n")
    with pytest.raises(TooLongError, match="an SSE event"):
        parser.feed(b"data: " + b"x" * 20 + b"\n\n")


def test_a_long_line_in_small_pieces_is_read_in_time_in_proportion() -> None:
    # Joined at every piece, this would copy 130 GB and run into the test's time limit.
    line = b"data: " + b"x" * (1 << 22)
    pieces = [line[at : at + 64] for at in range(0, len(line), 64)]
    assert read(*pieces, b"\n\n") == [Message("message", line[6:])]


# --- What is no SSE -------------------------------------------------------------------------


def test_lines_that_are_no_fields_are_kept_aside_up_to_a_bound() -> None:
    parser = SseParser()
    parser.feed(b'data: a\n\n: note\nid: 1\n{\n"error": {}\n}')
    assert parser.unframed == b'{\n"error": {}\n}'
    parser = SseParser()
    for _ in range(100):
        parser.feed(b"x" * MAX_UNFRAMED + b"\n")
    assert len(parser.unframed) <= 2 * MAX_UNFRAMED + 1


@given(st.lists(st.sampled_from([b"data: a\n\n", b"data: b\n", b"\n", b"\r", b": c\n\n", b"x"])))
def test_a_lone_event_is_what_feeding_the_same_bytes_gives(pieces: list[bytes]) -> None:
    parser = SseParser()
    for piece in pieces:
        payload = parser.lone(piece)
        messages = parser.feed(piece)
        assert payload is None or messages == [Message("message", payload)]


def test_the_usual_read_is_a_lone_event_once_the_stream_has_started() -> None:
    parser = SseParser()
    assert parser.lone(b"data: a\n\n") is None
    parser.feed(b"data: a\n\n")
    assert parser.lone(b"data: b\n\n") == b"b"
    assert parser.lone(b"data: b\n\ndata: c\n\n") is None
    assert parser.lone(b"data: b\r\n\n") is None
    parser.feed(b"data: open\n")
    assert parser.lone(b"data: b\n\n") is None
