"""What other people's tools are configured to be on this machine, and which of them are not there.

A pipeline's tools (the folder with its agents, the executor's command) come to this service as
clients, by its address: nothing here starts them or reads what is in their folders. An operator may
name them in `[integrations.<name>]` all the same, and then they are looked for, at the start, when
the configuration is read again and by `tailrace check-config`. What is missing is told in one line
and is never in the way of a start: models can be served without a tool that asks for them.

Left out: addresses. That nobody answers at one is true of a moment, not of this machine, and to
find out a start would have to wait for the network.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from service.settings import IntegrationSettings


@dataclass(frozen=True, slots=True)
class Look:
    """What there is of one integration."""

    found: tuple[str, ...]
    """For each part of it that is there: its key, and where it is."""
    missing: tuple[str, ...]
    """For each other one: its key, its value, and what was looked for."""

    @property
    def warning(self) -> str | None:
        """All that is missing in one line; None: nothing is."""
        return "; ".join(self.missing) or None


def look(configured: Mapping[str, IntegrationSettings], environ: Mapping[str, str]) -> list[Look]:
    """Look for every integration that is enabled; whatever is on the disk, it does not raise.

    `environ`: for its PATH, in which a command that is no path is searched.
    """
    return [
        _look(f"integrations.{name}", integration, environ.get("PATH", ""))
        for name, integration in configured.items()
        if integration.enabled
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    value: str
    place: str | None
    """Where it is; None: nowhere."""
    sought: str
    """What is not there, if it is nowhere."""


def _look(key: str, integration: IntegrationSettings, search: str) -> Look:
    parts = tuple(_parts(integration, search))
    return Look(
        found=tuple(f"{key}.{part.name}: {part.place}" for part in parts if part.place is not None),
        missing=tuple(
            f"{key}.{part.name}: {part.value!r} is missing: {part.sought}"
            for part in parts
            if part.place is None
        ),
    )


def _parts(integration: IntegrationSettings, search: str) -> Iterator[_Part]:
    if integration.command is not None:
        yield _command(integration.command, search)
    if integration.folder is not None:
        yield _folder(integration.folder)


def _command(value: str, search: str) -> _Part:
    path = _from_home(value)
    sought = "there is no file that can be run"
    if Path(path).name == path:
        # PATH is shown, because a service manager's is seldom that of a person's terminal.
        sought = f"no program of that name is in PATH ({search!r})"
    return _Part("command", value, shutil.which(path, path=search), sought)


def _folder(value: str) -> _Part:
    place = Path(_from_home(value)).absolute()
    try:
        there, sought = place.is_dir(), "there is no folder"
    except OSError as failure:
        there, sought = False, f"no folder can be seen there ({failure.strerror})"
    return _Part("folder", value, str(place) if there else None, sought)


def _from_home(value: str) -> str:
    """A path with the `~` at its beginning written out; as it is where nobody lives there."""
    if not value.startswith("~"):
        return value  # Path would take the `./` off a command's, which is then searched in PATH
    try:
        return str(Path(value).expanduser())
    except RuntimeError:
        return value
