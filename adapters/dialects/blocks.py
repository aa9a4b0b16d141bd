"""The account of an answer's blocks: ids, what is open, lengths and argument text.

A decoder names its blocks by a key of its own (an index of the wire format, a kind); this class
gives each one its stream-wide id `b<attempt>.<n>`, and writes the block events into the list the
decoder is filling. What it guarantees: every block that starts ends once, deltas are never empty
and match their block's kind, a tool call's end carries its whole argument string.
"""

from collections.abc import Hashable
from typing import Literal

import msgspec

from adapters.events import (
    AttemptEvent,
    BlockEnd,
    BlockKind,
    BlockStart,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolDelta,
)

_DELTA_OF_KIND = {
    BlockKind.TEXT: TextDelta,
    BlockKind.REASONING: ReasoningDelta,
    BlockKind.REFUSAL: RefusalDelta,
    BlockKind.TOOL_CALL: ToolDelta,
}
_RUNNING = (BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL)


class OpenBlock:
    """One block that has started and not ended."""

    __slots__ = ("args", "id", "kind", "length")

    def __init__(self, block_id: str, kind: BlockKind) -> None:
        """Start the account at nothing."""
        self.id = block_id
        self.kind = kind
        self.length = 0  # characters
        self.args: list[str] = []


class Blocks:
    """The blocks of one attempt."""

    def __init__(self, attempt: int) -> None:
        """`attempt` makes the ids unique in the stream."""
        self._attempt = attempt
        self._count = 0
        self._open: dict[Hashable, OpenBlock] = {}

    @property
    def count(self) -> int:
        """How many blocks have started."""
        return self._count

    def get(self, key: Hashable) -> OpenBlock | None:
        """The open block under `key`, if there is one."""
        return self._open.get(key)

    def start(
        self,
        out: list[AttemptEvent],
        key: Hashable,
        kind: BlockKind,
        *,
        call_id: str | None = None,
        name: str | None = None,
        form: Literal["raw", "summary", "redacted"] | None = None,
        media_type: str | None = None,
    ) -> OpenBlock:
        """Open a block under a key that is free."""
        block = OpenBlock(f"b{self._attempt}.{self._count}", kind)
        out.append(
            BlockStart(
                block=block.id,
                index=self._count,
                attempt=self._attempt,
                kind=kind,
                call_id=call_id,
                name=name,
                args_format="json" if kind is BlockKind.TOOL_CALL else None,
                form=form,
                media_type=media_type,
            )
        )
        self._count += 1
        self._open[key] = block
        return block

    def delta(self, out: list[AttemptEvent], block: OpenBlock, text: str) -> None:
        """Add text (or argument text) to an open block; empty text adds nothing."""
        if not text:
            return
        block.length += len(text)
        if block.kind is BlockKind.TOOL_CALL:
            block.args.append(text)
        out.append(_DELTA_OF_KIND[block.kind](block.id, text))

    def run(
        self,
        out: list[AttemptEvent],
        kind: BlockKind,
        text: str,
        form: Literal["raw", "summary"] | None = None,
    ) -> None:
        """Add text to the running block of `kind`, for formats whose blocks have no index.

        The key is the kind. Text of another running kind ends first, so that reasoning is over
        when the answer begins; tool calls stay open, since they may go on in parallel.
        """
        if not text:
            return
        block = self._open.get(kind)
        if block is None:
            self.end_runs(out)
            block = self.start(out, kind, kind, form=form)
        # `delta` without the call: this is where every token of a chat answer passes.
        block.length += len(text)
        out.append(_DELTA_OF_KIND[kind](block.id, text))

    def end_runs(self, out: list[AttemptEvent]) -> None:
        """End the running text, reasoning or refusal block, if one is open."""
        # Not a search of what is open: a chat answer's tool calls all stay open to its end.
        for kind in _RUNNING:
            self.end(out, kind)

    def end(self, out: list[AttemptEvent], key: Hashable, *, complete: bool = True) -> None:
        """End the block under `key`; a key that is not open is no fault.

        A tool call without any argument text means no arguments: `{}`.
        """
        block = self._open.pop(key, None)
        if block is None:
            return
        status: Literal["complete", "incomplete"] = "complete" if complete else "incomplete"
        if block.kind is BlockKind.TOOL_CALL:
            args = "".join(block.args) or ("{}" if complete else "")
            out.append(
                BlockEnd(block=block.id, status=status, args=args, args_valid=is_json_object(args))
            )
        elif block.kind in _DELTA_OF_KIND:
            out.append(BlockEnd(block=block.id, status=status, text_len=block.length))
        else:
            out.append(BlockEnd(block=block.id, status=status))

    def end_all(self, out: list[AttemptEvent], *, complete: bool = True) -> None:
        """End every open block, oldest first."""
        for key in list(self._open):
            self.end(out, key, complete=complete)


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_json_object(text: str) -> bool:
    """Whether a tool call's argument text is a JSON object; one too deep to read is none."""
    try:
        _OBJECT.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
