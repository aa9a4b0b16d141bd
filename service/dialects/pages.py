"""Which source of an answer is a page that a reader may be sent to.

Clients make links of the addresses they are given, and a model or a page that it read can have
written one: `javascript:` or `data:` in a link would run in the reader's browser. So only http and
https are addresses here. What the provider said is in the native stream, unchanged.
"""

from typing import Final

from adapters.events import Citation

_SCHEMES: Final = ("https://", "http://")


def address(cited: Citation) -> str | None:
    """The address of a cited page; None for a source that has none to be sent to."""
    url = cited.url
    return url if url is not None and url.lower().startswith(_SCHEMES) else None
