"""Pauses that are drawn."""

from service import backoff, jitter


def test_each_pause_is_drawn_anew_from_what_backoff_allows() -> None:
    drawn = [jitter.pause(3) for _ in range(100)]
    assert backoff.pause(3, 0) <= min(drawn) < max(drawn) <= backoff.pause(3, 1)
    assert len(set(drawn)) > 90
