"""Grounding metadata: offsets in bytes become offsets in characters, or none."""

from typing import Any

import pytest

from adapters.dialects.gemini_grounding import Segment, citations, locate
from adapters.events import Citation

TEXT = "Żółw: 69°F. Done."


def cite(texts: dict[str, str] | None = None, **metadata: Any) -> list[Citation]:  # noqa: ANN401 - any JSON
    added = list(citations(metadata, texts or {"b1.0": TEXT}, 1))
    return [event.citation for event in added]


def page(uri: str) -> dict[str, Any]:
    return {"web": {"uri": uri, "title": uri.upper()}}


def support(words: str, *indices: int, start: int = 0, end: int | None = None) -> dict[str, Any]:
    segment = {"startIndex": start, "endIndex": end, "text": words}
    return {"segment": segment, "groundingChunkIndices": list(indices)}


@pytest.mark.parametrize(
    ("start", "end", "words", "found"),
    [
        (0, 7, "Żółw", (0, 4)),
        (9, 14, "69°F", (6, 10)),
        (0, 4, "Done.", (12, 17)),  # the offsets are of another part
        (0, 10**9, "Done.", (12, 17)),
        (0, None, "Done.", (12, 17)),
        (9, 14, None, (6, 10)),
        (0, 4, "nowhere", None),
        (0, None, None, None),
    ],
)
def test_a_segment_is_found_by_its_bytes_or_by_its_words(
    start: int, end: int | None, words: str | None, found: tuple[int, int] | None
) -> None:
    assert locate(Segment(start, end, words), TEXT) == found


def test_a_source_is_cited_for_each_stretch_it_supports() -> None:
    cited = cite(
        groundingChunks=[page("a"), page("b")],
        groundingSupports=[support("69°F", 0, 1, start=9, end=14), support("Done.", 0)],
    )
    assert [(one.id, one.url, one.quote) for one in cited] == [
        ("c1.0", "a", "69°F"),
        ("c1.1", "b", "69°F"),
        ("c1.2", "a", "Done."),
    ]
    assert [(one.start, one.end) for one in cited] == [(6, 10), (6, 10), (12, 17)]


def test_a_source_that_supports_no_stretch_is_cited_all_the_same() -> None:
    [cited] = cite(groundingChunks=[page("a")], groundingSupports=[support("Done.", 7, -1)])
    assert (cited.url, cited.start, cited.quote) == ("a", None, None)


def test_places_are_pages_and_retrieved_documents_are_documents() -> None:
    cited = cite(groundingChunks=[{"maps": {"uri": "m"}}, {"retrievedContext": {"uri": "d"}}, {}])
    assert [(one.kind, one.url) for one in cited] == [
        ("url", "m"),
        ("document", "d"),
        ("url", None),
    ]


def test_a_stretch_is_looked_for_in_every_block() -> None:
    metadata = {"groundingChunks": [page("a")], "groundingSupports": [support("Done.", 0)]}
    [added] = citations(metadata, {"b1.0": "One.", "b1.2": "All is Done."}, 1)
    assert (added.block, added.citation.start) == ("b1.2", 7)


@pytest.mark.parametrize("chunks", [3, [3], {"web": 1}])
def test_metadata_that_cannot_be_read_cites_nothing(chunks: object) -> None:
    assert cite(groundingChunks=chunks) == []
