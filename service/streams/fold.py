"""Events back into an answer: what a JSON client gets, and what stands for evicted events.

One `Fold` takes a stream's events in order and holds the answer as it stands: its blocks with
their text or arguments, and the facts of the lifecycle events. A `failover` that restarts takes the
blocks it drops out again, so the fold of a whole stream never shows what was retracted.

`events` says a fold again in as few events as there are: another process that adds them has the
same fold.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from adapters.events import (
    AttemptCommit,
    AttemptEnd,
    AttemptStart,
    BlockEnd,
    BlockKind,
    BlockStart,
    Citation,
    CitationAdd,
    Event,
    Failover,
    FileDelta,
    ReasoningDelta,
    ReasoningSignature,
    RefusalDelta,
    RoutePlan,
    SequencedEvent,
    SnapshotBlock,
    StreamEnd,
    StreamStart,
    TextDelta,
    ToolDelta,
    WarningEvent,
)


@dataclass(slots=True)
class FoldedBlock:
    """One block as it stands."""

    start: BlockStart
    parts: list[str] = field(default_factory=list)
    signature: ReasoningSignature | None = None
    done: bool = False
    complete: bool = False
    """Ended, and by the provider's word."""
    args: str | None = None
    """A tool call's argument string as its end gave it."""

    @property
    def text(self) -> str:
        """The deltas joined."""
        return "".join(self.parts)

    def copy(self) -> "FoldedBlock":
        """An independent copy."""
        return FoldedBlock(
            self.start, list(self.parts), self.signature, self.done, self.complete, self.args
        )


class Fold:
    """An answer, accumulated event by event."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.start: StreamStart | None = None
        self.attempts: dict[int, AttemptStart] = {}
        self.outcomes: dict[int, AttemptEnd] = {}
        """Attempts that are over."""
        self.blocks: dict[str, FoldedBlock] = {}
        self.citations: list[tuple[str | None, Citation]] = []
        self.warnings: list[WarningEvent] = []
        self.plan: RoutePlan | None = None
        self.commit: AttemptCommit | None = None
        self.end: StreamEnd | None = None
        self.restarted = False
        """Whether something was said that is taken back."""

    def add(self, event: Event) -> None:
        """Take the next event; kinds that say nothing about the answer are passed over."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def copy(self) -> Self:
        """An independent copy, to go on folding without changing this one."""
        twin = type(self)()
        twin.start = self.start
        twin.attempts, twin.outcomes = dict(self.attempts), dict(self.outcomes)
        twin.blocks = {key: block.copy() for key, block in self.blocks.items()}
        twin.citations = list(self.citations)
        twin.warnings = list(self.warnings)
        twin.plan, twin.commit, twin.end = self.plan, self.commit, self.end
        twin.restarted = self.restarted
        return twin

    def text(self, kind: BlockKind) -> str:
        """The text of all blocks of one kind, in their order."""
        return "".join(block.text for block in self.blocks.values() if block.start.kind is kind)

    def tool_calls(self) -> list[dict[str, Any]]:
        """The finished tool calls as `{id, name, arguments}`; a cut one is no call."""
        return [
            {"id": block.start.call_id, "name": block.start.name, "arguments": block.args}
            for block in self.blocks.values()
            if block.start.kind is BlockKind.TOOL_CALL and block.complete
        ]

    def events(self) -> list[SequencedEvent]:
        """What gives this fold again where it is added to an empty one."""
        said: list[SequencedEvent | None] = [self.start, self.plan]
        said += self.attempts.values()
        said += self.outcomes.values()
        said.append(self.commit)
        for block in self.blocks.values():
            said += _retold(block)
        said += [CitationAdd(block=block, citation=cited) for block, cited in self.citations]
        said += self.warnings
        said.append(self.end)
        return [event for event in said if event is not None]

    def snapshot(self) -> list[SnapshotBlock]:
        """The blocks as `stream.snapshot` shows them."""
        return [_snapshot_block(block) for block in self.blocks.values()]


def _on_start(fold: Fold, event: StreamStart) -> None:
    fold.start = event


def _on_attempt_start(fold: Fold, event: AttemptStart) -> None:
    fold.attempts[event.attempt] = event


def _on_attempt_end(fold: Fold, event: AttemptEnd) -> None:
    fold.outcomes[event.attempt] = event


def _on_plan(fold: Fold, event: RoutePlan) -> None:
    fold.plan = event


def _on_commit(fold: Fold, event: AttemptCommit) -> None:
    fold.commit = event


def _on_block_start(fold: Fold, event: BlockStart) -> None:
    fold.blocks[event.block] = FoldedBlock(event)


def _on_delta(fold: Fold, event: TextDelta | ReasoningDelta | RefusalDelta | ToolDelta) -> None:
    fold.blocks[event.block].parts.append(event.delta)


def _on_file(fold: Fold, event: FileDelta) -> None:
    fold.blocks[event.block].parts.append(event.data or event.url or "")


def _on_signature(fold: Fold, event: ReasoningSignature) -> None:
    fold.blocks[event.block].signature = event


def _on_block_end(fold: Fold, event: BlockEnd) -> None:
    block = fold.blocks[event.block]
    block.done = True
    block.complete = event.status == "complete"
    block.args = event.args


def _on_citation(fold: Fold, event: CitationAdd) -> None:
    fold.citations.append((event.block, event.citation))


def _on_warning(fold: Fold, event: WarningEvent) -> None:
    fold.warnings.append(event)


def _on_failover(fold: Fold, event: Failover) -> None:
    fold.restarted = fold.restarted or bool(event.drop)
    for dropped in event.drop or ():
        fold.blocks.pop(dropped, None)
    fold.citations = [
        (block, citation)
        for block, citation in fold.citations
        if block is None or block in fold.blocks
    ]


def _on_end(fold: Fold, event: StreamEnd) -> None:
    fold.end = event


_HANDLERS: dict[type[Event], Callable[[Fold, Any], None]] = {
    StreamStart: _on_start,
    AttemptStart: _on_attempt_start,
    AttemptEnd: _on_attempt_end,
    RoutePlan: _on_plan,
    AttemptCommit: _on_commit,
    BlockStart: _on_block_start,
    TextDelta: _on_delta,
    ReasoningDelta: _on_delta,
    RefusalDelta: _on_delta,
    ToolDelta: _on_delta,
    FileDelta: _on_file,
    ReasoningSignature: _on_signature,
    BlockEnd: _on_block_end,
    CitationAdd: _on_citation,
    WarningEvent: _on_warning,
    Failover: _on_failover,
    StreamEnd: _on_end,
}


def _snapshot_block(block: FoldedBlock) -> SnapshotBlock:
    tool = block.start.kind is BlockKind.TOOL_CALL
    return SnapshotBlock(
        block=block.start.block,
        kind=block.start.kind,
        text=None if tool else block.text,
        args=(block.args if block.args is not None else block.text) if tool else None,
        call_id=block.start.call_id,
        name=block.start.name,
        done=block.done,
    )


def _retold(block: FoldedBlock) -> list[SequencedEvent | None]:
    """A block in at most four events."""
    name, text = block.start.block, block.text
    said: list[SequencedEvent | None] = [block.start]
    if text:
        said.append(_DELTAS[block.start.kind](name, text))
    said.append(block.signature)
    if block.done:
        status: Literal["complete", "incomplete"] = "complete" if block.complete else "incomplete"
        said.append(BlockEnd(block=name, status=status, args=block.args))
    return said


_DELTAS: dict[BlockKind, Callable[[str, str], SequencedEvent]] = {
    BlockKind.TEXT: TextDelta,
    BlockKind.REASONING: ReasoningDelta,
    BlockKind.REFUSAL: RefusalDelta,
    BlockKind.TOOL_CALL: ToolDelta,
    BlockKind.FILE: lambda block, data: FileDelta(block=block, data=data),
}
"""What a block's words come in; the kinds that are missing have none."""
