"""The OpenAPI document: every HTTP route, what it takes and everything that it may answer."""

from typing import Any, Final

VERSION: Final = "3.2.0"


def document() -> dict[str, Any]:
    """The whole document, made anew."""
    return {
        "openapi": VERSION,
        "info": {"title": "Tailrace", "version": "1"},
        "paths": {},
    }
