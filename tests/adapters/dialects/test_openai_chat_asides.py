"""Asides on their own: what is told, in which words, and that it is told once."""

import pytest

from adapters.dialects.openai_chat_asides import Asides, flagged
from adapters.events import AttemptEvent, Citation, CitationAdd, Meta, SafetyFlag


def test_facts_are_told_once_and_empty_ones_never() -> None:
    asides = Asides("acme")
    out: list[AttemptEvent] = []
    asides.facts(out, {"system_fingerprint": "", "service_tier": None, "provider": "Novita"})
    asides.facts(out, {"system_fingerprint": "fp_1", "provider": "Novita"})
    asides.facts(out, {"system_fingerprint": "fp_2"})
    assert out == [
        Meta(key="served_by", value="Novita"),
        Meta(key="system_fingerprint", value="fp_1"),
    ]


def test_annotations_may_be_flat_or_nested_and_count_up() -> None:
    asides = Asides("acme")
    out: list[AttemptEvent] = []
    nested = {"type": "url_citation", "url_citation": {"url": "https://a.test", "title": "A"}}
    flat = {"type": "url_citation", "url": "https://b.test", "start_index": 3, "end_index": 5}
    nowhere = {"type": "url_citation", "url_citation": {"title": "No address"}}
    asides.annotations(out, [nested, flat, nested, nowhere, {"url_citation": 1}], "b1.0")
    assert out == [
        CitationAdd(
            block="b1.0", citation=Citation(id="1", kind="url", url="https://a.test", title="A")
        ),
        CitationAdd(
            block="b1.0",
            citation=Citation(id="2", kind="url", url="https://b.test", start=3, end=5),
        ),
    ]


def test_one_address_cited_at_two_places_is_told_twice() -> None:
    asides = Asides("acme")
    out: list[AttemptEvent] = []
    places = [
        {"url": "https://a.test", "start_index": start, "end_index": start + 2} for start in (0, 4)
    ]
    asides.annotations(out, places, None)
    assert len(out) == 2


def test_a_search_result_says_more_than_its_address_and_is_told_instead() -> None:
    asides = Asides("acme")
    out: list[AttemptEvent] = []
    result = {"title": "A", "url": "https://a.test", "snippet": "..."}
    asides.sources(
        out, {"search_results": [result], "citations": ["https://a.test", "https://b.test"]}
    )
    kinds = [event.citation.kind for event in out if isinstance(event, CitationAdd)]
    assert kinds == ["search_result", "url"]


@pytest.mark.parametrize(
    ("results", "found"),
    [
        ({"hate": {"filtered": False, "severity": "safe"}}, []),
        ({"hate": {"filtered": False, "severity": "low"}}, [("hate", "low", "annotated")]),
        ({"hate": {"filtered": True, "severity": "high"}}, [("hate", "high", "blocked")]),
        ({"jailbreak": {"filtered": False, "detected": False}}, []),
        ({"jailbreak": {"filtered": False, "detected": True}}, [("jailbreak", None, "annotated")]),
        ({"error": {"code": "content_filter_error", "message": "timed out"}}, []),
        ({"custom_blocklists": []}, []),
        (None, []),
    ],
)
def test_verdict(results: object, found: list[tuple[str, str | None, str]]) -> None:
    assert flagged(results) == found


def test_the_same_verdict_on_prompt_and_answer_is_told_of_both() -> None:
    asides = Asides("acme")
    out: list[AttemptEvent] = []
    verdict = {"hate": {"filtered": True, "severity": "high"}}
    asides.verdicts(out, "input", verdict)
    asides.verdicts(out, "output", verdict)
    asides.verdicts(out, "output", verdict)
    assert [event.where for event in out if isinstance(event, SafetyFlag)] == ["input", "output"]
