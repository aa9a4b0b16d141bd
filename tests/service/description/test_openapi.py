"""The OpenAPI document by itself."""

from service.description import openapi


def test_it_says_which_openapi_it_is() -> None:
    assert openapi.document()["openapi"] == "3.2.0"
