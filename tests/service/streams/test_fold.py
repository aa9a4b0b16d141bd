"""Folding events back into an answer."""

from adapters.errors import make
from adapters.events import (
    AttemptEnd,
    BlockEnd,
    BlockKind,
    BlockStart,
    Citation,
    CitationAdd,
    ErrorCode,
    Event,
    Failover,
    FileDelta,
    Meta,
    Outcome,
    ReasoningDelta,
    ReasoningSignature,
    TextDelta,
    ToolDelta,
    WarningEvent,
)
from service.streams.fold import Fold
from tests.service.streams.events_for_tests import attempt, end, start, text_block


def folded(*events: Event) -> Fold:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold


def tool(block: str, *fragments: str, complete: bool = True) -> list[Event]:
    status = "complete" if complete else "incomplete"
    return [
        BlockStart(
            block=block,
            index=0,
            attempt=1,
            kind=BlockKind.TOOL_CALL,
            call_id="c1",
            name="add",
            args_format="json",
        ),
        *(ToolDelta(block, fragment) for fragment in fragments),
        BlockEnd(block=block, status=status, args="".join(fragments), args_valid=complete),
    ]


def test_text_of_a_kind_is_its_blocks_joined_in_order() -> None:
    fold = folded(*text_block("b1.0", "a", "b"), *text_block("b1.1", "c", index=1))
    assert fold.text(BlockKind.TEXT) == "abc"
    assert fold.text(BlockKind.REASONING) == ""


def test_a_finished_tool_call_is_a_call_and_a_cut_one_is_not() -> None:
    fold = folded(*tool("b1.0", '{"a":', "1}"), *tool("b1.1", '{"a"', complete=False))
    assert fold.tool_calls() == [{"id": "c1", "name": "add", "arguments": '{"a":1}'}]


def test_a_restart_takes_the_blocks_it_drops_and_their_citations_out() -> None:
    source = Citation(id="1", kind="url", url="https://example.com")
    fold = folded(
        *text_block("b1.0", "wrong"),
        CitationAdd(block="b1.0", citation=source),
        CitationAdd(citation=source),
        Failover(
            from_attempt=1,
            to=2,
            mode="restart",
            drop=["b1.0"],
            error=make(ErrorCode.STREAM_INTERRUPTED, "cut"),
            must_understand=True,
        ),
        *text_block("b2.0", "right"),
    )
    assert fold.text(BlockKind.TEXT) == "right"
    assert fold.citations == [(None, source)]


def test_a_copy_goes_its_own_way() -> None:
    fold = folded(start(), *attempt(), *text_block("b1.0", "a")[:-1])
    twin = fold.copy()
    twin.add(TextDelta("b1.0", "b"))
    assert (fold.text(BlockKind.TEXT), twin.text(BlockKind.TEXT)) == ("a", "ab")
    assert twin.commit == fold.commit


def test_a_snapshot_shows_text_arguments_and_what_is_done() -> None:
    fold = folded(*text_block("b1.0", "a", "b"), *tool("b1.1", '{"x":1')[:-1])
    text, call = fold.snapshot()
    assert (text.block, text.kind, text.text, text.done) == ("b1.0", BlockKind.TEXT, "ab", True)
    assert (call.args, call.call_id, call.name, call.done) == ('{"x":1', "c1", "add", False)


def test_facts_beside_the_blocks_are_kept_or_passed_over() -> None:
    warning = WarningEvent(code="parameter_dropped", message="seed", field="seed")
    signature = ReasoningSignature(block="b1.0", provider="p", format="f", value="v")
    fold = folded(
        BlockStart(block="b1.0", index=0, attempt=1, kind=BlockKind.REASONING, form="raw"),
        ReasoningDelta("b1.0", "hm"),
        signature,
        warning,
        Meta(key="region", value="eu"),
        BlockStart(block="b1.1", index=1, attempt=1, kind=BlockKind.FILE, media_type="image/png"),
        FileDelta(block="b1.1", data="QUJD", offset=0),
        end(),
    )
    assert fold.warnings == [warning]
    assert fold.blocks["b1.0"].signature == signature
    assert fold.text(BlockKind.FILE) == "QUJD"
    assert fold.end == end()


def test_what_a_fold_says_again_makes_the_same_fold() -> None:
    fold = folded(
        start(),
        *attempt(),
        AttemptEnd(attempt=1, outcome=Outcome.COMPLETED),
        BlockStart(block="b1.0", index=0, attempt=1, kind=BlockKind.REASONING, form="raw"),
        ReasoningDelta("b1.0", "hm"),
        ReasoningSignature(block="b1.0", provider="p", format="f", value="v"),
        *text_block("b1.1", "a", "b"),
        *tool("b1.2", '{"x":', "1}"),
        *tool("b1.3", '{"y"', complete=False),
        BlockStart(block="b1.4", index=4, attempt=1, kind=BlockKind.FILE, media_type="image/png"),
        FileDelta(block="b1.4", data="QUJD", offset=0),
        BlockStart(block="b1.5", index=5, attempt=1, kind=BlockKind.REFUSAL),
        CitationAdd(block="b1.1", citation=Citation(id="1", kind="url")),
        WarningEvent(code="parameter_dropped", message="seed", field="seed"),
        end(),
    )
    again = folded(*fold.events())
    texts = [(block.text, block.args) for block in fold.blocks.values()]
    assert [(block.text, block.args) for block in again.blocks.values()] == texts
    assert again.events() == fold.events()
    assert again.snapshot() == fold.snapshot()
    assert again.tool_calls() == fold.tool_calls()
    assert (again.attempts, again.outcomes) == (fold.attempts, fold.outcomes)
    assert (again.start, again.commit, again.end) == (fold.start, fold.commit, fold.end)
