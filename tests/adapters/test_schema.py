"""The served JSON Schema against the events it describes: it admits each and no other."""

from typing import Any, get_args

import msgspec
import orjson
import pytest
from jsonschema import Draft202012Validator

from adapters import schema
from adapters.errors import make
from adapters.events import (
    AttemptCommit,
    AttemptEnd,
    AttemptStart,
    AttemptSummary,
    BlockEnd,
    BlockKind,
    BlockStart,
    Candidate,
    Caps,
    Citation,
    CitationAdd,
    ControlEvent,
    ErrorCode,
    Event,
    Failover,
    FileDelta,
    Finish,
    Meta,
    Notice,
    Outcome,
    Ping,
    ReasoningDelta,
    ReasoningSignature,
    RefusalDelta,
    Role,
    RoutePlan,
    SafetyFlag,
    SequencedEvent,
    ServerToolUpdate,
    SnapshotBlock,
    Status,
    StreamEnd,
    StreamGap,
    StreamResumed,
    StreamSnapshot,
    StreamStart,
    TextDelta,
    Timing,
    ToolDelta,
    UsageUpdate,
    WarningEvent,
)
from adapters.tokens import UNKNOWN

ERROR = make(ErrorCode.STREAM_INTERRUPTED, "cut", causes=[make(ErrorCode.INTERNAL, "x")])

END = StreamEnd(
    status=Status.FAILED,
    finish=Finish.INTERRUPTED,
    provider=None,
    model=None,
    usage=UNKNOWN,
    usage_total=UNKNOWN,
    error=ERROR,
    timing=Timing(queued_ms=0, ttft_ms=None, total_ms=1),
    attempts=[AttemptSummary(attempt=1, provider="groq", model="m", outcome=Outcome.FAILED)],
)
RUNNING = UsageUpdate(attempt=1, usage=UNKNOWN, final=False)

SEQUENCED: list[Event] = [
    StreamStart(
        request_id="rq_1",
        created_at=1,
        model_requested="auto",
        dialect="native",
        caps=Caps(resume=True, retract=True, ttl_s=600),
        metadata={"a": "b"},
    ),
    RoutePlan(
        strategy="single", policy="table", candidates=[Candidate("groq", "m")], max_attempts=1
    ),
    AttemptStart(attempt=1, provider="groq", model="m", role=Role.PRIMARY, after_ms=0),
    AttemptCommit(attempt=1, reason="first_content", ttft_ms=2, upstream_id="x"),
    AttemptEnd(attempt=1, outcome=Outcome.FAILED, error=ERROR, usage=UNKNOWN),
    Failover(
        from_attempt=1, to=2, mode="restart", drop=["b1.0"], error=ERROR, must_understand=True
    ),
    BlockStart(block="b1.0", index=0, attempt=1, kind=BlockKind.TOOL_CALL, call_id="c", name="f"),
    TextDelta("b1.0", "x", [{"token": "x"}]),
    ReasoningDelta("b1.0", "x"),
    RefusalDelta("b1.0", "x"),
    ToolDelta("b1.0", "x"),
    FileDelta(block="b1.0", data="eA==", offset=0),
    ReasoningSignature(block="b1.0", provider="claude", format="anthropic.signature", value="x"),
    CitationAdd(block="b1.0", citation=Citation(id="1", kind="url", url="https://example.com")),
    ServerToolUpdate(block="b1.0", status="done", name="web_search", result=[1]),
    BlockEnd(block="b1.0", status="complete", args="{}", args_valid=True),
    RUNNING,
    SafetyFlag(where="output", provider="copilot", action="annotated"),
    WarningEvent(code="dropped", message="seed was dropped", field="seed"),
    Meta(key="region", value={"any": "thing"}),
    END,
]
CONTROL: list[Event] = [
    Ping(t=1),
    StreamResumed(after=1, next=2, live=True, replay=0),
    StreamSnapshot(as_of=3, blocks=[SnapshotBlock(block="b1.0", kind=BlockKind.TEXT, text="x")]),
    StreamGap(from_seq=0, to=3, reason="evicted"),
    Notice(code="draining", reconnect_after_ms=1_000),
]

ENVELOPE = {"v": 1, "stream": "st_1", "seq": 4, "ts": 1_795_392_000_123}
DOCUMENT = schema.document()
VALIDATOR = Draft202012Validator(DOCUMENT)


def sent(event: Event) -> dict[str, Any]:
    """An event as a reader gets it."""
    fields: dict[str, Any] = orjson.loads(msgspec.json.encode(event))
    control = isinstance(event, get_args(ControlEvent))
    return fields if control else ENVELOPE | fields


def name(event: Event) -> str:
    return type(event).__name__


def test_it_is_a_schema_of_the_draft_it_names() -> None:
    assert DOCUMENT["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert DOCUMENT["$id"] == "urn:tailrace:events:1"
    Draft202012Validator.check_schema(DOCUMENT)


def test_it_knows_every_event_there_is() -> None:
    everything = {*get_args(SequencedEvent), *get_args(ControlEvent)}
    assert {type(event) for event in (*SEQUENCED, *CONTROL)} == everything
    assert (len(SEQUENCED), len(CONTROL), len(DOCUMENT["oneOf"])) == (21, 5, 26)


@pytest.mark.parametrize("event", [*SEQUENCED, *CONTROL], ids=name)
def test_every_event_is_valid_as_it_is_sent_and_with_fields_of_a_later_version(
    event: Event,
) -> None:
    VALIDATOR.validate(sent(event))
    VALIDATOR.validate(sent(event) | {"something_new": 1})


@pytest.mark.parametrize("event", [*SEQUENCED, *CONTROL], ids=name)
def test_no_event_is_valid_without_one_of_its_required_fields(event: Event) -> None:
    whole = sent(event)
    required = DOCUMENT["$defs"][name(event)]["required"]
    assert "type" in required
    for field in required:
        assert not VALIDATOR.is_valid({key: whole[key] for key in whole if key != field}), field


@pytest.mark.parametrize("event", SEQUENCED, ids=name)
@pytest.mark.parametrize(
    "wrong", [{"v": 2}, {"seq": -1}, {"seq": "4"}, {"stream": 1}, {"ts": None}, {"type": "x.y"}]
)
def test_no_event_is_valid_with_a_wrong_envelope(event: Event, wrong: dict[str, object]) -> None:
    assert not VALIDATOR.is_valid(sent(event) | wrong)


@pytest.mark.parametrize("event", CONTROL, ids=name)
def test_a_control_event_has_no_sequence_number(event: Event) -> None:
    VALIDATOR.validate(sent(event) | {"v": 1, "stream": "st_1"})
    assert not VALIDATOR.is_valid(sent(event) | ENVELOPE)


@pytest.mark.parametrize(
    "wrong",
    [
        ENVELOPE | {"type": "text.delta", "block": 1, "delta": "x"},
        ENVELOPE | {"type": "text.delta", "block": "b", "delta": None},
        sent(END) | {"finish": "because"},
        sent(END) | {"usage": {"input": 1}},
        sent(RUNNING) | {"final": True},
        [],
        "text",
    ],
)
def test_a_wrong_event_is_not_valid(wrong: object) -> None:
    assert not VALIDATOR.is_valid(wrong)


def test_a_joined_delta_is_valid_and_nothing_else_can_be_joined() -> None:
    VALIDATOR.validate(sent(TextDelta("b", "xy")) | {"seq_first": 3})
    assert "seq_first" not in DOCUMENT["$defs"]["StreamEnd"]["properties"]


def test_what_describes_a_part_reads_as_text() -> None:
    description = DOCUMENT["$defs"]["Usage"]["description"]
    assert "\n    " not in description
