"""The event schema: what is on the wire, and that the generated JSON Schema says the same."""

from typing import Any, get_args

import jsonschema
import msgspec
import pytest

from adapters import errors, events, tokens
from adapters.events import BlockKind, ErrorCode, Event, Finish, Outcome, Role, Status

_ERROR = errors.make(ErrorCode.OVERLOADED, "busy", provider="acme", retry_after_ms=100)
_USAGE = tokens.UNKNOWN
_TIMING = events.Timing(queued_ms=1, ttft_ms=None, total_ms=20)
_SUMMARY = events.AttemptSummary(
    attempt=1, provider="acme", model="m", outcome=Outcome.FAILED, error=_ERROR, usage=_USAGE
)

EXAMPLES: list[Event] = [
    events.StreamStart(
        request_id="r",
        created_at=1,
        model_requested="auto",
        dialect="native",
        caps=events.Caps(resume=True, retract=True, ttl_s=600),
        metadata={"a": "b"},
    ),
    events.RoutePlan(
        strategy="hedge",
        policy="table",
        candidates=[events.Candidate("acme", "m", 0.5), events.Candidate("other", "n")],
        hedge_after_ms=800,
        max_attempts=2,
    ),
    events.AttemptStart(
        attempt=2, provider="acme", model="m", role=Role.HEDGE, after_ms=800, replaces=1
    ),
    events.AttemptCommit(attempt=2, reason="first_content", ttft_ms=90, upstream_id="u"),
    events.AttemptEnd(attempt=1, outcome=Outcome.LOST_RACE, error=_ERROR, usage=_USAGE),
    events.Failover(
        from_attempt=1, to=2, mode="restart", drop=["b1.0"], error=_ERROR, must_understand=True
    ),
    events.BlockStart(
        block="b1.0",
        index=0,
        attempt=1,
        kind=BlockKind.TOOL_CALL,
        call_id="c",
        name="f",
        args_format="json",
    ),
    events.TextDelta("b1.0", "hello", [{"token": "hello"}]),
    events.ReasoningDelta("b1.0", "hm"),
    events.RefusalDelta("b1.0", "no"),
    events.ToolDelta("b1.0", "{}"),
    events.FileDelta(block="b1.0", data="aGk=", offset=0),
    events.ReasoningSignature(
        block="b1.0", provider="acme", format="acme.sig", value="x", id="rs_1"
    ),
    events.CitationAdd(
        block="b1.0", citation=events.Citation(id="1", kind="url", url="https://a.example")
    ),
    events.ServerToolUpdate(
        block="b1.0", status="done", name="web_search", input={"q": 1}, result=[1]
    ),
    events.BlockEnd(block="b1.0", status="complete", args="{}", args_valid=True),
    events.UsageUpdate(attempt=1, usage=_USAGE, final=False),
    events.SafetyFlag(where="input", provider="acme", category="hate", action="blocked"),
    events.WarningEvent(code="parameter_dropped", message="seed was not sent", field="seed"),
    events.Meta(key="region", value={"name": "eu"}),
    events.StreamEnd(
        status=Status.FAILED,
        finish=Finish.ERROR,
        provider=None,
        model=None,
        usage=_USAGE,
        usage_total=_USAGE,
        error=msgspec.structs.replace(_ERROR, causes=[_ERROR], attempt=1),
        timing=_TIMING,
        attempts=[_SUMMARY],
    ),
    events.Ping(5),
    events.StreamResumed(after=3, next=4, live=True, replay=0),
    events.StreamSnapshot(
        as_of=9, blocks=[events.SnapshotBlock(block="b1.0", kind=BlockKind.TEXT, text="hello")]
    ),
    events.StreamGap(from_seq=1, to=5, reason="evicted"),
    events.Notice(code="draining", reconnect_after_ms=1000),
]
_IDS = [type(example).__struct_config__.tag for example in EXAMPLES]


def encoded(value: object) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return decoded


def validator() -> jsonschema.Draft202012Validator:
    (top,), components = msgspec.json.schema_components(
        [events.SequencedEvent | events.ControlEvent], ref_template="#/$defs/{name}"
    )
    return jsonschema.Draft202012Validator({**top, "$defs": components})


SCHEMA = validator()


def test_the_generated_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA.schema)


def test_there_is_an_example_of_every_type() -> None:
    every = {*get_args(events.SequencedEvent), *get_args(events.ControlEvent)}
    assert {type(example) for example in EXAMPLES} == every
    assert len(get_args(events.SequencedEvent)) == 21
    assert len(get_args(events.ControlEvent)) == 5


@pytest.mark.parametrize("example", EXAMPLES, ids=_IDS)
def test_an_encoded_event_is_valid_against_the_generated_schema(example: Event) -> None:
    SCHEMA.validate(encoded(example))


@pytest.mark.parametrize("example", EXAMPLES, ids=_IDS)
def test_an_event_without_its_type_or_a_required_field_is_not_valid(example: Event) -> None:
    written = encoded(example)
    required = [name.encode_name for name in msgspec.structs.fields(example) if name.required]
    for name in ["type", *required]:
        lacking = {key: value for key, value in written.items() if key != name}
        assert not SCHEMA.is_valid(lacking), name


@pytest.mark.parametrize("example", EXAMPLES, ids=_IDS)
def test_an_event_reads_back_as_it_was_written(example: Event) -> None:
    union: Any = events.SequencedEvent | events.ControlEvent
    assert msgspec.json.decode(msgspec.json.encode(example), type=union) == example


def test_the_type_comes_first_and_optional_fields_are_left_out() -> None:
    assert msgspec.json.encode(events.TextDelta("b1.0", "hello")) == (
        b'{"type":"text.delta","block":"b1.0","delta":"hello"}'
    )
    start = events.BlockStart(block="b1.0", index=0, attempt=1, kind=BlockKind.TEXT)
    assert encoded(start) == {
        "type": "block.start",
        "block": "b1.0",
        "index": 0,
        "attempt": 1,
        "kind": "text",
    }


def test_required_fields_are_written_when_they_are_null() -> None:
    end = encoded(next(event for event in EXAMPLES if isinstance(event, events.StreamEnd)))
    assert end["provider"] is None
    assert end["model"] is None
    assert end["timing"] == {"queued_ms": 1, "ttft_ms": None, "total_ms": 20}
    counts = ("input", "input_cached", "input_cache_write", "output", "output_reasoning", "total")
    for name in counts:
        assert end["usage"][name] is None
    assert "input_audio" not in end["usage"]


def test_a_field_with_only_one_value_is_written_all_the_same() -> None:
    assert encoded(events.UsageUpdate(usage=_USAGE, final=False))["final"] is False


def test_python_s_reserved_words_do_not_reach_the_wire() -> None:
    failover = encoded(next(event for event in EXAMPLES if isinstance(event, events.Failover)))
    assert (failover["from"], failover["to"]) == (1, 2)
    assert encoded(events.StreamGap(from_seq=1, to=2, reason="evicted"))["from"] == 1


def test_a_reader_ignores_fields_it_does_not_know() -> None:
    written = b'{"type":"ping","t":1,"new":{"deep":[]}}'
    assert msgspec.json.decode(written, type=events.Ping) == events.Ping(1)


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        events.Ping(1).t = 2  # type: ignore[misc]  # what the test is about


def test_every_finish_has_a_status() -> None:
    assert set(events.STATUS_OF_FINISH) == set(Finish)
    failed = {finish for finish, status in events.STATUS_OF_FINISH.items() if status == "failed"}
    assert failed == {Finish.INTERRUPTED, Finish.ERROR}


CONTENT = (
    events.TextDelta,
    events.ReasoningDelta,
    events.RefusalDelta,
    events.ToolDelta,
    events.FileDelta,
)


@pytest.mark.parametrize("example", EXAMPLES, ids=_IDS)
def test_only_what_the_model_said_commits_an_attempt(example: Event) -> None:
    is_call = isinstance(example, events.BlockStart) and example.kind is BlockKind.TOOL_CALL
    assert events.is_content(example) == (isinstance(example, CONTENT) or is_call)


@pytest.mark.parametrize("kind", sorted(set(BlockKind) - {BlockKind.TOOL_CALL}))
def test_a_block_that_is_still_empty_does_not(kind: BlockKind) -> None:
    assert not events.is_content(events.BlockStart(block="b", index=0, attempt=1, kind=kind))
