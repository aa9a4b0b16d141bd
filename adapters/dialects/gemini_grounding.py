"""Grounding metadata -> citations: which stretch of an answer rests on which source.

Google names the sources (`groundingChunks`) and the stretches (`groundingSupports`), whose offsets
are UTF-8 bytes from the start of a part. They become characters from the start of a block. Each
stretch repeats its words, so the offsets are checked against them, and where they do not fit, which
happens in answers of several parts (googleapis/python-genai#961), the words are looked for.

Left out: search queries, and Google's own search widget.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from adapters.events import Citation, CitationAdd


class Source(msgspec.Struct):
    """A page, place or document."""

    uri: str | None = None
    title: str | None = None


class _Chunk(msgspec.Struct, rename="camel"):
    web: Source | None = None
    maps: Source | None = None
    retrieved_context: Source | None = None


class Segment(msgspec.Struct, rename="camel"):
    """A stretch of the answer, in bytes."""

    start_index: int = 0
    end_index: int | None = None
    text: str | None = None


class _Support(msgspec.Struct, rename="camel"):
    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class _Grounding(msgspec.Struct, rename="camel"):
    grounding_chunks: list[_Chunk] | None = None
    grounding_supports: list[_Support] | None = None


def citations(
    metadata: Mapping[str, Any], texts: Mapping[str, str], attempt: int
) -> Iterator[CitationAdd]:
    """Every source, once for each stretch it supports; a source without one, once.

    `texts` are the answer's text blocks by id. Metadata that cannot be read gives none.
    """
    try:
        grounding = msgspec.convert(metadata, _Grounding)
    except msgspec.ValidationError:
        return
    for number, (chunk, segment) in enumerate(_pairs(grounding)):
        kind, source = _source(chunk)
        block, start, end = _place(segment, texts)
        citation = Citation(
            id=f"c{attempt}.{number}",
            kind=kind,
            url=source.uri,
            title=source.title,
            start=start,
            end=end,
            quote=segment.text if segment else None,
        )
        yield CitationAdd(block=block, citation=citation)


def _pairs(grounding: _Grounding) -> Iterator[tuple[_Chunk, Segment | None]]:
    chunks = grounding.grounding_chunks or []
    unused = dict(enumerate(chunks))
    for support in grounding.grounding_supports or ():
        for index in support.grounding_chunk_indices or ():
            if 0 <= index < len(chunks):
                unused.pop(index, None)
                yield chunks[index], support.segment
    for chunk in unused.values():
        yield chunk, None


def _source(chunk: _Chunk) -> tuple[Literal["url", "document"], Source]:
    if chunk.retrieved_context is not None:
        return "document", chunk.retrieved_context
    return "url", chunk.web or chunk.maps or Source()


def _place(
    segment: Segment | None, texts: Mapping[str, str]
) -> tuple[str | None, int | None, int | None]:
    """The block and the characters a segment is in; nothing where it is in none."""
    for block, text in texts.items():
        found = locate(segment, text) if segment else None
        if found is not None:
            return block, *found
    return None, None, None


def locate(segment: Segment, text: str) -> tuple[int, int] | None:
    """The character offsets of a segment in a text, None where it is not in there."""
    encoded = text.encode()
    start, end = segment.start_index, segment.end_index
    if end is not None and 0 <= start <= end <= len(encoded):
        before = encoded[:start].decode("utf-8", "ignore")
        piece = encoded[start:end].decode("utf-8", "ignore")
        if segment.text is None or piece == segment.text:
            return len(before), len(before) + len(piece)
    at = text.find(segment.text) if segment.text else -1
    return (at, at + len(segment.text)) if segment.text and at >= 0 else None
