"""`/v1/usage`: what was used and spent, as sums and as it happens."""

from typing import Final, Literal

from msgspec import Struct

from adapters.events import ErrorCode
from service.description.components import Schema, merged, of_structs, ref
from service.description.native import PROBLEM
from service.description.operations import (
    Answer,
    Operation,
    Parameter,
    item,
    json,
    refusing,
    stream,
    text,
)
from service.usage.record import UsageEvent
from service.usage.report import GROUPS


class UsageAmounts(Struct):
    """The sums of some attempts; null is unknown."""

    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cost_nano_usd: str | None
    cost_usd: str | None
    unknown_cost_attempts: int
    estimated_attempts: int
    hedge_attempts: int
    hedge_cost_usd: str | None
    saved_ms: int | None


class UsageReport(Struct):
    """The sums of a time, by what was asked for."""

    from_: str | None
    to: str | None
    rows: list[UsageAmounts]
    total: UsageAmounts


class UsageNotice(Struct, tag_field="type", tag="notice"):
    """A word about the connection."""

    code: Literal["draining", "slow_consumer"]
    reconnect_after_ms: int


class UsageGap(Struct, tag_field="type", tag="gap"):
    """What came after a position may be gone."""

    after: str
    message: str


_REPORT: Final = UsageReport.__name__
_ROW: Final = "UsageRow"


def schemas() -> dict[str, Schema]:
    """The components of this API."""
    parts = of_structs(UsageReport, UsageEvent, UsageNotice, UsageGap)
    amounts, report = parts[UsageAmounts.__name__], parts[_REPORT]
    named = {group: {"type": ["string", "null"]} for group in GROUPS}
    row = {**amounts, "title": _ROW, "properties": named | amounts["properties"]}
    row["description"] = "The sums of what has these names in common."
    fields = report["properties"]
    properties = {
        "from": fields["from_"],
        "to": fields["to"],
        "rows": {"type": "array", "items": ref(_ROW)},
        "total": fields["total"],
    }
    parts[_REPORT] = {**report, "properties": properties, "required": list(properties)}
    return merged(parts, {_ROW: row})


_MOMENT: Final = "A date, or a time as RFC 3339 has it; without a zone it is in UTC."

_WHEN: Final = {
    "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]
}

_POSITION: Final = {"type": "string", "pattern": r"^([0-9]{1,15}(-[0-9]{1,15})?([.][0-9-]+)*)?$"}

OPERATIONS: Final = (
    Operation(
        method="get",
        path="/v1/usage",
        id="getUsage",
        said="Sums of what was used and spent",
        parameters=(
            Parameter(name="from", where="query", said=_MOMENT, schema=_WHEN),
            Parameter(name="to", where="query", said=_MOMENT, schema=_WHEN),
            Parameter(
                name="group_by",
                where="query",
                said=f"Some of {', '.join(GROUPS)}, joined by commas.",
            ),
            Parameter(
                name="format",
                where="query",
                said="`csv` for a table.",
                schema={"enum": ["json", "csv"]},
            ),
        ),
        answers={200: Answer(said="The sums.", content=json(ref(_REPORT)) | text("text/csv"))},
        refusal=refusing(PROBLEM, ErrorCode.OVERLOADED),
    ),
    Operation(
        method="get",
        path="/v1/usage/events",
        id="followUsage",
        said="Every usage event, live",
        parameters=(
            Parameter(
                name="Last-Event-ID",
                where="header",
                said="The id of the last event that was read; wins over `after`.",
                schema=_POSITION,
            ),
            Parameter(
                name="after",
                where="query",
                said="The same; 0 is the beginning, none is now.",
            ),
        ),
        answers={
            200: Answer(
                said="The events, until the client leaves.",
                content=stream(
                    item(
                        {"anyOf": [ref(UsageEvent), ref(UsageNotice), ref(UsageGap)]},
                        event={"enum": ["usage", "notice", "gap"]},
                        identified="Where to go on.",
                    )
                ),
            )
        },
        refusal=refusing(PROBLEM, ErrorCode.OVERLOADED),
    ),
)
