"""The headers a request has, so that an SDK adds none of its own.

What an SDK would send by default is not its own doing alone: organisation, project, custom headers
and second credentials come from the environment, into the same place (`OPENAI_ORG_ID`,
`OPENAI_CUSTOM_HEADERS`, `ANTHROPIC_CUSTOM_HEADERS`, `GROQ_CUSTOM_HEADERS`). `organization=None`
does not stop that. So the headers are turned around: whatever stands among the SDK's defaults is
taken out by name, and what the request needs is stated. It does not matter which variable put a
header there, nor whether a later version of the SDK reads another one.

The SDK's reports about itself (`x-stainless-...`: its version, Python's, the machine's) go the same
way; nobody asked for them, and a request is no dearer without them.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

_Omit = TypeVar("_Omit")

_LATE = ("x-stainless-retry-count", "x-stainless-read-timeout", "x-stainless-timeout")
"""Added while a request is built, so not among the defaults."""

JSON: Mapping[str, str] = {"Accept": "application/json", "Content-Type": "application/json"}


def only(stated: Mapping[str, str], defaults: Iterable[str], omit: _Omit) -> dict[str, str | _Omit]:
    """The headers option that leaves `stated` alone of an SDK's `defaults`.

    `omit` is the SDK's own mark for a header to leave out. What is stated comes last: some SDKs
    compare names without regard to case, one after the other, and others do not.
    """
    names = [name for name in (*defaults, *_LATE) if name not in stated]
    return {**dict.fromkeys(names, omit), **stated}
