"""A running service as the command line sees it: one request, its answer's bytes as they come.

The standard library's client, because a command should answer at once: httpx2 takes 0.2 s to
import, aiohttp 0.5 s, this 0.01 s. No proxy is used: the service is on this machine or near it, and
a proxy from the environment would get the prompt.
"""

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import orjson

from adapters.sse import Message, SseParser

DEFAULT_URL = "http://127.0.0.1:8180"
READ_SIZE = 65_536  # bytes; read1 returns sooner, with whatever has come

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class RemoteError(Exception):
    """The service could not be reached or refused; the text is one line."""


def get(url: str, path: str) -> Any:  # noqa: ANN401 - any JSON
    """The JSON answer of a GET.

    Raises RemoteError.
    """
    return _json(url, path, None)


def post(url: str, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 - any JSON
    """The JSON answer of a POST.

    Raises RemoteError.
    """
    return _json(url, path, body)


def pieces(url: str, path: str) -> Iterator[bytes]:
    """The answer of a GET as it comes, whatever it is.

    Raises RemoteError: before the first piece for a refusal, later for a connection that breaks.
    """
    return _exchange(url, path, {}, None)


def stream(url: str, path: str, body: Mapping[str, object]) -> Iterator[Message]:
    """The events that a POST is answered with, until the connection ends.

    Raises RemoteError: before the first event for a refusal, later for a connection that breaks.
    """
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    parser = SseParser()
    for data in _exchange(url, path, headers, orjson.dumps(body)):
        yield from parser.feed(data)


def _json(url: str, path: str, body: Mapping[str, object] | None) -> Any:  # noqa: ANN401 - any JSON
    headers = {} if body is None else {"Content-Type": "application/json"}
    data = None if body is None else orjson.dumps(body)
    answer = b"".join(_exchange(url, path, headers, data))
    try:
        return orjson.loads(answer)
    except ValueError as error:
        raise RemoteError(f"{url}{path} did not answer with JSON") from error


def _exchange(
    url: str, path: str, headers: Mapping[str, str], data: bytes | None
) -> Iterator[bytes]:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise RemoteError(f"{url!r} is not allowed as --url; must be http:// or https://")
    request = urllib.request.Request(  # noqa: S310 - the scheme was just checked
        url.rstrip("/") + path, data=data, headers=dict(headers)
    )
    try:
        with _opener.open(request) as response:
            while piece := response.read1(READ_SIZE):
                yield piece
    except urllib.error.HTTPError as refusal:
        raise RemoteError(_words(refusal)) from refusal
    except urllib.error.URLError as failure:
        reason = getattr(failure.reason, "strerror", None) or failure.reason
        raise RemoteError(
            f"no service answers at {url} ({reason}); `tailrace serve` starts one"
        ) from failure
    except (OSError, HTTPException, ValueError) as failure:
        raise RemoteError(f"the connection to {url} broke: {failure}") from failure


def _words(refusal: urllib.error.HTTPError) -> str:
    """The service's own error in words, or the status line of something else."""
    try:
        error = orjson.loads(refusal.read())["error"]
        return f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {refusal.code} {refusal.reason}: not a Tailrace answer"
