"""`tailrace plan`: the decision of a running service about a question, readable.

It prints the answer of `POST /v1/plan`: what rules it, who may answer in which order at what cost
and after how long, and who was passed over and why. What is unknown is a dash, never a zero.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

UNKNOWN = "-"

Fields = Mapping[str, Any]
"""A JSON object of the answer."""


def lines(plan: Fields) -> Iterator[str]:
    """The answer of `POST /v1/plan` for a person, line by line."""
    yield _rule(plan)
    yield _latency(plan)
    yield f"about {plan['input_tokens']} tokens in and {plan['output_tokens']} out"
    if (preferred := plan.get("preferred")) is not None:
        yield f"first choice: {_name(preferred)}: {_why(preferred)}"
    yield ""
    candidates = (_row(place, entry) for place, entry in enumerate(plan["candidates"], start=1))
    yield from _table([("", "candidate", "cost", "first token", ""), *candidates])
    if plan["skipped"]:
        yield ""
        yield from _table([("", "skipped", "because"), *map(_skip, plan["skipped"])])


def _rule(plan: Fields) -> str:
    cap = "no cap" if plan["cap_usd"] is None else f"at most ${plan['cap_usd']}"
    return f"{plan['policy']}: {plan['use_case']}, {plan['budget_tier']}, {cap}"


def _latency(plan: Fields) -> str:
    latency = plan["latency"]
    most = latency["max_attempts"]
    attempts = f"{most} attempt{'' if most == 1 else 's'} at most"
    if latency["width"] > 1:
        return f"{latency['strategy']}: {latency['width']} at once, {attempts}"
    if latency["hedge_after_ms"] is not None:
        silence = f"another one after {latency['hedge_after_ms']} ms of silence"
        return f"{latency['strategy']}: {silence}, {attempts}"
    if latency["strategy"] == "race":
        return f"race: {_why_alone(plan)}, {attempts}"
    return f"{latency['strategy']}: {attempts}"


def _why_alone(plan: Fields) -> str:
    """What keeps a race to one."""
    if len(plan["candidates"]) == 1:
        return "there is only one candidate"
    if plan["latency"]["max_attempts"] == 1:
        return "one attempt starts no other"
    return "the cap holds only one at once"


def _row(place: int, candidate: Fields) -> tuple[str, ...]:
    cost, first = candidate["cost_usd"], candidate["ttft_ms"]
    return (
        str(place),
        _name(candidate),
        UNKNOWN if cost is None else f"${cost}",
        UNKNOWN if first is None else f"{first} ms",
        _stands_in(candidate.get("substitutes")),
    )


def _stands_in(original: Fields | None) -> str:
    if original is None:
        return ""
    kinship = original["kinship"].replace("_", " ")
    return f"instead of {_name(original)}" + ("" if kinship == "other" else f" ({kinship})")


def _skip(entry: Fields) -> tuple[str, ...]:
    return "", _name(entry), _why(entry)


def _why(entry: Fields) -> str:
    wait = entry.get("retry_after_ms")
    return entry["detail"] if wait is None else f"{entry['detail']} (for {wait / 1000:g} s)"


def _name(entry: Fields) -> str:
    return f"{entry['provider']}/{entry['model']}" if entry.get("model") else entry["provider"]


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their widest cell, the first one to the right: it holds numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, *cells in rows:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield f"{number.rjust(widths[0])}  {'  '.join(padded)}".rstrip()
