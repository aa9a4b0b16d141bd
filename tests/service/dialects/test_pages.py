"""Addresses that a reader may be sent to."""

import pytest

from adapters.events import Citation
from service.dialects.pages import address


@pytest.mark.parametrize("url", ["https://a.example/b", "http://a.example", "HTTPS://A.example"])
def test_a_page_of_the_web_has_an_address(url: str) -> None:
    assert address(Citation(id="c", kind="url", url=url)) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "javascript:alert(1)",
        " javascript:alert(1)//https://",
        "data:text/html,x",
        "file:///etc/passwd",
        "//a.example",
        "https:a.example",
    ],
)
def test_anything_else_has_none(url: str | None) -> None:
    assert address(Citation(id="c", kind="url", url=url)) is None
