"""A provider's list of models, in the form and the pages of whoever is asked.

OpenAI and all who follow it give the whole list; Anthropic 20 at a time, told by its own header;
Google 50 at a time.
"""

from urllib.parse import parse_qs, urlsplit

from tests.double.paths import BASE_PATHS
from tests.double.script import Script, http_answer
from tests.double.seen import Seen

GOOGLES = "/v1beta/models"
_PATHS = {f"{base}/models" for base in BASE_PATHS.values()} | {GOOGLES, "/v1/models"}

ANTHROPICS_PAGE = 20
GOOGLES_PAGE = 50


def lists(path: str) -> bool:
    """Whether a list of models is there; `path` with its query."""
    return urlsplit(path).path in _PATHS


def listing(seen: Seen, models: list[str]) -> Script:
    """The answer to a request for it."""
    parts = urlsplit(seen.path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.path == GOOGLES:
        return http_answer(200, _googles(models, int(query.get("pageToken", "0"))))
    if "anthropic-version" in seen.headers:
        return http_answer(200, _anthropics(models, query.get("after_id")))
    data = [{"id": model, "object": "model"} for model in models]
    return http_answer(200, {"object": "list", "data": data})


def _googles(models: list[str], start: int) -> dict[str, object]:
    end = start + GOOGLES_PAGE
    page: dict[str, object] = {"models": [{"name": f"models/{each}"} for each in models[start:end]]}
    return {**page, "nextPageToken": str(end)} if end < len(models) else page


def _anthropics(models: list[str], after: str | None) -> dict[str, object]:
    start = models.index(after) + 1 if after else 0
    page = models[start : start + ANTHROPICS_PAGE]
    return {
        "data": [{"type": "model", "id": each} for each in page],
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
        "has_more": start + ANTHROPICS_PAGE < len(models),
    }
