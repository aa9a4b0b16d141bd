"""A provider's own list of its models, over a plain GET.

Not through the SDKs: five of them would be imported for one small request, and each would turn the
answer into its own classes, which drop what they do not know. The forms differ little: objects in
`data` (OpenAI and all who follow it, Anthropic), in `models` (Gemini) or alone, each with an `id`
or a `name`, some with `aliases`. Anthropic and Gemini give the list in pages, told by `has_more`
with `last_id`, or by `nextPageToken`.

The connection lives as long as the call. No redirect is followed, which would take the key
elsewhere, and no proxy or netrc is read from the environment.

Sources: platform.claude.com/docs (list models), ai.google.dev/api/models (models.list),
docs.mistral.ai (list models), platform.openai.com/docs (list models), as stored on 2026-11-23.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from adapters.classify import classify
from adapters.clients.upstream import parsed
from adapters.contract import Endpoint, Failure
from adapters.errors import UpstreamError, make
from adapters.events import ErrorCode

MAX_PAGES: Final = 50  # of 20 models at Anthropic, of 50 at Google
MAX_BYTES: Final = 8 * 1024 * 1024
"""Of one page, unpacked; the longest that is known has 900 models (OpenRouter's)."""
_OK: Final = 200
_NO_LIST: Final = "The provider answered with something that is no list of models."
_TOO_LONG: Final = f"The provider's list of models is larger than {MAX_BYTES:,} bytes."


async def list_models(endpoint: Endpoint, *, wait: float) -> tuple[str, ...]:
    """The ids that a provider says it serves, aliases included, in its order, each once.

    Args:
        endpoint: Whose provider has a `list_path`.
        wait: Seconds for all of it.

    Raises:
        UpstreamError: It could not be reached in time, refused, or sent no list.
    """
    try:
        async with asyncio.timeout(wait), _session() as session:
            return await _read(endpoint, session)
    except TimeoutError as late:
        message = f"The provider's list of models did not come within {wait:g} s."
        raise _failure(endpoint, ErrorCode.UPSTREAM_CONNECT, message) from late
    except (aiohttp.ClientError, OSError) as silence:
        message = "The provider could not be reached."
        raise _failure(endpoint, ErrorCode.UPSTREAM_CONNECT, message) from silence


async def _read(endpoint: Endpoint, session: aiohttp.ClientSession) -> tuple[str, ...]:
    found: dict[str, None] = {}
    query: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        page = await _page(endpoint, session, query)
        known = len(found)
        found.update(dict.fromkeys(_ids(page)))
        query = _next(page)
        # A list that says it goes on, and repeats itself, does not know our way of asking on.
        if not query or len(found) == known:
            break
    if not found:
        raise _failure(endpoint, ErrorCode.UPSTREAM_MALFORMED, _NO_LIST)
    return tuple(found)


async def _page(
    endpoint: Endpoint, session: aiohttp.ClientSession, query: Mapping[str, str]
) -> Any:  # noqa: ANN401 - any JSON value that can be a list
    url = URL(f"{endpoint.base_url}{endpoint.provider.list_path}").update_query(query)
    async with session.get(url, headers=_headers(endpoint), allow_redirects=False) as response:
        said = parsed(await _whole(endpoint, response))
        if response.status != _OK:
            failure = Failure(status=response.status, body=said, headers=response.headers)
            raise UpstreamError(classify(failure, endpoint.provider))
    if not isinstance(said, list | dict):
        raise _failure(endpoint, ErrorCode.UPSTREAM_MALFORMED, _NO_LIST)
    return said


async def _whole(endpoint: Endpoint, response: aiohttp.ClientResponse) -> bytes:
    """The body, as long as it is no longer than a list can be."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_BYTES:
            raise _failure(endpoint, ErrorCode.UPSTREAM_MALFORMED, _TOO_LONG)
    return bytes(body)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


def _headers(endpoint: Endpoint) -> dict[str, str]:
    stated = {"Accept": "application/json", **endpoint.provider.headers}
    if not endpoint.key:
        return stated
    return {**stated, **_CREDENTIALS.get(endpoint.provider.client, _bearer)(endpoint)}


def _bearer(endpoint: Endpoint) -> dict[str, str]:
    if endpoint.provider.auth == "api-key":
        return {"api-key": endpoint.key}
    return {"Authorization": f"Bearer {endpoint.key}"}


_CREDENTIALS: Final[Mapping[str, Callable[[Endpoint], dict[str, str]]]] = {
    "anthropic": lambda to: {"x-api-key": to.key, "anthropic-version": "2023-06-01"},
    "google": lambda to: {"x-goog-api-key": to.key},
}
"""By client, where it is not the usual header."""


# --- Reading --------------------------------------------------------------------------------


def _ids(page: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    entries = page if isinstance(page, list) else page.get("data") or page.get("models")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            named = entry.get("id") or entry.get("name")
            aliases = entry.get("aliases")
            for each in (named, *(aliases if isinstance(aliases, list) else ())):
                if isinstance(each, str) and each:
                    yield each.removeprefix("models/")


def _next(page: Any) -> dict[str, str]:  # noqa: ANN401 - any JSON value
    """What to ask for the next page with; nothing where this was the last."""
    if not isinstance(page, dict):
        return {}
    last, token = page.get("last_id"), page.get("nextPageToken")
    if page.get("has_more") is True and isinstance(last, str):
        return {"after_id": last}
    return {"pageToken": token} if isinstance(token, str) and token else {}


def _failure(endpoint: Endpoint, code: ErrorCode, message: str) -> UpstreamError:
    return UpstreamError(make(code, message, provider=endpoint.provider.name))
