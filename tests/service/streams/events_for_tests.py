"""Events as a relay would append them, for tests of what reads them."""

from typing import Any

import msgspec

from adapters.events import (
    AttemptCommit,
    AttemptStart,
    BlockEnd,
    BlockKind,
    BlockStart,
    Caps,
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    Role,
    Status,
    StreamEnd,
    StreamStart,
    TextDelta,
    Timing,
    ToolDelta,
    Usage,
)
from adapters.tokens import UNKNOWN
from service.streams.log import StreamLog

NEWER = (
    {"type": "text.sung", "block": "b1.0", "melody": "c d e"},
    {"type": "block.start", "block": "b1.9", "index": 9, "attempt": 1, "kind": "hologram"},
    {"type": "text.delta", "block": "b1.9", "delta": "..."},
)
"""Events of a version that is yet to come: of a new type, and of a block of a new kind."""


DELTAS: dict[BlockKind, Any] = {
    BlockKind.TEXT: TextDelta,
    BlockKind.REASONING: ReasoningDelta,
    BlockKind.REFUSAL: RefusalDelta,
    BlockKind.TOOL_CALL: ToolDelta,
}
"""What each kind of block grows by: of the block's id, and its text."""


def start() -> StreamStart:
    return StreamStart(
        request_id="rq_1",
        created_at=1_795_392_000_000,
        model_requested="auto",
        dialect="native",
        caps=Caps(resume=True, retract=True, ttl_s=600),
    )


def end(
    finish: Finish = Finish.STOP,
    status: Status = Status.COMPLETED,
    *,
    usage: Usage = UNKNOWN,
    total_ms: int = 2,
    **fields: Any,  # noqa: ANN401 - what an end may have beside
) -> StreamEnd:
    return StreamEnd(
        status=status,
        finish=finish,
        provider="groq",
        model="m",
        usage=usage,
        usage_total=usage,
        timing=Timing(queued_ms=0, ttft_ms=1, total_ms=total_ms),
        attempts=[],
        **fields,
    )


def text_block(block: str, *deltas: str, index: int = 0) -> list[Event]:
    return [
        BlockStart(block=block, index=index, attempt=1, kind=BlockKind.TEXT),
        *(TextDelta(block, delta) for delta in deltas),
        BlockEnd(block=block, status="complete", text_len=sum(map(len, deltas))),
    ]


def newer(log: StreamLog, *events: dict[str, object]) -> list[bytes]:
    """Entries that would be next in a log, of types or with words that are not known yet."""
    entries = []
    for seq, event in enumerate(events, start=log.next):
        body = msgspec.json.encode({"v": 2, "stream": log.stream, "seq": seq, "ts": 0, **event})
        entries.append(
            b"id: %b:%d\nevent: %b\ndata: %b\n\n"
            % (log.stream.encode(), seq, str(event["type"]).encode(), body)
        )
    return entries


def attempt() -> list[Event]:
    return [
        AttemptStart(attempt=1, provider="groq", model="m", role=Role.PRIMARY, after_ms=0),
        AttemptCommit(attempt=1, reason="first_content", ttft_ms=1),
    ]
