"""What the providers' own lists of models said when they were last asked, kept in a file.

`<data>/catalog.json` is written by `tailrace catalog refresh` alone, whole or not at all, and read
by whoever shows or routes models. It adds to the built-in list and takes nothing out of it: a model
that its provider no longer names is told as gone, one that it newly names is told as new, with
nothing known of it but its name.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from adapters.contract import Model, Provider

FILE: Final = "catalog.json"

_DATE: Final = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|\d{4})$")
"""As the makers append it to a name: -20261001, -2026-10-01, -1001."""


class DiscoveryError(Exception):
    """The file cannot be read or written; the text is one line."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider's list said, against the models that were listed here."""

    at: str
    """When it was asked, ISO 8601 in UTC."""
    ids: tuple[str, ...]
    """As the provider names them, aliases included."""
    new: tuple[str, ...]
    """Of these, the ones that are not listed here."""
    gone: tuple[str, ...]
    """The ids that are listed here and not there."""


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """The file as a whole. Providers that were never asked are not in it."""

    version: int = 1
    providers: dict[str, Found] = {}

    def new(self, provider: str) -> tuple[str, ...]:
        """The ids that the provider's list names and ours does not."""
        found = self.providers.get(provider)
        return found.new if found is not None else ()


NOTHING: Final = Discovery()


def compare(models: Iterable[Model], ids: tuple[str, ...], at: str) -> Found:
    """Tell what is new and what is gone. A dated id stands for the name it is a version of."""
    ours = {model.id.casefold(): model for model in models}
    named = {_plain(each, ours) for each in ids}
    return Found(
        at=at,
        ids=ids,
        new=tuple(each for each in ids if _plain(each, ours) not in ours),
        gone=tuple(m.id for name, m in ours.items() if m.listed and name not in named),
    )


def marked(provider: Provider, discovery: Discovery) -> Provider:
    """The provider with the models marked that its own list no longer names.

    They stay listed: whoever asks for one by its name means it, and the provider may still know it.
    """
    found = discovery.providers.get(provider.name)
    if found is None or not found.gone:
        return provider
    models = tuple(replace(model, gone=model.id in found.gone) for model in provider.models)
    return replace(provider, models=models)


def _plain(listed: str, ours: Iterable[str]) -> str:
    name = listed.casefold()
    return name if name in ours else _DATE.sub("", name)


# --- The file -------------------------------------------------------------------------------


def load(path: Path) -> Discovery:
    """Read the file; where there is none, nothing is known.

    Raises DiscoveryError: It cannot be read, or is not what `save` writes.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Discovery)
    except FileNotFoundError:
        return NOTHING
    except OSError as error:
        raise DiscoveryError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DiscoveryError(
            f"{path}: {error}; `tailrace catalog refresh` makes it anew"
        ) from error


def save(path: Path, discovery: Discovery) -> None:
    """Replace the file in one step; a reader sees the old one or the new one.

    Raises DiscoveryError: It cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(discovery), indent=1))
        beside.replace(path)
    except OSError as error:
        raise DiscoveryError(f"{path}: cannot be written: {error.strerror}") from error
