"""OpenAI Responses, and what Perplexity, DeepSeek and xAI do differently in it.

Every event carries a sequence number; every item is added, filled and done, and repeated whole in
the last event. What it leaves out: built-in tools but Perplexity's search, and the forty fields of
a response object that nobody reads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.double.answer import Answer, Citation, Part, Reasoning, Refusal, Text, Tokens, ToolCall
from tests.double.errors import ErrorAnswer, Kind
from tests.double.wire.scribe import CREATED, Ask, event

Annotation = dict[str, Any]


def plain_usage(tokens: Tokens) -> dict[str, Any]:
    """OpenAI: inclusive counts."""
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }


def perplexity_usage(tokens: Tokens) -> dict[str, Any]:
    """With the bill in dollars (perplexity/vercel-ai.agent-web-search)."""
    return {**plain_usage(tokens), "cost": {"currency": "USD", "total_cost": tokens.cost_usd}}


def grok_usage(tokens: Tokens) -> dict[str, Any]:
    """With the bill in ticks of 10^-10 dollars."""
    return {**plain_usage(tokens), "cost_in_usd_ticks": round(tokens.cost_usd * 10**10)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manner:
    """How one provider speaks Responses. The defaults are OpenAI's own."""

    reasoning: Literal["summary", "text"] = "summary"
    """As summary parts, or as content parts (DeepSeek)."""
    content_parts: bool = True
    """Announces a message's content parts; Perplexity does not."""
    search: bool = False
    """Tells sources as a search before the text instead of by annotations (Perplexity)."""
    usage: Callable[[Tokens], dict[str, Any]] = plain_usage


_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesScribe:
    """Writes Responses events."""

    def __init__(self, answer: Answer, ask: Ask, manner: Manner) -> None:
        """Begin an answer in one provider's manner."""
        self.answer = answer
        self._ask = ask
        self._manner = manner
        self._sequence = -1
        self._items: list[dict[str, Any]] = []
        """What is done."""
        self._open: dict[str, Any] = {}
        """The item being filled."""

    def start(self) -> Iterator[bytes]:
        for name in ("created", "in_progress"):
            yield self._event(f"response.{name}", response=self._response("in_progress"))

    def opening(self, part: Part) -> Iterator[bytes]:
        if isinstance(part, Text) and part.citations and self._manner.search:
            yield from self._search(part.citations)
        self._open = self._item(part)
        yield self._event("response.output_item.added", output_index=self._index, item=self._open)
        if self._summarizes(part):
            yield self._in_item(
                "reasoning_summary_part.added",
                summary_index=0,
                part={"type": "summary_text", "text": ""},
            )
        elif self._has_parts(part):
            yield self._in_item("content_part.added", content_index=0, part=_content(part, ""))

    def piece(self, part: Part, text: str) -> Iterator[bytes]:
        name = _DELTA[type(part)]
        if isinstance(part, ToolCall):
            yield self._in_item(f"{name}.delta", delta=text)
        elif self._summarizes(part):
            yield self._in_item("reasoning_summary_text.delta", summary_index=0, delta=text)
        else:
            yield self._in_item(f"{name}.delta", content_index=0, delta=text)

    def closing(self, part: Part, whole: str) -> Iterator[bytes]:
        name = _DELTA[type(part)]
        if isinstance(part, ToolCall):
            if not whole:
                yield from self.piece(part, "{}")
            yield self._in_item(f"{name}.done", arguments=whole or "{}")
        elif self._summarizes(part):
            said = {"type": "summary_text", "text": whole}
            yield self._in_item("reasoning_summary_text.done", summary_index=0, text=whole)
            yield self._in_item("reasoning_summary_part.done", summary_index=0, part=said)
        else:
            for number, annotation in enumerate(self._annotations(part)):
                yield self._in_item(
                    "output_text.annotation.added",
                    content_index=0,
                    annotation_index=number,
                    annotation=annotation,
                )
            field = "refusal" if isinstance(part, Refusal) else "text"
            yield self._in_item(f"{name}.done", content_index=0, **{field: whole})
            if self._has_parts(part):
                done = _content(part, whole, self._annotations(part))
                yield self._in_item("content_part.done", content_index=0, part=done)
        item = {**self._open, **self._filled(part, whole)}
        yield self._event("response.output_item.done", output_index=self._index, item=item)
        self._items.append(item)

    def ending(self) -> Iterator[bytes]:
        why = self.answer.why
        status = "incomplete" if why in _INCOMPLETE else "completed"
        details = {"reason": _INCOMPLETE[why]} if why in _INCOMPLETE else None
        response = self._response(status)
        response["incomplete_details"] = details
        response["usage"] = self._manner.usage(self.answer.tokens)
        yield self._event(f"response.{status}", response=response)

    def failure(self, kind: Kind, error: ErrorAnswer) -> Iterator[bytes]:
        said = error.body["error"]
        if isinstance(said, str):  # xAI's error is a string
            said = {"message": said, "code": error.body.get("code"), "type": kind.value}
        yield self._event("error", error=said)
        response = self._response("failed")
        response["error"] = {"code": said.get("code") or said["type"], "message": said["message"]}
        yield self._event("response.failed", response=response)

    @property
    def _index(self) -> int:
        return len(self._items)

    def _summarizes(self, part: Part) -> bool:
        return isinstance(part, Reasoning) and self._manner.reasoning == "summary"

    def _has_parts(self, part: Part) -> bool:
        return not isinstance(part, ToolCall) and self._manner.content_parts

    def _item(self, part: Part) -> dict[str, Any]:
        """The item as it is added, with nothing in it."""
        match part:
            case Reasoning():
                item: dict[str, Any] = {"id": f"rs_double{self._index}", "type": "reasoning"}
                return {**item, "summary": [], **self._encrypted(part)}
            case ToolCall():
                return {
                    "id": f"fc_double{self._index}",
                    "type": "function_call",
                    "status": "in_progress",
                    "arguments": "",
                    "call_id": part.call_id or f"call_double{self._index}",
                    "name": part.name,
                }
            case _:
                return {
                    "id": f"msg_double{self._index}",
                    "type": "message",
                    "status": "in_progress",
                    "content": [],
                    "role": "assistant",
                }

    def _filled(self, part: Part, whole: str) -> dict[str, Any]:
        """What changes in the item when it is done."""
        match part:
            case Reasoning() if self._summarizes(part):
                return {"summary": [{"type": "summary_text", "text": whole}]}
            case Reasoning():
                return {"content": [{"type": "reasoning_text", "text": whole}]}
            case ToolCall():
                return {"status": "completed", "arguments": whole or "{}"}
            case _:
                content = _content(part, whole, self._annotations(part))
                return {"status": "completed", "content": [content]}

    def _encrypted(self, part: Reasoning) -> dict[str, str]:
        if part.signature is None or not self._ask.encrypted:
            return {}
        return {"encrypted_content": part.signature}

    def _annotations(self, part: Part) -> list[Annotation]:
        if not isinstance(part, Text) or self._manner.search:
            return []
        return [
            {
                "type": "url_citation",
                "start_index": citation.start,
                "end_index": citation.end,
                "title": citation.title,
                "url": citation.url,
            }
            for citation in part.citations
        ]

    def _search(self, citations: tuple[Citation, ...]) -> Iterator[bytes]:
        results = [
            {
                "id": number,
                "url": citation.url,
                "title": citation.title,
                "snippet": citation.quote,
                "source": "web",
            }
            for number, citation in enumerate(citations, 1)
        ]
        call, queries = "call_search0", ["double"]
        # The provider's own search is announced as a call, finished before it is heard of.
        asked = {
            "id": "fc_search0",
            "type": "function_call",
            "status": "completed",
            "arguments": '{"queries":["double"]}',
            "call_id": call,
            "name": "search_web",
        }
        yield self._event("response.output_item.added", output_index=self._index, item=asked)
        yield self._event(
            "response.reasoning.search_queries", call_id=call, queries=queries, thought="Searching"
        )
        yield self._event("response.reasoning.search_results", call_id=call, results=results)
        item = {"type": "search_results", "queries": queries, "results": results}
        yield self._event("response.output_item.done", output_index=self._index, item=item)
        self._items.append(item)

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": "resp_double",
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self._ask.model,
            "output": list(self._items),
            "parallel_tool_calls": True,
            "temperature": 1,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1,
            "usage": None,
        }

    def _in_item(self, name: str, **fields: object) -> bytes:
        return self._event(
            f"response.{name}", item_id=self._open["id"], output_index=self._index, **fields
        )

    def _event(self, name: str, **fields: object) -> bytes:
        self._sequence += 1
        return event(name, {"type": name, "sequence_number": self._sequence, **fields})


_DELTA: dict[type[Part], str] = {
    Text: "output_text",
    Refusal: "refusal",
    Reasoning: "reasoning_text",
    ToolCall: "function_call_arguments",
}


def _content(part: Part, whole: str, annotations: Sequence[Annotation] = ()) -> dict[str, Any]:
    """A content part, as it is announced and as it is done."""
    match part:
        case Refusal():
            return {"type": "refusal", "refusal": whole}
        case Reasoning():
            return {"type": "reasoning_text", "text": whole}
        case Text() | ToolCall():
            said = {"annotations": list(annotations), "logprobs": [], "text": whole}
            return {"type": "output_text", **said}
