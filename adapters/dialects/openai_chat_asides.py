"""What comes beside a chat-completions answer: sources, safety verdicts, facts worth keeping.

Providers repeat these, Sonar all its sources on every chunk and Azure its verdicts; each is told
once. An `Asides` lives as long as its decoder.
"""

from collections.abc import Hashable
from typing import Any, Final, Literal

import msgspec

from adapters.events import AttemptEvent, Citation, CitationAdd, Meta, SafetyFlag

_META: Final[dict[str, str]] = {
    "system_fingerprint": "system_fingerprint",
    "service_tier": "service_tier",
    "provider": "served_by",  # OpenRouter: who really answered
}


class Asides:
    """Tells each aside of one answer once."""

    def __init__(self, provider: str) -> None:
        """`provider` is whose safety system speaks."""
        self._provider = provider
        self._told: set[Hashable] = set()
        self._sources = 0

    def facts(self, out: list[AttemptEvent], chunk: dict[str, Any]) -> None:
        """Fingerprint, service tier, and who served a hub's answer."""
        for field, key in _META.items():
            value = text(chunk.get(field))
            if value and self._is_new(key):
                out.append(Meta(key=key, value=value))

    def annotations(self, out: list[AttemptEvent], given: object, block: str | None) -> None:
        """`url_citation`s of the text in `block`, as OpenRouter sends them; 0 to 0 is nowhere."""
        for annotation in objects(given):
            cited = annotation.get("url_citation", annotation)
            if not isinstance(cited, dict) or not text(cited.get("url")):
                continue
            start, end = cited.get("start_index"), cited.get("end_index")
            placed = isinstance(start, int) and isinstance(end, int) and start < end
            citation = Citation(
                id="",
                kind="url",
                url=cited["url"],
                title=text(cited.get("title")) or None,
                start=start if placed else None,
                end=end if placed else None,
                quote=text(cited.get("content")) or None,
            )
            self._cite(out, citation, block)

    def sources(self, out: list[AttemptEvent], chunk: dict[str, Any]) -> None:
        """Sonar's sources; the `[n]` in its text counts them from 1, as their ids do."""
        for result in objects(chunk.get("search_results")):
            citation = Citation(
                id="",
                kind="search_result",
                url=text(result.get("url")),
                title=text(result.get("title")) or None,
                quote=text(result.get("snippet")) or None,
            )
            self._cite(out, citation, None)
        urls = chunk.get("citations")
        for url in urls if isinstance(urls, list) else ():
            self._cite(out, Citation(id="", kind="url", url=text(url)), None)

    def _cite(self, out: list[AttemptEvent], citation: Citation, block: str | None) -> None:
        place = (citation.url, citation.start, citation.end)
        if citation.url and self._is_new(place):
            self._sources += 1
            numbered = msgspec.structs.replace(citation, id=str(self._sources))
            out.append(CitationAdd(block=block, citation=numbered))

    def verdicts(
        self, out: list[AttemptEvent], where: Literal["input", "output"], results: object
    ) -> None:
        """What Azure's content filter holds against the prompt or the answer."""
        for category, severity, action in flagged(results):
            if self._is_new((where, category, severity, action)):
                flag = SafetyFlag(
                    where=where,
                    provider=self._provider,
                    category=category,
                    severity=severity,
                    action=action,
                )
                out.append(flag)

    def _is_new(self, fact: Hashable) -> bool:
        """Whether a fact was not told yet; from now on it was."""
        if fact in self._told:
            return False
        self._told.add(fact)
        return True


def flagged(results: object) -> list[tuple[str, str | None, Literal["blocked", "annotated"]]]:
    """The findings among filter results: (category, severity, action). Clean ones are none."""
    findings: list[tuple[str, str | None, Literal["blocked", "annotated"]]] = []
    for category, verdict in results.items() if isinstance(results, dict) else ():
        if not isinstance(verdict, dict):
            continue
        severity = text(verdict.get("severity")) or None
        if verdict.get("filtered") is True:
            findings.append((category, severity, "blocked"))
        elif verdict.get("detected") is True or severity not in (None, "safe"):
            findings.append((category, severity, "annotated"))
    return findings


def text(value: object) -> str:
    """A provider's string; anything else is none."""
    return value if isinstance(value, str) else ""


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a provider's list; anything else holds none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
