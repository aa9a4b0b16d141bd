"""The OpenAPI document: every HTTP route, what it takes and everything that it may answer.

Each API is a module beside this one: the shapes it answers with, as structs, and a table of its
operations. Here they are put together. The document is OpenAPI 3.2, the first version that can say
what the items of a stream are.

Left out: what is said over the WebSockets (`asyncapi`), of which only the handshakes are here.
"""

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from service.description import (
    chat_completions,
    coordination,
    messages,
    native,
    operating,
    providers,
    responses,
    ui_chat,
    usage,
)
from service.description.components import merged
from service.description.operations import Operation, described

VERSION: Final = "3.2.0"

_APIS: Final[Mapping[str, ModuleType]] = {
    "Streams": native,
    "Chat completions": chat_completions,
    "Responses": responses,
    "Messages": messages,
    "UI chat": ui_chat,
    "Coordination": coordination,
    "Providers": providers,
    "Usage": usage,
    "Operating": operating,
}
"""By the tag that its operations have."""


def document() -> dict[str, Any]:
    """The whole document, made anew."""
    paths: dict[str, Any] = {}
    for tag, operation in operations():
        paths.setdefault(operation.path, {})[operation.method] = described(operation, tag)
    return {
        "openapi": VERSION,
        "info": {
            "title": "Tailrace",
            "version": "1",
            "description": "LLM answers as streams: native, and in the words of others' clients.",
        },
        "tags": [{"name": tag, "description": _said(api)} for tag, api in _APIS.items()],
        "paths": paths,
        "components": {"schemas": merged(*(api.schemas() for api in _APIS.values()))},
    }


def operations() -> Iterator[tuple[str, Operation]]:
    """Every operation, with its tag."""
    for tag, api in _APIS.items():
        for operation in api.OPERATIONS:
            yield tag, operation


def _said(api: ModuleType) -> str:
    """An API's first sentence about itself."""
    return (api.__doc__ or "").partition("\n")[0]
