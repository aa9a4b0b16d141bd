"""The account of items says everything once, and ends what it began."""

from typing import Any

import msgspec

from adapters.dialects.openai_responses_items import Items
from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.dialects.openai_responses_wire import Item
from adapters.events import (
    AttemptEvent,
    BlockEnd,
    BlockKind,
    BlockStart,
    CitationAdd,
    Ending,
    Finish,
    ReasoningDelta,
    TextDelta,
)
from tests.adapters.dialects.chat_cases import call
from tests.adapters.dialects.cuts import Decoded, check_grammar


def items(**quirks: Any) -> Items:  # noqa: ANN401 - they are ResponsesQuirks' own
    return Items(call(), ResponsesQuirks(**quirks))


def item(**fields: object) -> Item:
    return msgspec.convert(fields, Item)


def checked(out: list[AttemptEvent]) -> Decoded:
    decoded = Decoded(out, Ending(finish=Finish.STOP), None, None)
    check_grammar(decoded)
    return decoded


def test_an_empty_delta_opens_nothing() -> None:
    out: list[AttemptEvent] = []
    account = items()
    account.grow(out, 0, "content", 0, "")
    account.grow(out, 0, "content", 0, None)
    assert out == []
    assert account.kinds == set()


def test_a_text_is_completed_once() -> None:
    out: list[AttemptEvent] = []
    account = items()
    account.grow(out, 0, "content", 0, "hel")
    account.complete(out, 0, "content", 0, "hello")
    account.complete(out, 0, "content", 0, "hello")
    account.settle(out, 0, item(type="message", content=[{"text": "hello"}]))
    decoded = checked(out)
    assert [event.delta for event in decoded.of(TextDelta)] == ["hel", "lo"]
    assert account.kinds == {BlockKind.TEXT}


def test_a_text_that_was_never_told_stays_so() -> None:
    out: list[AttemptEvent] = []
    account = items()
    account.complete(out, 0, "content", 0, None)
    account.complete(out, 0, "arguments", 0, "{}")
    assert out == []


def test_an_item_is_settled_once() -> None:
    out: list[AttemptEvent] = []
    account = items()
    message = item(type="message", content=[{"text": "hello"}])
    account.settle(out, 0, message)
    account.settle(out, 0, message)
    account.settle_rest(out, [message], complete=True)
    assert checked(out).text == "hello"


def test_a_summary_and_a_text_of_the_same_reasoning_are_two_blocks() -> None:
    out: list[AttemptEvent] = []
    account = items()
    account.grow(out, 0, "summary", 0, "short")
    account.grow(out, 0, "reasoning", 0, "long")
    account.grow(out, 0, "summary", 1, "er")
    account.settle(out, 0, item(type="reasoning"))
    decoded = checked(out)
    assert [event.form for event in decoded.of(BlockStart)] == ["summary", "raw"]
    assert [event.delta for event in decoded.of(ReasoningDelta)] == ["short", "long", "\n\n", "er"]


def test_what_the_last_event_lists_is_found_by_its_id() -> None:
    out: list[AttemptEvent] = []
    account = items()
    account.add(out, 0, item(type="message", id="m0"))
    account.add(out, 2, item(type="message", id="m2"))
    account.grow(out, 0, "content", 0, "a")
    listed = [
        item(type="message", id="m0", content=[{"text": "ab"}]),
        item(type="message", id="m2", content=[{"text": "c"}]),
        item(type="message", id="m9", content=[{"text": "never announced"}]),
    ]
    account.settle_rest(out, listed, complete=True)
    decoded = checked(out)
    assert [event.delta for event in decoded.of(TextDelta)] == ["a", "b", "c"]
    assert {event.status for event in decoded.of(BlockEnd)} == {"complete"}


def test_a_cut_ends_everything_incomplete() -> None:
    out: list[AttemptEvent] = []
    account = items()
    account.grow(out, 0, "content", 0, "a")
    account.add(out, 1, item(type="web_search_call", id="ws"))
    account.cut(out)
    assert {event.status for event in checked(out).of(BlockEnd)} == {"incomplete"}


def test_an_annotation_may_come_before_its_text() -> None:
    out: list[AttemptEvent] = []
    account = items()
    account.annotate(out, 0, 0, {"type": "url_citation", "url": "https://a.example"})
    account.settle(
        out,
        0,
        item(
            type="message",
            content=[{"text": "hi", "annotations": [{"url": "https://a.example"}, {"url": 5}]}],
        ),
    )
    first, second = checked(out).of(CitationAdd)
    assert (first.block, second.block) == (None, "b1.0")
    assert (second.citation.kind, second.citation.url) == ("document", None)


def test_search_results_are_cited_once_and_oddities_are_not() -> None:
    out: list[AttemptEvent] = []
    account = items()
    page = {"id": 1, "url": "https://a.example", "title": "A", "snippet": "..."}
    account.cite(out, [page, "odd", page])
    account.cite(out, {"not": "a list"})
    (event,) = out
    assert isinstance(event, CitationAdd)
    assert (event.citation.id, event.citation.quote) == ("1", "...")


def test_a_function_is_the_provider_s_own_only_where_it_says_so() -> None:
    for runs_own, kind in ((True, BlockKind.SERVER_TOOL), (False, BlockKind.TOOL_CALL)):
        out: list[AttemptEvent] = []
        account = items(runs_own_tools=runs_own)
        account.add(out, 0, item(type="function_call", id="f", call_id="c", name="search"))
        account.cut(out)
        (start,) = checked(out).of(BlockStart)
        assert start.kind is kind
