"""What a provider's response headers say about its limits, in one form.

Every provider that tells has its own names and its own way to write a time: Go durations (`6m0s`,
`120ms`), whole seconds, RFC 3339 instants, epochs in seconds or milliseconds; some name several
windows (a minute, ten seconds, a month). One reader for all of them: a header's name is cut into
words, and the words say which figure of which account it is. What nobody said stays None; what
cannot be read is as if it had not been sent. Nothing here raises for anything a provider sends.

No clock: `now` is an argument, and instants become seconds from it. The names and formats:
docs/providers.md, rate-limit headers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One account: how many of what, how many are left, when it is full again."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    """Seconds from now."""


_UNKNOWN = Window()


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """A provider's word about its limits, as of one response."""

    requests: Window = _UNKNOWN
    tokens: Window = _UNKNOWN
    input_tokens: Window = _UNKNOWN
    output_tokens: Window = _UNKNOWN
    retry_after: float | None = None
    """Seconds from now before another request makes sense."""


_FIGURES: Final = frozenset({"limit", "remaining", "reset"})
_ACCOUNTS: Final[Mapping[tuple[str, ...], str]] = {
    (): "requests",  # `X-RateLimit-Remaining` alone counts requests
    ("req",): "requests",
    ("requests",): "requests",
    ("tokens",): "tokens",
    ("input", "tokens"): "input_tokens",
    ("output", "tokens"): "output_tokens",
}
_PERIOD_WORDS: Final = frozenset({"second", "minute", "hour", "day", "month"})


def read(headers: Mapping[str, str], now: float) -> RateLimits:
    """Read the limits out of a response's headers; `now` is Unix time in seconds.

    Where a provider counts several windows of one account, the tightest one is given: the one
    with the least remaining.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name, value in headers.items():
        place = _place(name)
        if place is not None:
            account, period, figure = place
            found.setdefault((account, period), {})[figure] = value
    tightest: dict[str, Window] = {}
    for (account, _), said in found.items():
        window = _window(said, now)
        if account not in tightest or _left(window) < _left(tightest[account]):
            tightest[account] = window
    return RateLimits(**tightest, retry_after=retry_after(headers, now))


def retry_after(headers: Mapping[str, str], now: float | None) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after` (seconds or an HTTP date).

    Without `now` (Unix time) a date is measured from the response's own `date` header: one clock
    wrote both, so nothing is lost if ours differs.
    """
    values = {name.lower(): value for name, value in headers.items()}
    milliseconds = _number(values.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = values.get("retry-after", "")
    seconds = duration(text)
    if seconds is not None:
        return seconds
    then = _http_date(text)
    since = response_time(headers) if now is None else now
    return None if then is None or since is None else max(0.0, then - since)


_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,12})?", re.ASCII)
_GO_DURATION = re.compile(r"(?:\d{1,15}(?:\.\d{1,12})?(?:h|ms|m|s|us|µs|ns))+", re.ASCII)
_GO_PART = re.compile(r"([\d.]+)([a-zµ]+)", re.ASCII)
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def duration(text: str) -> float | None:
    """Seconds in a bare number (`34`) or a Go duration (`2m59.56s`); None if it is neither."""
    text = text.strip()
    if _GO_DURATION.fullmatch(text) is None:
        return _number(text)
    return sum(float(count) * _SECONDS[unit] for count, unit in _GO_PART.findall(text))


# Beyond these a bare number is an instant: nobody waits 30 years.
_EPOCH_SECONDS: Final = 1e9
_EPOCH_MILLISECONDS: Final = 1e12


def until(text: str, now: float | None) -> float | None:
    """Seconds until a reset time in any of the formats; past instants are 0.

    An instant cannot be measured without `now` (Unix time in seconds): None.
    """
    seconds = duration(text)
    if seconds is not None and seconds < _EPOCH_SECONDS:
        return seconds
    if now is None:
        return None
    if seconds is None:
        instant = _rfc3339(text)
    else:
        instant = seconds / 1000 if seconds >= _EPOCH_MILLISECONDS else seconds
    return None if instant is None else max(0.0, instant - now)


def response_time(headers: Mapping[str, str]) -> float | None:
    """Unix time of the response by its own `date` header."""
    return next(
        (_http_date(value) for name, value in headers.items() if name.lower() == "date"), None
    )


def _place(name: str) -> tuple[str, str, str] | None:
    """(account, period, figure) that a header's name stands for; None if it is another header."""
    _, family, rest = name.lower().partition("ratelimit-")
    words = rest.split("-") if family else []
    figures = [word for word in words if word in _FIGURES]
    account = tuple(
        word
        for word in words
        if word not in _FIGURES and word not in _PERIOD_WORDS and not word.isdigit()
    )
    if len(figures) != 1 or account not in _ACCOUNTS:
        return None
    period = "-".join(word for word in words if word in _PERIOD_WORDS or word.isdigit())
    return _ACCOUNTS[account], period, figures[0]


def _window(figures: Mapping[str, str], now: float) -> Window:
    return Window(
        limit=_count(figures.get("limit", "")),
        remaining=_count(figures.get("remaining", "")),
        reset=until(figures.get("reset", ""), now),
    )


def _left(window: Window) -> float:
    return float("inf") if window.remaining is None else window.remaining


def _count(text: str) -> int | None:
    number = _number(text.strip())
    return None if number is None else int(number)


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _rfc3339(text: str) -> float | None:
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return instant.timestamp()


_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", re.ASCII)


def _http_date(text: str) -> float | None:
    # The parser takes far more than the standard's one form, and fails in more ways on it.
    if _HTTP_DATE.fullmatch(text.strip()) is None:
        return None
    try:
        return parsedate_to_datetime(text.strip()).timestamp()
    except ValueError:
        return None
