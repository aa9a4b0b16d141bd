"""Signatures and summaries through a field that holds a string."""

import pytest

from adapters.events import ReasoningSignature
from adapters.request import Signature
from service.dialects.seal import DamagedError, packed, sealed, unpacked, unsealed

SIGNED = ReasoningSignature(
    block="b1.0", provider="claude", format="anthropic.signature", value="EqQB/+==", id="rs_1"
)


def test_a_signature_comes_back_with_whose_it_is() -> None:
    assert unsealed(sealed(SIGNED)) == Signature(
        provider="claude", format="anthropic.signature", value="EqQB/+==", id="rs_1"
    )


@pytest.mark.parametrize(
    "foreign",
    [None, 5, "", "EqQB/+==", "tailrace.1.?", "tailrace.1.e30=", "tailrace.1.é", "tailrace.1.aGk="],
)
def test_what_somebody_else_put_there_is_passed_over(foreign: object) -> None:
    assert unsealed(foreign) is None


def test_a_summary_comes_back_as_it_was_written() -> None:
    assert unpacked(packed("Äpfel, and \u65e5.")) == "Äpfel, and \u65e5."


@pytest.mark.parametrize(
    "foreign", [None, 5, "", "gAAAAAB", sealed(SIGNED), "tailrace.summary.1.aGk="]
)
def test_a_summary_by_somebody_else_is_none(foreign: object) -> None:
    assert unpacked(foreign) is None


WHOLE = packed("They added 2 and 2, and it was 4.")


@pytest.mark.parametrize(
    "damaged",
    [
        WHOLE[:-4],
        WHOLE[:-1],
        f"{WHOLE}/w==",
        f"{WHOLE}!",
        f"{WHOLE[:40]}\n{WHOLE[40:]}",
        WHOLE[:40] + WHOLE[44:],
        WHOLE.swapcase().replace("TAILRACE.SUMMARY", "tailrace.summary"),
        "tailrace.summary.2.",
        "tailrace.summary.2.\u00e9",
    ],
)
def test_a_summary_that_was_damaged_on_its_way_is_told_from_one_by_somebody_else(
    damaged: str,
) -> None:
    with pytest.raises(DamagedError):
        unpacked(damaged)
