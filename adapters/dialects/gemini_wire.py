"""What generateContent puts on the wire, as types, and its counts and arguments in our terms.

Only what is read is declared; field names are camelCase there. What is passed on unread is Any or a
plain object: a surprise there must not cost the answer.

Source: the types of google-genai 3.4, and the recordings of gemini/.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import msgspec

from adapters import surrogates
from adapters.events import Usage, UsageSource

# --- Chunks ---------------------------------------------------------------------------------


class PartialArg(msgspec.Struct, rename="camel"):
    """A piece of one argument: a value at a JSON path."""

    json_path: str
    string_value: str | None = None
    number_value: int | float | None = None
    bool_value: bool | None = None
    null_value: Any = msgspec.UNSET
    """Set, to whatever, where the value is null."""
    will_continue: bool | None = None


class FunctionCall(msgspec.Struct, rename="camel"):
    """A call: whole, or on Vertex also piece by piece while `will_continue` holds."""

    id: str | None = None
    name: str | None = None
    args: dict[str, Any] | None = None
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class Blob(msgspec.Struct, rename="camel"):
    """A file, inline or by address."""

    mime_type: str | None = None
    data: str | None = None
    file_uri: str | None = None


class Part(msgspec.Struct, rename="camel"):
    """A piece of the answer, of one kind."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    file_data: Blob | None = None
    executable_code: dict[str, Any] | None = None
    code_execution_result: dict[str, Any] | None = None
    tool_call: dict[str, Any] | None = None
    tool_response: dict[str, Any] | None = None


class Content(msgspec.Struct):
    """The pieces a chunk brings."""

    parts: list[Part] | None = None


class Rating(msgspec.Struct):
    """What the safety system thinks of one category."""

    category: str | None = None
    probability: str | None = None
    blocked: bool | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers; there is only ever the first."""

    content: Content | None = None
    finish_reason: str | None = None
    index: int | None = None
    safety_ratings: list[Rating] | None = None
    grounding_metadata: dict[str, Any] | None = None


class PromptFeedback(msgspec.Struct, rename="camel"):
    """Why there is no answer."""

    block_reason: str | None = None
    safety_ratings: list[Rating] | None = None


class Chunk(msgspec.Struct, rename="camel"):
    """One message of the stream."""

    candidates: list[Candidate] | None = None
    usage_metadata: dict[str, Any] | None = None
    prompt_feedback: PromptFeedback | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


_CHUNKS: Final[msgspec.json.Decoder[Chunk | list[Chunk]]] = msgspec.json.Decoder(
    Chunk | list[Chunk]
)


class UnreadableError(ValueError):
    """A payload that is no chunk, or arguments that fit together to no object."""


def read(data: bytes) -> list[Chunk]:
    """The chunk of a payload; without `alt=sse`, and in some errors, it stands in a list.

    Raises UnreadableError.
    """
    try:
        return _read(data)
    except UnreadableError:
        whole = surrogates.mended(data)
        if whole is None:
            raise
        return _read(whole)


def _read(data: bytes) -> list[Chunk]:
    try:
        chunks = _CHUNKS.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnreadableError from error
    return chunks if isinstance(chunks, list) else [chunks]


# --- Usage ----------------------------------------------------------------------------------


def usage_of(raw: Mapping[str, Any]) -> Usage:
    """The provider's counts in the schema's arithmetic: thoughts and tool results included."""
    return Usage(
        input=_sum(raw, "promptTokenCount", "toolUsePromptTokenCount"),
        input_cached=_count(raw, "cachedContentTokenCount"),
        input_cache_write=None,
        output=_sum(raw, "candidatesTokenCount", "thoughtsTokenCount"),
        output_reasoning=_count(raw, "thoughtsTokenCount"),
        total=_count(raw, "totalTokenCount"),
        requests=1,
        source=UsageSource.PROVIDER,
        raw=dict(raw),
    )


def _count(raw: Mapping[str, Any], name: str) -> int | None:
    value = raw.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _sum(raw: Mapping[str, Any], *names: str) -> int | None:
    """The sum of the counts that are there: the API leaves a count out where it is 0."""
    counts = [count for name in names if (count := _count(raw, name)) is not None]
    return sum(counts) if counts else None


# --- Arguments in pieces --------------------------------------------------------------------


_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")


class Arguments:
    """The arguments of one call, put together from values at JSON paths (RFC 9535).

    They become text only when the call is whole: paths may come in any order, so the text of a
    part of them need not be the beginning of the text of all.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.value: dict[str, Any] = {}
        self._continuing: set[str] = set()

    def add(self, piece: PartialArg) -> None:
        """Set the value at the path, or go on with the string there.

        Raises UnreadableError where the path leads nowhere.
        """
        steps = list(_steps(piece.json_path))
        holder: Any = self.value
        for step, following in pairwise(steps):
            holder = _descend(holder, step, [] if isinstance(following, int) else {})
        value = _value(piece)
        if piece.json_path in self._continuing and isinstance(value, str):
            before = _descend(holder, steps[-1], "")
            value = before + value if isinstance(before, str) else value
        _put(holder, steps[-1], value)
        if piece.will_continue:
            self._continuing.add(piece.json_path)
        else:
            self._continuing.discard(piece.json_path)


def _value(piece: PartialArg) -> str | int | float | bool | None:
    for value in (piece.string_value, piece.number_value, piece.bool_value):
        if value is not None:
            return value
    # A string whose text is still to come has no value at all yet.
    return None if piece.null_value is not msgspec.UNSET else ""


def _steps(path: str) -> Iterator[str | int]:
    at = 1
    if not path.startswith("$") or len(path) == 1:
        raise UnreadableError
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise UnreadableError
        name, index, quoted, double_quoted = match.groups()
        yield int(index) if index is not None else name or quoted or double_quoted or ""
        at = match.end()


def _descend(holder: object, step: str | int, default: object) -> object:
    """What is at `step`; `default` is put there if nothing is."""
    if isinstance(holder, dict) and isinstance(step, str):
        return holder.setdefault(step, default)
    if isinstance(holder, list) and isinstance(step, int) and step <= len(holder):
        if step == len(holder):
            holder.append(default)
        return holder[step]
    raise UnreadableError


def _put(holder: object, step: str | int, value: object) -> None:
    _descend(holder, step, value)
    holder[step] = value  # type: ignore[index]  # _descend has checked that they fit
