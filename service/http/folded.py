"""A stream as one JSON answer: the same request, folded.

Non-streaming is a fold of the stream, never a second path to the provider. If content was committed
the answer is 200 whatever happened then, with `status` and `error` saying so; before that a failure
is the HTTP error.
"""

from typing import Any

import msgspec
from aiohttp import web

from adapters.errors import make
from adapters.events import AttemptSummary, BlockKind, Error, ErrorCode, Phase, StreamEnd
from service.http import problems
from service.http.json_answer import json_answer
from service.streams.fold import Fold
from service.streams.stream import Stream


async def answer(stream: Stream) -> web.Response:
    """Wait for the stream's end and answer with its fold. The caller has attached."""
    await stream.over()
    fold = stream.log.fold()
    end = fold.end
    if end is None:
        return problems.response(make(ErrorCode.INTERNAL, "the stream has no end"))
    error = stream.failed_before_content
    if error is not None:
        return failure(stream, error)
    return json_answer(document(stream.id, fold, end), headers=headers(stream, end))


def failure(stream: Stream, error: Error) -> web.Response:
    """The HTTP error of a stream that ended before any content."""
    placed = msgspec.structs.replace(error, phase=Phase.BEFORE_STREAM)
    return problems.response(placed, headers={"Tailrace-Stream-Id": stream.id})


def headers(stream: Stream, end: StreamEnd) -> dict[str, str]:
    """What a JSON answer says about itself."""
    named = {"Tailrace-Stream-Id": stream.id}
    if end.provider is not None and end.model is not None:
        named["Tailrace-Provider"] = end.provider
        named["Tailrace-Model"] = end.model
    return named


def document(stream_id: str, fold: Fold, end: StreamEnd) -> dict[str, Any]:
    """The folded answer, as the public interface fixes it."""
    folded: dict[str, Any] = {
        "id": stream_id,
        "status": end.status,
        "finish": end.finish,
        "content": fold.text(BlockKind.TEXT),
        "reasoning": fold.text(BlockKind.REASONING),
        "tool_calls": fold.tool_calls(),
        "citations": [msgspec.to_builtins(citation) for _, citation in fold.citations],
        "provider": end.provider,
        "model": end.model,
        "usage": msgspec.to_builtins(end.usage),
        "cost_usd": end.usage.cost_usd,
        "timing": msgspec.to_builtins(end.timing),
        "attempts": [_attempt(summary) for summary in end.attempts],
        "route": msgspec.to_builtins(fold.plan) if fold.plan is not None else None,
        "warnings": [msgspec.to_builtins(warning) for warning in fold.warnings],
    }
    refusal = fold.text(BlockKind.REFUSAL)
    if refusal:
        folded["refusal"] = refusal
    if end.error is not None:
        folded["error"] = problems.body(end.error)
    return folded


def _attempt(summary: AttemptSummary) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(summary)
    if summary.error is not None:
        shown["error"] = problems.body(summary.error)
    return shown
