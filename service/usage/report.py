"""What was used and spent, asked of the sums: `GET /v1/usage`, and what was saved.

A range is answered from as few rows as can be: whole days from the table of days, what remains at
its ends from hours, and what remains there from minutes. All three tables are written in the same
transaction and read here in one statement, so an answer is of one moment, however many events come
in meanwhile; the total is added up from the very rows it is shown with. Ranges are of whole
minutes.

Money leaves as strings: sums of nano-USD go beyond what a JSON number holds exactly in many
readers. None is unknown and never 0: a row's cost is None where the cost of none of its attempts is
known, else the sum of the known ones, with the number of unknown ones beside it.

A hedge attempt is one that was sent because, or so that, another one need not be waited for (roles
`hedge` and `race`); what it cost is in `hedge_cost_usd` whether it won or not. What was paid for
answers that nobody saw is what grouping by outcome tells of `loser`.

Deciding only: who calls brings the database.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any, Final, NamedTuple

from adapters.catalog.price import Rates
from service.usage.cost import nano, usd
from service.usage.record import Verdict
from service.usage.tally import DAY, HOUR, MINUTE, TABLES, Key, plus

GROUPS: Final = (*Key._fields, "hour", "day")
"""What rows may be grouped by."""

_PERIODS: Final = {"hour": (HOUR, "%Y-%m-%dT%H:00:00Z"), "day": (DAY, "%Y-%m-%d")}
_HEDGES: Final = "('hedge', 'race')"
_ANSWERS: Final = (Verdict.WINNER, Verdict.CANCELLED, Verdict.INTERRUPTED)
"""Ends of attempts whose tokens somebody wanted; without falling back and hedging these alone would
have been used."""

Ask = Callable[[str, Sequence[object]], Sequence[tuple[Any, ...]]]
"""One statement and its rows: `Rollups.read`."""


class QueryError(ValueError):
    """A question that cannot be answered."""

    def __init__(self, param: str, said: str) -> None:
        """`param`: which one is wrong; `said`: its value and what is allowed."""
        super().__init__(f"{param}: {said}")
        self.param = param


@dataclass(frozen=True, slots=True)
class Query:
    """Which attempts, and what rows to make of them."""

    start: int | None = None
    """Unix seconds, a whole minute: attempts that were over then or later. None: up to `end`."""

    end: int | None = None
    """The same: attempts that were over before it. None: from `start` on."""

    group_by: tuple[str, ...] = ()

    @classmethod
    def parse(cls, start: str | None, end: str | None, group_by: str | None) -> "Query":
        """Read the parameters `from`, `to` and `group_by`; raises QueryError.

        `from` is taken from the beginning of its minute, `to` up to the end of its own.
        """
        first, last = _moment("from", start), _moment("to", end)
        query = cls(
            None if first is None else math.floor(first / MINUTE) * MINUTE,
            None if last is None else math.ceil(last / MINUTE) * MINUTE,
            _groups(group_by),
        )
        if query.start is not None and query.end is not None and query.start > query.end:
            raise QueryError("from", f"{start} is not allowed; must not be after to, {end}")
        return query


@dataclass(frozen=True, slots=True)
class Amounts:
    """The sums of some attempts; None is unknown."""

    attempts: int = 0
    unknown_cost_attempts: int = 0
    estimated_attempts: int = 0
    hedge_attempts: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nano_usd: int | None = None
    hedge_cost_nano_usd: int | None = None
    saved_ms: int | None = None

    def __add__(self, other: "Amounts") -> "Amounts":
        """Of both."""
        return Amounts(*map(plus, astuple(self), astuple(other)))  # type: ignore[arg-type] # the first four are never None

    def shown(self) -> dict[str, int | str | None]:
        """As JSON and CSV have it. What there are no attempts of costs nothing, which is known."""
        cost = _known(self.cost_nano_usd, self.attempts)
        return {
            "attempts": self.attempts,
            "input_tokens": _known(self.input_tokens, self.attempts),
            "output_tokens": _known(self.output_tokens, self.attempts),
            "cost_nano_usd": None if cost is None else str(cost),
            "cost_usd": usd(cost),
            "unknown_cost_attempts": self.unknown_cost_attempts,
            "estimated_attempts": self.estimated_attempts,
            "hedge_attempts": self.hedge_attempts,
            "hedge_cost_usd": usd(_known(self.hedge_cost_nano_usd, self.hedge_attempts)),
            "saved_ms": _known(self.saved_ms, self.hedge_attempts),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """An answer."""

    query: Query
    rows: tuple[tuple[tuple[str | None, ...], Amounts], ...]
    """What was grouped by, in the query's order, and the sums; sorted by it."""

    total: Amounts

    def to_json(self) -> dict[str, Any]:
        """The body of `GET /v1/usage`."""
        return {
            "from": _rfc3339(self.query.start),
            "to": _rfc3339(self.query.end),
            "rows": [
                dict(zip(self.query.group_by, names, strict=True)) | amounts.shown()
                for names, amounts in self.rows
            ],
            "total": self.total.shown(),
        }

    def to_csv(self) -> str:
        """The rows with a head, by RFC 4180; unknown is empty.

        A name that a spreadsheet would take for a formula gets an apostrophe before it, as OWASP
        advises ("CSV Injection"): models and clients are named by those who ask.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([*self.query.group_by, *Amounts().shown()])
        writer.writerows(
            [*map(_no_formula, names), *amounts.shown().values()] for names, amounts in self.rows
        )
        return text.getvalue()


def report(ask: Ask, query: Query) -> Report:
    """Answer a question; raises UnavailableError."""
    keys = [_expression(name) for name in query.group_by]
    statement, values = _statement(query, [*keys, *_AMOUNTS], len(keys))
    found: list[tuple[tuple[str | None, ...], Amounts]] = []
    total = Amounts()
    for row in ask(statement, values):
        names, sums = row[: len(keys)], row[len(keys) :]
        if not sums[0]:
            continue  # ungrouped sums of nothing at all
        amounts = Amounts(*(None if amount is None else int(amount) for amount in sums))  # type: ignore[arg-type] # as above
        found.append((tuple(map(_name, query.group_by, names)), amounts))
        total += amounts
    found.sort(key=lambda row: [(name is None, name or "") for name in row[0]])
    return Report(query, tuple(found), total)


# --- What was saved -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Summary:
    """What was spent, and what the same answers would have cost elsewhere; nano-USD."""

    requests: int
    """By their first attempts."""
    attempts: int
    unknown_cost_attempts: int
    cost: int | None
    by_provider: Mapping[str, int | None]
    by_use_case: Mapping[str, int | None]
    baseline: int | None
    """The tokens of the answers at the rates asked about. Answers whose cost or tokens are unknown
    are left out here and in `savings`, so that like is compared with like."""
    savings: int | None
    """The baseline less what was paid, for attempts that failed or lost as well. Below 0 where it
    would have been cheaper."""


def summary(ask: Ask, rates: Rates | None, query: Query | None = None) -> Summary:
    """What was spent, against `rates` for everything; raises UnavailableError.

    `rates`: what is compared with, or None where they are unknown. `query`'s groups are ignored.
    """
    keys = ("provider", "use_case", "outcome", "role")
    columns = [f"SUM({name})" for name in _SUMMED]
    statement, values = _statement(query or Query(), [*keys, *columns], len(keys))
    cells = [
        _Cell(*row[:4], *(None if amount is None else int(amount) for amount in row[4:]))
        for row in ask(statement, values)
    ]
    baseline = _baseline(cells, rates)
    paid = _total(cell.priced_cost_nano_usd for cell in cells)
    return Summary(
        requests=sum(cell.attempts for cell in cells if cell.role == "primary"),
        attempts=sum(cell.attempts for cell in cells),
        unknown_cost_attempts=sum(cell.unknown_cost_attempts for cell in cells),
        cost=_total(cell.cost_nano_usd for cell in cells) if cells else 0,
        by_provider=_by((cell.provider, cell.cost_nano_usd) for cell in cells),
        by_use_case=_by((cell.use_case, cell.cost_nano_usd) for cell in cells),
        baseline=baseline,
        savings=None if baseline is None else baseline - (paid or 0),
    )


_SUMMED: Final = (
    "attempts",
    "unknown_cost_attempts",
    "cost_nano_usd",
    "priced_cost_nano_usd",
    "priced_input_tokens",
    "priced_cache_read_tokens",
    "priced_cache_write_tokens",
    "priced_output_tokens",
)


class _Cell(NamedTuple):
    provider: str
    use_case: str
    outcome: str
    role: str
    attempts: int
    unknown_cost_attempts: int
    cost_nano_usd: int | None
    priced_cost_nano_usd: int | None
    priced_input_tokens: int | None
    priced_cache_read_tokens: int | None
    priced_cache_write_tokens: int | None
    priced_output_tokens: int | None


def _baseline(cells: Sequence[_Cell], rates: Rates | None) -> int | None:
    if rates is None:
        return None
    answers = [cell for cell in cells if cell.outcome in _ANSWERS]
    dollars = rates.cost(
        input_tokens=sum(cell.priced_input_tokens or 0 for cell in answers),
        cached=sum(cell.priced_cache_read_tokens or 0 for cell in answers),
        cache_write=sum(cell.priced_cache_write_tokens or 0 for cell in answers),
        output=sum(cell.priced_output_tokens or 0 for cell in answers),
    )
    return nano(dollars)


def _by(costs: Iterable[tuple[str, int | None]]) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for name, cost in sorted(costs, key=lambda pair: pair[0]):
        found[name] = plus(found.get(name), cost)
    return found


def _total(amounts: Iterable[int | None]) -> int | None:
    return reduce(plus, amounts, None)


# --- SQL ------------------------------------------------------------------------------------

_AMOUNTS: Final = (
    "SUM(attempts)",
    "SUM(unknown_cost_attempts)",
    "SUM(estimated_attempts)",
    f"SUM(CASE WHEN role IN {_HEDGES} THEN attempts ELSE 0 END)",
    "SUM(input_tokens)",
    "SUM(output_tokens)",
    "SUM(cost_nano_usd)",
    f"SUM(CASE WHEN role IN {_HEDGES} THEN cost_nano_usd END)",
    "SUM(saved_ms)",
)
"""In the order of the fields of Amounts."""


class Segment(NamedTuple):
    """A part of a range, and by what periods to sum it up."""

    period: int
    start: int | None
    end: int | None


def segments(
    start: int | None, end: int | None, periods: tuple[int, ...] = (DAY, HOUR, MINUTE)
) -> list[Segment]:
    """Cut a range, whose ends are multiples of the last period, into the longest periods."""
    if start is not None and end is not None and start >= end:
        return []
    period, *finer = periods
    first = None if start is None else -(-start // period) * period
    last = None if end is None else end // period * period
    if first is not None and last is not None and first > last:
        return segments(start, end, tuple(finer))
    found = [Segment(period, first, last)] if first is None or first != last else []
    if start != first:
        found += segments(start, first, tuple(finer))
    if end != last:
        found += segments(last, end, tuple(finer))
    return found


def _statement(query: Query, columns: Sequence[str], groups: int) -> tuple[str, list[object]]:
    """One statement, so that it reads one moment. Groups come first among the columns."""
    periods = (HOUR, MINUTE) if "hour" in query.group_by else (DAY, HOUR, MINUTE)
    parts: list[str] = []
    values: list[object] = []
    for segment in segments(query.start, query.end, periods) or [Segment(DAY, 0, 0)]:
        ends = [("at >= ?", segment.start), ("at < ?", segment.end)]
        given = [(claim, value) for claim, value in ends if value is not None]
        where = f" WHERE {' AND '.join(claim for claim, _ in given)}" if given else ""
        parts.append(f"SELECT * FROM {TABLES[segment.period]}{where}")
        values += [value for _, value in given]
    grouped = ", ".join(str(number) for number in range(1, groups + 1))
    return (
        f"SELECT {', '.join(columns)} FROM ({' UNION ALL '.join(parts)}) AS sums"
        + (f" GROUP BY {grouped}" if grouped else ""),
        values,
    )


def _expression(name: str) -> str:
    """Integers, so the quotient is one, too. No modulo: its sign is psycopg's placeholder."""
    if name not in _PERIODS:
        return name
    period, _ = _PERIODS[name]
    return f"at / {period} * {period}"


# --- Words ----------------------------------------------------------------------------------


def _known(amount: int | None, attempts: int) -> int | None:
    return amount if attempts else 0


def _name(group: str, value: str | int) -> str | None:
    if group in _PERIODS:
        return datetime.fromtimestamp(int(value), UTC).strftime(_PERIODS[group][1])
    return str(value) or None


_FORMULAS: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
"""The last four signs are the wide forms of the first, which some spreadsheets read alike."""


def _no_formula(name: str | None) -> str | None:
    return f"'{name}" if name is not None and name.lstrip(" ").startswith(_FORMULAS) else name


def _rfc3339(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_YEARS: Final = (1970, 9998)
"""Within them nothing can be rounded to what is no date any more."""


def _moment(param: str, text: str | None) -> float | None:
    if text is None:
        return None
    # In a query `+` is a space, and `...+01:00` is what people write.
    written = re.sub(r" (\d\d:\d\d)$", r"+\1", text) if "T" in text else text
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        at = None
    if at is None or not _YEARS[0] <= at.year <= _YEARS[1]:
        raise QueryError(
            param,
            f"{text[:64]!r} is not allowed; must be a date or a time since 1970, as in 2026-11-23 "
            "or 2026-11-23T08:00:00Z",
        )
    # What names no zone, as a day alone does, is in UTC.
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _groups(text: str | None) -> tuple[str, ...]:
    groups = tuple(text.split(",")) if text else ()
    for group in groups:
        if group not in GROUPS:
            raise QueryError(
                "group_by", f"{group[:64]!r} is not allowed; must be some of {', '.join(GROUPS)}"
            )
    if len(set(groups)) < len(groups):
        raise QueryError("group_by", f"{text!r} is not allowed; must name nothing twice")
    return groups
