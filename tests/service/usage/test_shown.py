"""What a person reads of usage."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.usage.shown import Block, blocks, line, lines, remark
from tests.service.usage.attempts import body

AMOUNTS: dict[str, Any] = {
    "attempts": 1_200,
    "input_tokens": 52_000,
    "output_tokens": None,
    "cost_nano_usd": "1500000000",
    "cost_usd": "1.5",
    "unknown_cost_attempts": 2,
    "estimated_attempts": 3,
    "hedge_attempts": 0,
    "hedge_cost_usd": "0",
    "saved_ms": 0,
}


def test_sums_are_a_table_with_the_total_last_and_a_dash_for_what_is_unknown() -> None:
    rows = [{"provider": "groq", "client": None, **AMOUNTS}]
    told = list(lines({"rows": rows, "total": AMOUNTS}))
    head, *cells = [" ".join(row.split()) for row in told]
    assert head.startswith("provider client attempts tokens in tokens out cost $ of unknown cost")
    assert cells == [
        "groq - 1,200 52,000 - 1.5 2 0 0 0",
        "total 1,200 52,000 - 1.5 2 0 0 0",
    ]
    assert len(set(map(len, told))) == 1


def test_sums_without_groups_are_one_row() -> None:
    head, row = lines({"rows": [AMOUNTS], "total": AMOUNTS})
    assert head.split()[0] == "attempts"
    assert row.split()[0] == "1,200"


def test_sums_of_nothing_are_the_total() -> None:
    assert len(list(lines({"rows": [], "total": AMOUNTS}))) == 2


def test_an_event_is_a_line() -> None:
    assert line(body(2, outcome="failed", error_type="overloaded", estimated=True)) == (
        "2026-11-23T00:17:06Z  demo/demo  analysis  race failed  4,740 in, 2 out  $0.01780125"
        "  estimated  overloaded  key_2"
    )
    assert "$-" in line(body(5))


@pytest.mark.parametrize("told", [b"what", b"{}", b"[]", b'{"time": 1, "data": {}}', b"\xff"])
def test_what_is_no_event_is_shown_as_it_is(told: bytes) -> None:
    assert line(told) == told.decode(errors="replace")


def test_a_remark_is_in_words() -> None:
    assert remark(orjson.dumps({"type": "gap", "message": "gone"})) == "gone"
    assert remark(orjson.dumps({"type": "notice", "code": "slow_consumer"})) == "slow_consumer"


WIRE = (
    b"retry: 1500\nid: 7-0\n\n:\n:\nid: 7-1\nevent: usage\ndata: {}\n\n"
    b'event: gap\ndata: {"a":\ndata: 1}\n\nid: 7-2\nevent: us'
)


@given(st.lists(st.integers(0, len(WIRE))))
def test_blocks_do_not_depend_on_how_the_bytes_are_cut(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(WIRE)]
    pieces = [WIRE[start:end] for start, end in pairwise(ends)]
    assert list(blocks(pieces)) == [
        Block("7-0", "", b""),
        Block("7-1", "usage", b"{}"),
        Block(None, "gap", b'{"a":\n1}'),
    ]
