from adapters.clients.identity import only

OMIT = object()


def test_what_an_sdk_would_add_is_omitted_and_what_is_stated_comes_after() -> None:
    defaults = ("Accept", "x-canary", "user-agent", "User-Agent")
    headers = only({"Accept": "a", "User-Agent": "ours"}, defaults, OMIT)
    assert headers["x-canary"] is headers["user-agent"] is OMIT
    assert headers["x-stainless-retry-count"] is OMIT
    assert list(headers.items())[-2:] == [("Accept", "a"), ("User-Agent", "ours")]
