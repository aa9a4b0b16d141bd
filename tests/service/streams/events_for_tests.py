"""Events as a relay would append them, for tests of what reads them."""

from adapters.events import (
    AttemptCommit,
    AttemptStart,
    BlockEnd,
    BlockKind,
    BlockStart,
    Caps,
    Event,
    Finish,
    Role,
    Status,
    StreamEnd,
    StreamStart,
    TextDelta,
    Timing,
)
from adapters.tokens import UNKNOWN


def start() -> StreamStart:
    return StreamStart(
        request_id="rq_1",
        created_at=1_795_392_000_000,
        model_requested="auto",
        dialect="native",
        caps=Caps(resume=True, retract=True, ttl_s=600),
    )


def end(finish: Finish = Finish.STOP, status: Status = Status.COMPLETED) -> StreamEnd:
    return StreamEnd(
        status=status,
        finish=finish,
        provider="groq",
        model="m",
        usage=UNKNOWN,
        usage_total=UNKNOWN,
        timing=Timing(queued_ms=0, ttft_ms=1, total_ms=2),
        attempts=[],
    )


def text_block(block: str, *deltas: str, index: int = 0) -> list[Event]:
    return [
        BlockStart(block=block, index=index, attempt=1, kind=BlockKind.TEXT),
        *(TextDelta(block, delta) for delta in deltas),
        BlockEnd(block=block, status="complete", text_len=sum(map(len, deltas))),
    ]


def attempt() -> list[Event]:
    return [
        AttemptStart(attempt=1, provider="groq", model="m", role=Role.PRIMARY, after_ms=0),
        AttemptCommit(attempt=1, reason="first_content", ttft_ms=1),
    ]
