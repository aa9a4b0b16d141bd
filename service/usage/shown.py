"""Usage as a person reads it in a terminal: sums as a table, an event as a line.

It takes what the API answers: the document of `GET /v1/usage`, and the bytes of
`GET /v1/usage/events`, which are cut up here rather than by `adapters.sse`, because what that
passes over is the point: a block's `id`, where a next `tail` goes on. What is unknown is a dash,
never a zero.

Deciding only.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from service.usage.cost import usd

UNKNOWN: Final = "-"

Fields = Mapping[str, Any]
"""A JSON object of the answer."""

_AMOUNTS: Final = {
    "attempts": "attempts",
    "input_tokens": "tokens in",
    "output_tokens": "tokens out",
    "cost_usd": "cost $",
    "unknown_cost_attempts": "of unknown cost",
    "hedge_attempts": "hedges",
    "hedge_cost_usd": "hedges $",
    "saved_ms": "saved ms",
}
"""Columns, and what they are called."""


def lines(answer: Fields) -> Iterator[str]:
    """The answer of `GET /v1/usage`, its total last."""
    total = answer["total"]
    rows = answer["rows"] or [total]
    groups = [name for name in rows[0] if name not in total]
    table = [[*groups, *_AMOUNTS.values()]]
    table += [[*(row[name] or UNKNOWN for name in groups), *_amounts(row)] for row in rows]
    if groups:
        table.append(["total", *[""] * (len(groups) - 1), *_amounts(total)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        names = (cell.ljust(width) for cell, width in zip(row, widths[: len(groups)], strict=False))
        amounts = zip(row[len(groups) :], widths[len(groups) :], strict=True)
        numbers = (cell.rjust(width) for cell, width in amounts)
        yield "  ".join([*names, *numbers]).rstrip()


def _amounts(row: Fields) -> list[str]:
    return [_amount(row[name]) for name in _AMOUNTS]


def _amount(value: int | str | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else value


# --- Events ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """A block of server-sent events as the service writes them."""

    id: str | None
    event: str
    data: bytes
    """Empty where the block only says where a watcher is."""


def blocks(pieces: Iterable[bytes]) -> Iterator[Block]:
    """Whole blocks of a body that comes in pieces; comments are passed over."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n\n")
        for block in whole:
            fields = [line.partition(b": ") for line in block.split(b"\n")]
            values = {name: value for name, _, value in fields}
            key = values.get(b"id")
            yield Block(
                id=None if key is None else key.decode(),
                event=values.get(b"event", b"").decode(),
                data=b"\n".join(value for name, _, value in fields if name == b"data"),
            )


def line(event: bytes) -> str:
    """A usage event, or what it says where it is none."""
    try:
        told = orjson.loads(event)
        return _line(told["time"], told["data"])
    except (ValueError, KeyError, TypeError):
        return event.decode(errors="replace")


def remark(data: bytes) -> str:
    """What is said about the connection: a gap, a notice."""
    said = orjson.loads(data)
    return str(said.get("message") or said.get("code") or said)


def _line(time: str, data: Fields) -> str:
    usage = data["usage"]
    said: Sequence[str | None] = (
        f"{time[:19]}Z",
        f"{data['provider']}/{data['model']}",
        data["use_case"],
        f"{data['role']} {data['outcome']}",
        f"{_amount(usage['input_tokens'])} in, {_amount(usage['output_tokens'])} out",
        f"${usd(data['cost_nano_usd']) or UNKNOWN}",
        "estimated" if data["estimated"] else None,
        data["error_type"],
        data["client_key"],
    )
    return "  ".join(part for part in said if part)
