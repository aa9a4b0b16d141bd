"""Pauses between tries."""

import pytest

from service.backoff import LONGEST_S, pause


@pytest.mark.parametrize(
    ("failures", "shortest", "longest"),
    [(0, 0.1, 0.2), (1, 0.2, 0.4), (2, 0.4, 0.8), (5, 2.5, 5), (1_000_000, 2.5, 5)],
)
def test_a_pause_doubles_up_to_a_limit_and_is_drawn_from_its_upper_half(
    failures: int, shortest: float, longest: float
) -> None:
    assert pause(failures, 0) == pytest.approx(shortest)
    assert pause(failures, 1) == pytest.approx(longest)


def test_no_second_sees_more_than_four_tries() -> None:
    at = [0.0]
    while at[-1] < 4 * LONGEST_S:
        at.append(at[-1] + pause(len(at) - 1, 0))
    assert all(later - earlier >= 1 for earlier, later in zip(at, at[4:], strict=False))
