"""Going on with a broken answer: what may be continued, what is asked, and the seam."""

import string
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapters.contract import Model
from adapters.dialects.blocks import Blocks
from adapters.dialects.prefill import GO_ON
from adapters.errors import make
from adapters.events import (
    AttemptCommit,
    AttemptEnd,
    AttemptEvent,
    AttemptStart,
    BlockEnd,
    BlockKind,
    BlockStart,
    Citation,
    CitationAdd,
    ErrorCode,
    Event,
    Failover,
    FileDelta,
    Outcome,
    ReasoningSignature,
    Role,
    TextDelta,
    UsageUpdate,
)
from adapters.request import AfterCommit, ChatRequest
from adapters.tokens import UNKNOWN
from service.hedging.continuation import (
    LEAST_OVERLAP,
    OVERLAP_CHARS,
    Recovery,
    Splice,
    Way,
    held_back,
    possible,
    recovery,
    request_for,
    retractable,
    way,
)
from service.streams.fold import Fold
from tests.e2e import grammar
from tests.service.streams.events_for_tests import end, start

TEXT, REASONING = BlockKind.TEXT, BlockKind.REASONING
HELLO = {"role": "user", "content": "Hello"}
CUT = make(ErrorCode.STREAM_INTERRUPTED, "cut")
PLAIN = Model(id="plain")
PREFILLED = Model(id="prefilled", prefill=True)


def request(**fields: object) -> ChatRequest:
    return ChatRequest.model_validate({"messages": [HELLO], **fields})


def folded(events: Sequence[Event]) -> Fold:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold


Part = tuple[BlockKind, Sequence[str]]


def said(attempt: int, *parts: Part, open_: bool = False) -> list[AttemptEvent]:
    """What a decoder makes of these parts; `open_` leaves the last block open."""
    blocks, out = Blocks(attempt), list[AttemptEvent]()
    for kind, deltas in parts:
        blocks.end_runs(out)
        call_id = "c1" if kind is BlockKind.TOOL_CALL else None
        block = blocks.start(out, kind, kind, call_id=call_id, name=call_id)
        for delta in deltas:
            blocks.delta(out, block, delta)
    if not open_:
        blocks.end_all(out)
    return out


def open_text(text: str) -> Fold:
    return folded(said(1, (TEXT, [text]), open_=True))


def spliced(old: Fold, way_: Way, *parts: Part) -> tuple[list[AttemptEvent], Fold]:
    """The events that go into the log, one translated after the other, and the whole answer."""
    splice, out = Splice(old, way_), list[AttemptEvent]()
    for event in said(2, *parts):
        out += splice.translate([event])
    out += splice.close(complete=True)
    whole = old.copy()
    for event in out:
        whole.add(event)
    return out, whole


def whole_text(old: str, *new: str, asked: Way = "user_turn") -> str:
    return spliced(open_text(old), asked, (TEXT, new))[1].text(TEXT)


# --- Whether --------------------------------------------------------------------------------

JSON = request(response_format={"type": "json_object"})
CALL = (BlockKind.TOOL_CALL, ['{"a":'])


@pytest.mark.parametrize(
    ("events", "asked", "expected"),
    [
        (said(1, (TEXT, ["Hi"]), open_=True), request(), AfterCommit.CONTINUE),
        (said(1, (TEXT, ["Hi"]), open_=True), JSON, AfterCommit.RESTART),
        (
            said(1, (TEXT, ["Hi"]), open_=True),
            request(response_format={"type": "text"}),
            AfterCommit.CONTINUE,
        ),
        (said(1, (REASONING, ["Hm"]), open_=True), request(), AfterCommit.CONTINUE),
        (said(1, (TEXT, ["Hi"]), CALL, open_=True), request(), AfterCommit.RESTART),
        (said(1, (BlockKind.TOOL_CALL, ["{}"])), request(), AfterCommit.FAIL),
        (said(1, (BlockKind.REFUSAL, ["No"]), open_=True), request(), AfterCommit.FAIL),
        (said(1, (BlockKind.FILE, []), open_=True), request(), AfterCommit.RESTART),
        (said(1, (BlockKind.SERVER_TOOL, []), open_=True), request(), AfterCommit.RESTART),
    ],
    ids=[
        "text",
        "json",
        "text that was asked for as such",
        "reasoning alone",
        "an open tool call",
        "a finished tool call",
        "a refusal",
        "a file",
        "a tool of the provider's",
    ],
)
def test_what_was_delivered_says_whether_it_can_be_continued(
    events: list[AttemptEvent], asked: ChatRequest, expected: AfterCommit
) -> None:
    assert possible(folded(events), asked) is expected


def test_a_tool_call_that_a_break_has_ended_is_not_one_that_may_have_run() -> None:
    blocks, out = Blocks(1), list[AttemptEvent]()
    blocks.start(out, 0, BlockKind.TOOL_CALL, call_id="c1", name="add")
    blocks.end_all(out, complete=False)
    assert retractable(folded(out))
    assert not retractable(folded(said(1, (BlockKind.TOOL_CALL, ["{}"]))))


@pytest.mark.parametrize(
    ("events", "wanted", "retracts", "expected"),
    [
        (said(1, (TEXT, ["Hi"]), open_=True), AfterCommit.RESTART, True, AfterCommit.RESTART),
        (said(1, (TEXT, ["Hi"]), open_=True), AfterCommit.CONTINUE, False, AfterCommit.CONTINUE),
    ],
)
def test_an_answer_is_recovered_as_the_request_asks_where_nothing_is_in_the_way(
    events: list[AttemptEvent], wanted: AfterCommit, *, retracts: bool, expected: AfterCommit
) -> None:
    assert recovery(folded(events), request(), wanted, retracts=retracts) == Recovery(expected)


@pytest.mark.parametrize(
    ("events", "wanted", "why"),
    [
        (
            said(1, (BlockKind.TOOL_CALL, ["{}"])),
            AfterCommit.RESTART,
            "a tool call was already complete",
        ),
        (
            said(1, (BlockKind.REFUSAL, ["No"]), open_=True),
            AfterCommit.CONTINUE,
            "it was a refusal, which nobody is asked to continue",
        ),
        (
            said(1, (TEXT, ["Hi"]), open_=True),
            AfterCommit.RESTART,
            "its reader cannot be told to forget what it was shown",
        ),
    ],
)
def test_where_something_is_in_the_way_it_is_said_in_words(
    events: list[AttemptEvent], wanted: AfterCommit, why: str
) -> None:
    found = recovery(folded(events), request(), wanted, retracts=False)
    assert found == Recovery(AfterCommit.FAIL, why)


# --- How it is asked for --------------------------------------------------------------------


def test_a_model_that_can_is_given_the_beginning() -> None:
    asked = request_for(request(), open_text("The cap"), PREFILLED)
    assert [message.role for message in asked.messages] == ["user", "assistant"]
    assert asked.messages[-1].content == "The cap"


def test_any_other_is_asked_by_a_user_turn_and_gets_no_system_prompt() -> None:
    asked = request_for(request(), open_text("The cap"), PLAIN)
    assert [message.role for message in asked.messages] == ["user", "assistant", "user"]
    assert asked.messages[-1].content == GO_ON


def test_the_operator_s_words_replace_ours() -> None:
    asked = request_for(request(), open_text("The cap"), PLAIN, "Weiter.")
    assert asked.messages[-1].content == "Weiter."


TOOL = {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize(
    ("asked", "model", "expected"),
    [
        (request(), PREFILLED, "prefill"),
        (request(reasoning={"effort": "none"}), PREFILLED, "prefill"),
        (request(), PLAIN, "user_turn"),
        (request(tools=[TOOL]), PREFILLED, "user_turn"),
        (JSON, PREFILLED, "user_turn"),
        (request(reasoning={"effort": "low"}), PREFILLED, "user_turn"),
        (request(reasoning={"max_tokens": 99}), PREFILLED, "user_turn"),
        (request(), Model(id="thinker", prefill=True, reasoning="always"), "user_turn"),
    ],
)
def test_a_prefill_is_for_plain_text_only(asked: ChatRequest, model: Model, expected: Way) -> None:
    assert way(asked, model) == expected


def test_without_any_text_the_request_is_asked_again_as_it_was() -> None:
    thinking = folded(said(1, (REASONING, ["Hm"]), open_=True))
    assert request_for(request(), thinking, PREFILLED) == request()
    assert request_for(request(), open_text(" \n"), PLAIN) == request()


def test_reasoning_is_not_sent_and_all_text_is() -> None:
    begun = folded(said(1, (TEXT, ["One. "]), (REASONING, ["Hm"]), (TEXT, ["Two. \n"]), open_=True))
    message = request_for(request(), begun, PREFILLED).messages[-1]
    assert message.model_dump(exclude_none=True) == {
        "role": "assistant",
        "content": "One. Two.",
    }


def test_a_beginning_the_client_gave_and_what_followed_it_are_one_message() -> None:
    given_by_client = {"role": "assistant", "content": "Once upon"}
    asked = request(messages=[HELLO, given_by_client])
    messages = request_for(asked, open_text(" a time"), PREFILLED).messages
    assert [message.content for message in messages] == ["Hello", "Once upon a time"]


def test_an_assistant_s_refusal_is_not_the_beginning_of_the_answer() -> None:
    asked = request(messages=[HELLO, {"role": "assistant", "refusal": "No."}])
    assert len(request_for(asked, open_text("Well"), PREFILLED).messages) == 3


@pytest.mark.parametrize(("limit", "left"), [(None, None), (100, 90), (10, 1), (3, 1)])
def test_what_was_written_counts_towards_the_limit(limit: int | None, left: int | None) -> None:
    asked = request_for(request(max_tokens=limit), open_text("ten tokens" * 4), PREFILLED)
    assert asked.max_tokens == left


# --- The block that stays open --------------------------------------------------------------


def broken(*parts: Part) -> tuple[Fold, list[AttemptEvent]]:
    """An answer, and what its decoder says when the bytes stop."""
    blocks, out, closing = Blocks(1), list[AttemptEvent](), list[AttemptEvent]()
    for number, (kind, deltas) in enumerate(parts):
        block = blocks.start(out, number, kind)
        for delta in deltas:
            blocks.delta(out, block, delta)
    blocks.end_all(closing, complete=False)
    return folded(out), closing


def test_the_end_of_the_text_is_kept_back_and_other_ends_go_out() -> None:
    fold, closing = broken((REASONING, ["Hm"]), (TEXT, ["The cap"]))
    kept, let_out = held_back(closing, fold)
    assert kept == [BlockEnd(block="b1.1", status="incomplete", text_len=7)]
    assert let_out == [BlockEnd(block="b1.0", status="incomplete", text_len=2)]


def test_of_several_texts_the_last_goes_on() -> None:
    fold, closing = broken((TEXT, ["a"]), (TEXT, ["b"]))
    kept, let_out = held_back(closing, fold)
    assert [event.block for event in (*kept, *let_out) if isinstance(event, BlockEnd)] == [
        "b1.1",
        "b1.0",
    ]


def test_where_no_text_is_open_nothing_is_kept_back() -> None:
    fold, closing = broken((REASONING, ["Hm"]))
    assert held_back(closing, fold) == ([], closing)
    whole = folded(said(1, (TEXT, ["Done."])))
    assert held_back([], whole) == ([], [])


def test_a_text_that_comes_only_with_the_end_is_let_out_and_goes_on() -> None:
    start_, delta, _ = said(1, (TEXT, ["Late"]))
    cut = BlockEnd(block="b1.0", status="incomplete", text_len=4)
    assert held_back([start_, delta, cut], Fold()) == ([cut], [start_, delta])


# --- The seam -------------------------------------------------------------------------------


def test_text_goes_on_in_the_block_that_stayed_open() -> None:
    events, whole = spliced(open_text("The cap"), "prefill", (TEXT, ["ital is ", "Paris."]))
    assert events == [
        TextDelta("b1.0", "ital is "),
        TextDelta("b1.0", "Paris."),
        BlockEnd(block="b1.0", status="complete", text_len=21),
    ]
    assert whole.text(TEXT) == "The capital is Paris."


def test_what_is_said_again_is_left_out() -> None:
    assert whole_text("The capital of Fr", "capital of France") == "The capital of France"


def test_a_repetition_in_pieces_is_held_back_until_it_is_decided() -> None:
    splice = Splice(open_text("The capital of Fr"), "user_turn")
    start_, *deltas, _ = said(2, (TEXT, ["capital", " of", " Fr", "ance", "."]))
    written = [splice.translate([event]) for event in (start_, *deltas)]
    assert written == [[], [], [], [], [TextDelta("b1.0", "ance")], [TextDelta("b1.0", ".")]]


def test_text_that_repeats_nothing_is_let_through_at_once() -> None:
    splice = Splice(open_text("The capital of Fr"), "user_turn")
    start_, delta, *_ = said(2, (TEXT, ["x"]))
    assert splice.translate([start_]) == []
    assert splice.translate([delta]) == [TextDelta("b1.0", "x")]


@pytest.mark.parametrize(
    ("old", "new", "whole"),
    [
        ("bal", "loon", "balloon"),
        ("a banana", "na split", "a bananana split"),
        ("The quick bro", "brown fox", "The quick brown fox"),
        ("It is ", " late", "It is late"),
        ("It is", " late", "It is late"),
        ("It is ", "late", "It is late"),
        ("Line.\n", "\n\nNext", "Line.\n\nNext"),
        ("Line.\n", "\nNext", "Line.\nNext"),
        ("if x:\n    ", "\n        return", "if x:\n        return"),
        ("It is ", "It is late", "It is late"),
    ],
)
def test_two_characters_in_common_are_chance_and_white_space_is_not(
    old: str, new: str, whole: str
) -> None:
    assert whole_text(old, new) == whole
    assert whole_text(old, *new) == whole


def test_a_prefilled_model_repeats_itself_only_at_length() -> None:
    old = "| --- | ---"
    assert whole_text(old, " | --- |", asked="prefill") == "| --- | --- | --- |"
    sentence = "This sentence was already told."
    assert whole_text(sentence, sentence, " And on.", asked="prefill") == sentence + " And on."


def test_white_space_that_was_not_sent_is_left_out_after_a_prefill_too() -> None:
    assert whole_text("It is ", " late", asked="prefill") == "It is late"
    assert whole_text("is a b  ", " ", " c", asked="prefill") == "is a b  c"


def test_an_answer_that_only_repeats_adds_nothing_and_ends_well() -> None:
    events, whole = spliced(open_text("The end."), "user_turn", (TEXT, ["The ", "end."]))
    assert events == [BlockEnd(block="b1.0", status="complete", text_len=8)]
    assert whole.text(TEXT) == "The end."


def test_an_answer_that_stops_inside_a_repetition_repeats_what_it_can() -> None:
    assert whole_text("abcabd", "abc") == "abcabdabc"
    assert whole_text("one two three two ", "two") == "one two three two two"


def test_half_a_repetition_of_an_answer_that_breaks_is_left_out() -> None:
    splice = Splice(open_text("The capital of France is"), "user_turn")
    words, closing = attempt_s_words(2, [(TEXT, ["of Fra"])], whole=False)
    assert splice.translate([*words, cited("b2.0", 0, 2)]) == []
    assert splice.translate(closing) == [BlockEnd(block="b1.0", status="incomplete", text_len=24)]


def test_an_answer_without_text_leaves_the_text_as_it_was() -> None:
    splice = Splice(open_text("All of it."), "prefill")
    assert splice.close(complete=True) == [BlockEnd(block="b1.0", status="complete", text_len=10)]
    assert splice.close(complete=True) == []
    cut = Splice(open_text("Half"), "prefill").close(complete=False)
    assert cut == [BlockEnd(block="b1.0", status="incomplete", text_len=4)]


def test_reasoning_before_the_rest_is_a_block_of_its_own() -> None:
    old = open_text("One ")
    events, whole = spliced(old, "user_turn", (REASONING, ["Hm"]), (TEXT, ["two"]), (TEXT, ["!"]))
    starts = [event for event in events if isinstance(event, BlockStart)]
    assert [(one.block, one.index, one.kind) for one in starts] == [
        ("b2.0", 1, REASONING),
        ("b2.2", 2, TEXT),
    ]
    assert whole.blocks["b1.0"].text == "One two"
    assert whole.text(TEXT) == "One two!"


def test_a_tool_call_instead_of_text_ends_the_text_first() -> None:
    events, whole = spliced(
        open_text("Let me see."), "user_turn", (BlockKind.TOOL_CALL, ["{}"]), (TEXT, ["see."])
    )
    assert events[0] == BlockEnd(block="b1.0", status="complete", text_len=11)
    assert isinstance(events[1], BlockStart)
    assert events[1].index == 1
    assert whole.text(TEXT) == "Let me see.see."


def test_where_no_block_is_open_the_rest_is_a_new_one() -> None:
    old = folded(said(1, (TEXT, ["The first part"]), (REASONING, ["Hm"])))
    events, whole = spliced(old, "user_turn", (TEXT, ["first part", " and more"]))
    assert events == [
        BlockStart(block="b2.0", index=2, attempt=2, kind=TEXT),
        TextDelta("b2.0", " and more"),
        BlockEnd(block="b2.0", status="complete", text_len=9),
    ]
    assert whole.text(TEXT) == "The first part and more"


def cited(block: str, start_: int | None, end_: int | None) -> CitationAdd:
    return CitationAdd(block=block, citation=Citation(id="1", kind="url", start=start_, end=end_))


def test_citations_point_into_the_whole_text() -> None:
    splice = Splice(open_text("The capital"), "user_turn")
    begin, delta, end_ = said(2, (TEXT, ["capital is Paris"]))
    usage = UsageUpdate(attempt=2, usage=UNKNOWN, final=False)
    events = [begin, delta, usage, cited("b2.0", 11, 16), cited("b2.0", None, None), end_]
    assert splice.translate(events) == [
        TextDelta("b1.0", " is Paris"),
        usage,
        cited("b1.0", 15, 20),
        cited("b1.0", None, None),
        BlockEnd(block="b1.0", status="complete", text_len=20),
    ]


def test_a_citation_waits_for_the_text_it_belongs_to() -> None:
    splice = Splice(open_text("The capital"), "user_turn")
    begin, delta, end_ = said(2, (TEXT, ["capi"]))
    signed = ReasoningSignature(block="b2.0", provider="p", format="f", value="v")
    assert splice.translate([begin, delta, cited("b2.0", 0, 4), signed]) == []
    assert splice.translate([end_]) == [
        TextDelta("b1.0", "capi"),
        cited("b1.0", 11, 15),
        ReasoningSignature(block="b1.0", provider="p", format="f", value="v"),
        BlockEnd(block="b1.0", status="complete", text_len=15),
    ]


def test_a_citation_of_what_an_earlier_block_holds_starts_with_its_own() -> None:
    old = folded([*said(1, (TEXT, ["A long "])), *said(3, (TEXT, ["text"]), open_=True)])
    splice = Splice(old, "user_turn")
    begin, delta, _ = said(2, (TEXT, ["long text!"]))
    written = splice.translate([begin, delta, cited("b2.0", 0, 9)])
    assert written == [TextDelta("b3.0", "!"), cited("b3.0", 0, 4)]


def test_a_digest_of_the_second_part_is_not_passed_off_as_the_whole_s() -> None:
    splice = Splice(open_text("a"), "prefill")
    begin, delta, end_ = said(2, (TEXT, ["b"]))
    digested = msgspec.structs.replace(end_, sha256="00", text_len=None)
    assert splice.translate([begin, delta, digested])[-1] == BlockEnd(
        block="b1.0", status="complete"
    )


def test_files_of_the_new_attempt_pass_through() -> None:
    event = FileDelta(block="b2.7", url="https://acme.test/1.png")
    assert Splice(open_text("a"), "prefill").translate([event]) == [event]


# --- Any text, any repetition, any cut ------------------------------------------------------

LETTERS = st.text(string.ascii_letters + string.digits + " \n.,äß漢字🙂", max_size=300)


def cut_up(data: st.DataObject, text: str) -> list[str]:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=12).map(sorted))
    bounds = [0, *places, len(text)]
    return [text[a:b] for a, b in pairwise(bounds) if a < b]


def longest_overlap(old: str, new: str, least: int) -> int:
    """What a splice has to leave out, found by trying every length."""
    gap = len(old) - len(old.rstrip())
    return max(
        (
            length
            for length in range(1, min(OVERLAP_CHARS, len(old), len(new)) + 1)
            if old.endswith(new[:length]) and (length >= least or length <= gap)
        ),
        default=0,
    )


@given(
    data=st.data(),
    whole=LETTERS.filter(str.strip),
    overlap=st.just(0) | st.integers(LEAST_OVERLAP["user_turn"], OVERLAP_CHARS),
    asked=st.sampled_from(["user_turn", "prefill"]),
)
def test_old_and_new_are_the_whole_text_however_much_is_repeated(
    data: st.DataObject, whole: str, overlap: int, asked: Way
) -> None:
    cut = data.draw(st.integers(1, len(whole)))
    old, new = whole[:cut], whole[max(0, cut - overlap) :]
    repeated = min(overlap, cut)
    # A longer or a shorter match by chance is another answer's right reading, not this one's.
    assume(longest_overlap(old, new, LEAST_OVERLAP[asked]) == repeated)
    assert whole_text(old, *cut_up(data, new), asked=asked) == whole


@given(
    data=st.data(),
    old=st.text("ab \n", min_size=1, max_size=260),
    new=st.text("ab \n", max_size=260),
    asked=st.sampled_from(["user_turn", "prefill"]),
)
def test_exactly_the_longest_repetition_is_left_out_however_the_text_is_cut(
    data: st.DataObject, old: str, new: str, asked: Way
) -> None:
    if data.draw(st.booleans()):
        new = old[-data.draw(st.integers(1, len(old))) :] + new
    expected = old + new[longest_overlap(old, new, LEAST_OVERLAP[asked]) :]
    assert whole_text(old, *cut_up(data, new), asked=asked) == expected


@given(old=LETTERS.filter(bool), new=LETTERS.filter(bool))
def test_no_more_is_held_back_than_may_be_a_repetition(old: str, new: str) -> None:
    splice = Splice(open_text(old), "user_turn")
    begin, *deltas, _ = said(2, (TEXT, list(new)))
    splice.translate([begin])
    tail = old[-OVERLAP_CHARS:]
    for count, delta in enumerate(deltas, start=1):
        held, out = new[:count], splice.translate([delta])
        if out or held == old[-count:]:
            return
        assert any(tail[at:].startswith(held) for at in range(len(tail) - count))


# --- Whole streams --------------------------------------------------------------------------


def started(attempt: int) -> AttemptStart:
    role = Role.PRIMARY if attempt == 1 else Role.CONTINUATION
    return AttemptStart(attempt=attempt, provider="p", model="m", role=role, after_ms=0)


def committed(attempt: int) -> AttemptCommit:
    first = attempt == 1
    return AttemptCommit(
        attempt=attempt, reason="first_content" if first else "failover", ttft_ms=1
    )


def failed(attempt: int) -> AttemptEnd:
    return AttemptEnd(attempt=attempt, outcome=Outcome.FAILED, error=CUT)


def taken_over(attempt: int) -> list[Event]:
    return [
        started(attempt),
        Failover(
            from_attempt=attempt - 1,
            to=attempt,
            mode="continue",
            overlap_chars=OVERLAP_CHARS,
            error=CUT,
            must_understand=False,
        ),
        committed(attempt),
    ]


def as_a_client_gets_it(events: Sequence[Event]) -> list[dict[str, object]]:
    return [
        {"v": 1, "stream": "st_1", "seq": seq, **msgspec.to_builtins(event)}
        for seq, event in enumerate(events)
    ]


def attempt_s_words(
    attempt: int, parts: Sequence[Part], *, whole: bool
) -> tuple[list[AttemptEvent], list[AttemptEvent]]:
    """What a decoder says while it reads, and what at the end."""
    blocks, out, closing = Blocks(attempt), list[AttemptEvent](), list[AttemptEvent]()
    for kind, deltas in parts:
        for delta in deltas:
            blocks.run(out, kind, delta, "raw" if kind is REASONING else None)
    blocks.end_all(closing, complete=whole)
    return out, closing


def continued(*attempts: Sequence[Part], answered: bool = True) -> list[Event]:
    """A stream whose attempts break one after the other, all but the last."""
    stream: list[Event] = [start(), started(1), committed(1)]
    splice: Splice | None = None
    for number, parts in enumerate(attempts, start=1):
        last = answered and number == len(attempts)
        words, closing = attempt_s_words(number, parts, whole=last)
        if splice is not None:
            words, closing = splice.translate(words), splice.translate(closing)
            closing += splice.close(complete=last)
        stream += words
        if last:
            outcome = AttemptEnd(attempt=number, outcome=Outcome.COMPLETED)
            return [*stream, *closing, outcome, ended(number)]
        kept, let_out = held_back(closing, folded(stream))
        stream += [*let_out, failed(number)]
        if number == len(attempts):
            return [*stream, *kept, ended(number, failed_=True)]
        splice = Splice(folded(stream), "user_turn")
        stream += taken_over(number + 1)
    raise AssertionError


def ended(attempts: int, *, failed_: bool = False) -> Event:
    last = msgspec.to_builtins(end())
    last["attempts"] = [
        {"attempt": number, "provider": "p", "model": "m", "outcome": "completed"}
        for number in range(1, attempts + 1)
    ]
    if failed_:
        last |= {"status": "failed", "finish": "error", "error": msgspec.to_builtins(CUT)}
    return msgspec.convert(last, type(end()))


PARTS = st.lists(
    st.tuples(
        st.sampled_from([TEXT, REASONING]),
        st.lists(st.text("ab ", min_size=1, max_size=6), min_size=1, max_size=4),
    ),
    max_size=4,
)


@given(attempts=st.lists(PARTS, min_size=2, max_size=4), answered=st.booleans())
def test_an_answer_continued_any_number_of_times_keeps_the_grammar(
    *, attempts: list[Sequence[Part]], answered: bool
) -> None:
    grammar.check(as_a_client_gets_it(continued(*attempts, answered=answered)))


def test_an_answer_can_be_continued_twice() -> None:
    stream = continued(
        [(REASONING, ["Hm."]), (TEXT, ["The capital"])],
        [(TEXT, ["capital of Fra"])],
        [(TEXT, ["of France ", "is Paris."])],
    )
    grammar.check(as_a_client_gets_it(stream))
    assert folded(stream).text(TEXT) == "The capital of France is Paris."
    assert [event.block for event in stream if isinstance(event, BlockEnd)] == ["b1.0", "b1.1"]
