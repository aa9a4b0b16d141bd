"""What the providers really sent, where a copy of the recordings is at hand.

The recordings are other projects' and stay outside this repository: TAILRACE_RECORDINGS names the
folder, laid out as `<provider>/<case>.json` with `exchanges` of `path`, `status`, `content_type`
and `body`. Where it is not set, `each` gives one skipped test that says so; where it is set and
wrong, collection fails, so that a typo never passes for a green run.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson
import pytest

VARIABLE = "TAILRACE_RECORDINGS"
MISSING = f"{VARIABLE} is not set: recorded streams are not checked"

_DIALECT_OF_PATH = (
    ("/chat/completions", "openai_chat"),
    ("/responses", "openai_responses"),
    ("/agent", "openai_responses"),
    ("/messages", "anthropic_messages"),
    ("GenerateContent", "gemini"),
    ("generateContent", "gemini"),
)
_DIALECT_OF_OPENING = (
    (b"event: message_start", "anthropic_messages"),
    (b"event: response.", "openai_responses"),
    (b'data: {"candidates"', "gemini"),
)
_CHAT_DIALECT = {"mistral": "mistral_chat"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One recorded answer."""

    case: str
    """Like `groq/vercel-ai.groq-tool-call#0`."""
    provider: str
    path: str
    """Empty where the recording does not say."""
    status: int
    content_type: str
    body: bytes

    @property
    def dialect(self) -> str:
        """The wire format, by the path, else by how a stream of that format opens."""
        for part, dialect in _DIALECT_OF_PATH:
            if part in self.path:
                return _CHAT_DIALECT.get(self.provider, dialect)
        for opening, dialect in _DIALECT_OF_OPENING:
            if self.body.startswith(opening):
                return dialect
        return _CHAT_DIALECT.get(self.provider, "openai_chat")

    @property
    def is_stream(self) -> bool:
        """Whether it is a successful event stream."""
        return self.status == 200 and self.content_type.startswith("text/event-stream")


@cache
def exchanges() -> tuple[Exchange, ...]:
    """Every recorded exchange with a body, ordered by case; none where there are no recordings."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return ()
    files = sorted(Path(folder).glob("*/*.json"))
    if not files:
        message = f"{VARIABLE} names {folder}, which holds no <provider>/<case>.json"
        raise FileNotFoundError(message)
    return tuple(exchange for file in files for exchange in _read(file))


def _read(file: Path) -> list[Exchange]:
    provider = file.parent.name
    return [
        Exchange(
            case=f"{provider}/{file.stem}#{number}",
            provider=provider,
            path=recorded["path"] or "",
            status=recorded["status"],
            content_type=recorded["content_type"],
            body=recorded["body"].encode(),
        )
        for number, recorded in enumerate(orjson.loads(file.read_bytes())["exchanges"])
        if recorded["body"] is not None
    ]


def streams(dialect: str) -> list[Exchange]:
    """The successful event streams of one wire format, all providers."""
    return [found for found in exchanges() if found.is_stream and found.dialect == dialect]


def errors() -> list[Exchange]:
    """The answers with an HTTP error status."""
    return [found for found in exchanges() if found.status >= 400]


def one(case: str) -> Exchange:
    """The exchange of that case; skips the running test where there are no recordings."""
    if not exchanges():
        pytest.skip(MISSING)
    return next(found for found in exchanges() if found.case == case)


def each(chosen: list[Exchange]) -> pytest.MarkDecorator:
    """Run a test once for every chosen exchange, given to it as `exchange`.

    Without recordings: one skipped test. An empty choice among recordings is a mistake and raises.
    """
    if not exchanges():
        nothing = pytest.param(None, marks=pytest.mark.skip(reason=MISSING), id="no-recordings")
        return pytest.mark.parametrize("exchange", [nothing])
    if not chosen:
        message = "none of the recordings were chosen"
        raise ValueError(message)
    return pytest.mark.parametrize("exchange", chosen, ids=[one_of.case for one_of in chosen])
