"""Every provider's rate-limit headers are read into one form."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ratelimits import RateLimits, Window, duration, read, retry_after, until

NOW = 1_793_707_200.0  # 2026-11-03T12:00:00Z


def test_go_durations_are_read() -> None:
    limits = read(
        {
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-reset-requests": "2m59.5s",
            "x-ratelimit-limit-tokens": "18000",
            "x-ratelimit-remaining-tokens": "17997",
            "x-ratelimit-reset-tokens": "125ms",
        },
        NOW,
    )
    assert limits == RateLimits(
        requests=Window(limit=14_400, remaining=14_370, reset=179.5),
        tokens=Window(limit=18_000, remaining=17_997, reset=0.125),
    )


def test_whole_seconds_and_renewal_periods_are_read() -> None:
    limits = read(
        {
            "x-ratelimit-limit-tokens": "1000",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "58",
            "x-ratelimit-renewalperiod-tokens": "60",
            "retry-after": "58",
            "retry-after-ms": "57400",
        },
        NOW,
    )
    assert limits.tokens == Window(limit=1_000, remaining=0, reset=58)
    assert limits.retry_after == pytest.approx(57.4)


def test_instants_become_seconds_from_now() -> None:
    limits = read(
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-11-03T12:00:12Z",
            "anthropic-ratelimit-tokens-remaining": "60000",
            "anthropic-ratelimit-input-tokens-remaining": "50000",
            "anthropic-ratelimit-input-tokens-reset": "2026-11-03T13:00:30+01:00",
            "anthropic-ratelimit-output-tokens-remaining": "10000",
            "anthropic-ratelimit-output-tokens-reset": "2026-11-03T11:59:00Z",
        },
        NOW,
    )
    assert limits.requests == Window(limit=50, remaining=49, reset=12)
    assert limits.tokens.remaining == 60_000
    assert limits.input_tokens == Window(remaining=50_000, reset=30)
    assert limits.output_tokens == Window(remaining=10_000, reset=0)


def test_of_several_windows_the_tightest_is_given() -> None:
    limits = read(
        {
            "x-ratelimit-limit-req-minute": "300",
            "x-ratelimit-remaining-req-minute": "299",
            "x-ratelimit-limit-req-10-second": "60",
            "x-ratelimit-remaining-req-10-second": "58",
            "x-ratelimit-limit-tokens-minute": "500000",
            "x-ratelimit-remaining-tokens-minute": "499000",
            "x-ratelimit-limit-tokens-month": "1000000000",
            "x-ratelimit-remaining-tokens-month": "12",
            "x-ratelimit-tokens-query-cost": "23",
        },
        NOW,
    )
    assert limits.requests == Window(limit=60, remaining=58)
    assert limits.tokens == Window(limit=1_000_000_000, remaining=12)


def test_a_window_whose_rest_is_known_outranks_one_whose_rest_is_not() -> None:
    limits = read(
        {"x-ratelimit-limit-tokens-month": "9", "x-ratelimit-remaining-tokens-minute": "7"}, NOW
    )
    assert limits.tokens == Window(remaining=7)


def test_names_are_read_in_any_case_and_without_an_account() -> None:
    limits = read(
        {
            "X-RateLimit-Limit": "20",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": "1793707242000",
        },
        NOW,
    )
    assert limits.requests == Window(limit=20, remaining=0, reset=42)


def test_what_nobody_said_is_unknown() -> None:
    assert read({}, NOW) == RateLimits()
    strangers = {
        "content-type": "text/plain",
        "x-ratelimit-renewalperiod-requests": "10",
        "anthropic-ratelimit-unified-5h-status": "allowed",
        "x-ratelimit-limit-images": "5",
        "ratelimit-": "5",
    }
    assert read(strangers, NOW) == RateLimits()


@pytest.mark.parametrize("text", ["", "-1", "many", "1e400", "nan", "٣", "1" * 40])
def test_a_count_that_cannot_be_read_is_unknown(text: str) -> None:
    assert read({"x-ratelimit-remaining-tokens": text}, NOW).tokens == Window()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("0s", 0.0),
        ("1h2m3s", 3_723.0),
        ("34.4s", 34.4),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("500us", 0.0005),
        ("", None),
        ("s", None),
        ("5 s", None),
        ("-5s", None),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_go_s_notation(
    text: str, seconds: float | None
) -> None:
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


def test_a_reset_may_be_an_epoch() -> None:
    assert until("1793707230", NOW) == 30
    assert until("1793707230000", NOW) == 30
    assert until("1793707230", None) is None
    assert until("2026-11-03T12:00:30", NOW) == 30


def test_retry_after_may_be_an_http_date() -> None:
    date = {"Retry-After": "Tue, 03 Nov 2026 12:00:30 GMT"}
    assert retry_after(date, NOW) == 30
    assert retry_after(date, None) is None
    assert retry_after({**date, "Date": "Tue, 03 Nov 2026 12:00:10 GMT"}, None) == 20
    assert retry_after({"retry-after": "Tue, 31 Feb 2026 12:00:30 GMT"}, NOW) is None
    assert retry_after({"retry-after": "Tue, 03 Nov 2020 12:00:30 GMT"}, NOW) == 0


_NAMES = st.from_regex(r"(x-|anthropic-)?ratelimit-[a-z0-9-]{0,40}", fullmatch=True)
_WORDS = st.lists(
    st.sampled_from(["limit", "remaining", "reset", "tokens", "requests", "input", "minute", "10"])
).map(lambda words: "x-ratelimit-" + "-".join(words))
_VALUES = (
    st.text(max_size=40)
    | st.from_regex(r"[0-9.hmsun:+-]{1,40}", fullmatch=True)
    | st.datetimes().map(lambda instant: instant.isoformat() + "+23:59")
)


@given(
    headers=st.dictionaries(
        _NAMES | _WORDS | st.sampled_from(["retry-after", "retry-after-ms", "date"]), _VALUES
    )
)
def test_no_header_makes_it_raise_or_gives_a_negative_wait(headers: dict[str, str]) -> None:
    limits = read(headers, NOW)
    for window in (limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens):
        assert window.reset is None or 0 <= window.reset < math.inf
    assert limits.retry_after is None or 0 <= limits.retry_after < math.inf
