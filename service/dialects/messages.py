"""Anthropic's Messages API, for clients that speak it: `POST /v1/messages`.

Reading is `messages_request`, the stream `messages_projection`; here they are put together, and the
answer in one is made: the fold of the stream as a message. Both show the same blocks, except that
whoever gets the whole also gets sources that were named late, and no call that was cut off.

Agents that speak nothing else (many system blocks, many tools, headers of beta features) are who
this is for: the headers are not looked at, and neither are fields that only Anthropic's own servers
could honour.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final

from adapters.events import BlockKind, Error, StreamEnd
from service.dialects import messages_request, messages_words
from service.dialects.messages_projection import MessagesProjection, Thoughts, message_id
from service.dialects.projection import Asked, Named
from service.dialects.seal import sealed
from service.routing import estimate
from service.streams.fold import Fold, FoldedBlock


class Messages:
    """The dialect."""

    name: ClassVar[str] = "anthropic-messages"

    def read(self, body: Mapping[str, Any], routing: Mapping[str, Any]) -> Asked:
        """See `messages_request.read`."""
        chat, streams = messages_request.read(body, routing)
        return Asked(chat=chat, streams=streams, body={"thinking": body.get("thinking")})

    def projection(self, asked: Asked, named: Named) -> MessagesProjection:
        """A view for one reader, from the stream's beginning."""
        return MessagesProjection(asked.chat, named, _thoughts(asked.body))

    def document(self, asked: Asked, named: Named, fold: Fold, end: StreamEnd) -> dict[str, Any]:
        """The whole answer as one message.

        Raises UpstreamError where it holds a call that the format cannot tell.
        """
        said = {block.start.kind for block in fold.blocks.values() if _is_whole(block)}
        return {
            "id": message_id(named.stream),
            "type": "message",
            "role": "assistant",
            "model": named.model,
            "content": list(_content(fold, _thoughts(asked.body))),
            **messages_words.stop(end, said),
            "usage": messages_words.usage_of(end.usage, estimate.input_tokens(asked.chat)),
        }

    def failure(self, error: Error) -> dict[str, Any]:
        """An error before there was a stream to name."""
        return messages_words.error_body(error, None)


def _is_whole(block: FoldedBlock) -> bool:
    """Whether a block is told, and came to its end; a call may well have no arguments."""
    return block.complete and (bool(block.parts) or block.start.kind is BlockKind.TOOL_CALL)


def _thoughts(body: Mapping[str, Any]) -> Thoughts:
    """What a request that was read asks to be shown of the thinking."""
    thinking = body.get("thinking") or {}
    if thinking.get("type") not in ("enabled", "adaptive"):
        return Thoughts.HIDDEN
    return Thoughts.SIGNED if thinking.get("display") == "omitted" else Thoughts.WHOLE


# --- The content of a whole answer ----------------------------------------------------------

_Block = dict[str, Any]


def _content(fold: Fold, thoughts: Thoughts) -> Iterator[_Block]:
    for name, block in fold.blocks.items():
        write = _WRITERS.get(block.start.kind)
        if write is not None:
            cited = [citation for of, citation in fold.citations if of == name]
            shown = filter(None, map(messages_words.citation, cited))
            yield from write(block, thoughts, list(shown))


def _text(block: FoldedBlock, thoughts: Thoughts, citations: list[_Block]) -> Iterator[_Block]:
    if block.text:
        cited = {"citations": citations} if citations else {}
        yield {"type": "text", "text": block.text, **cited}
    if thoughts is not Thoughts.HIDDEN:
        yield from _aside(block)


def _call(block: FoldedBlock, _: Thoughts, __: list[_Block]) -> Iterator[_Block]:
    if block.complete:
        yield from _aside(block)
        named = {"id": block.start.call_id, "name": block.start.name}
        yield {"type": "tool_use", **named, "input": messages_words.arguments(block.args or "")}


def _thought(block: FoldedBlock, thoughts: Thoughts, _: list[_Block]) -> Iterator[_Block]:
    if thoughts is Thoughts.HIDDEN:
        return
    text = block.text if thoughts is Thoughts.WHOLE else ""
    if block.start.form == "redacted" and not text:
        yield from _aside(block)
    elif text or block.signature is not None:
        signed = messages_words.UNSIGNED if block.signature is None else sealed(block.signature)
        yield {"type": "thinking", "thinking": text, "signature": signed}


def _aside(block: FoldedBlock) -> Iterator[_Block]:
    """The signature of what has no field for one."""
    if block.signature is not None:
        data = messages_words.signature_data(block.signature, block.start.call_id)
        yield {"type": "redacted_thinking", "data": data}


_WRITERS: Final[
    Mapping[BlockKind, Callable[[FoldedBlock, Thoughts, list[_Block]], Iterator[_Block]]]
] = {
    BlockKind.TEXT: _text,
    BlockKind.REFUSAL: _text,
    BlockKind.REASONING: _thought,
    BlockKind.TOOL_CALL: _call,
}
