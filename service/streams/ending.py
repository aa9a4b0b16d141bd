"""Endings that no runner has written: of a stream whose process is gone, and of none at all.

Whoever notices that a process is gone writes what is known and nothing else: the stream was
interrupted, its blocks are incomplete, what its attempts used is unknown. Blocks and attempts that
were open are ended first, as every reader may rely on.
"""

from typing import Final

from adapters.errors import make
from adapters.events import (
    AttemptEnd,
    AttemptSummary,
    BlockEnd,
    BlockKind,
    Error,
    ErrorCode,
    Event,
    Finish,
    Outcome,
    Phase,
    Status,
    StreamEnd,
    Timing,
)
from adapters.tokens import UNKNOWN, total
from service.streams.fold import Fold, FoldedBlock

_WORDS: Final = frozenset({BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL})


def interrupted(fold: Fold, now_ms: int) -> list[Event]:
    """What follows a stream that stands like `fold` and will not go on.

    `now_ms` is the Unix time in milliseconds.
    """
    error = make(
        ErrorCode.STREAM_INTERRUPTED,
        "the process that made this answer is gone",
        phase=Phase.MID_STREAM if fold.commit is not None else Phase.BEFORE_COMMIT,
        bytes_out=fold.commit is not None,
    )
    events: list[Event] = [_block_end(block) for block in fold.blocks.values() if not block.done]
    running = [number for number in fold.attempts if number not in fold.outcomes]
    outcomes = dict(fold.outcomes)
    for number in running:
        outcomes[number] = AttemptEnd(
            attempt=number, outcome=Outcome.FAILED, error=error, usage=UNKNOWN
        )
        events.append(outcomes[number])
    return [*events, _stream_end(fold, outcomes, error, now_ms)]


def bare(status: Status, finish: Finish, error: Error | None = None) -> StreamEnd:
    """An end for one reader's projection, which no log holds: nothing is told but how it ends."""
    return StreamEnd(
        status=status,
        finish=finish,
        provider=None,
        model=None,
        usage=UNKNOWN,
        usage_total=UNKNOWN,
        error=error,
        timing=Timing(queued_ms=0, ttft_ms=None, total_ms=0),
        attempts=[],
    )


def _block_end(block: FoldedBlock) -> BlockEnd:
    kind = block.start.kind
    return BlockEnd(
        block=block.start.block,
        status="incomplete",
        text_len=len(block.text) if kind in _WORDS else None,
        args=block.text if kind is BlockKind.TOOL_CALL else None,
    )


def _stream_end(
    fold: Fold, outcomes: dict[int, AttemptEnd], error: Error, now_ms: int
) -> StreamEnd:
    answering = fold.attempts.get(fold.commit.attempt) if fold.commit is not None else None
    started = fold.start.created_at if fold.start is not None else now_ms
    usages = {number: end.usage or UNKNOWN for number, end in outcomes.items()}
    return StreamEnd(
        status=Status.FAILED,
        finish=Finish.INTERRUPTED,
        provider=answering.provider if answering is not None else None,
        model=answering.model if answering is not None else None,
        usage=usages[answering.attempt] if answering is not None else total(()),
        usage_total=total(usages.values()),
        error=error,
        # Clocks of two machines: never before its beginning.
        timing=Timing(queued_ms=0, ttft_ms=None, total_ms=max(0, now_ms - started)),
        attempts=[
            AttemptSummary(
                attempt=number,
                provider=start.provider,
                model=start.model,
                outcome=outcomes[number].outcome,
                usage=usages[number],
                error=outcomes[number].error,
            )
            for number, start in fold.attempts.items()
        ],
    )
