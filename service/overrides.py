"""What the admin API changed about providers: kept in the data folder, above every other setting.

`providers.json` holds for each provider the fields that were changed, and nothing else, so that
what was never changed goes on following `tailrace.toml` and the environment. A null there is a
change, too: the limit is lifted. It is read once, at the start, and written whole at every change:
into a file beside it, synced, and renamed over it, so that a crash leaves the old or the new one.
The sync may take a slow disk a second in which no token would flow, so it has a thread of its own.

A file that cannot be understood stops the start with one line: whoever disabled a provider must
not find it enabled because of a slip in an editor. An entry of a provider that is configured no
more is kept, and counts again when the provider does.

`service.settings` knows nothing of this: `apply` puts the changes over its result.

Several workers share the file. Each change is then made to the file as it is at that moment, under
a lock that the system lets go of when a process dies, and told to the others, which `follow`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

import orjson

from service import files, tasks
from service.change import Change, ChangeError
from service.settings import ProviderSettings, Settings, SettingsError

FILE: Final = "providers.json"

Tell = Callable[[str, bool], None]
"""Called with a provider that was changed, and whether it was switched on."""


class Overrides:
    """Every provider's change; lives as long as the process."""

    def __init__(self, path: Path, changes: dict[str, Change], tell: Tell | None = None) -> None:
        """What the file at `path` holds; `read` reads it."""
        self._path = path
        self._changes = changes
        self._tell = tell
        self._turn = asyncio.Lock()

    @classmethod
    def read(cls, folder: Path, *, tell: Tell | None = None) -> "Overrides":
        """Read the file in the data folder; nothing is changed where there is none.

        `tell` is called when a change is on the disk, where other processes share the file. Raises
        SettingsError: it cannot be read, or holds what cannot stand.
        """
        path = folder / FILE
        return cls(path, _stored(path), tell)

    def of(self, provider: str) -> Change:
        """What is changed of a provider."""
        return self._changes.get(provider, _NOTHING)

    def switched_off(self, provider: str) -> bool:
        """Whether it was disabled here, and not in the configuration."""
        return not self.of(provider).enabled

    def apply(self, settings: Settings, known: Container[str]) -> Settings:
        """The settings with the changes over them, and this file as their origin.

        `known`: the providers that need no settings to exist.
        """
        providers = dict(settings.providers)
        origins: dict[str, str] = {}
        for name, change in self._changes.items():
            if name not in known and name not in settings.providers:
                continue
            own = providers.get(name, ProviderSettings())
            providers[name] = own.model_copy(update=change.given())
            origins |= {f"providers.{name}.{field}": str(self._path) for field in change.given()}
        # Deep, because a shallow copy would share its note of the origins with the original.
        merged = settings.model_copy(update={"providers": providers}, deep=True)
        merged.remember(origins)
        return merged

    async def change(self, provider: str, change: Change, heed: Callable[[], None]) -> None:
        """Put a change into force and keep it, or do neither.

        `heed` makes what `apply` gives the truth; it may be called again to take that back. Raises
        what `heed` does, which is SettingsError for settings that cannot stand, and OSError where
        the file cannot be written. It goes on where the caller is cancelled.
        """
        doing = tasks.spawn(self._change(provider, change, heed), name=f"change {provider}")
        refusal = await asyncio.shield(doing)
        if refusal is not None:
            raise refusal

    async def follow(self, heed: Callable[[], None]) -> None:
        """Put into force what another process changed.

        Raises SettingsError, and whatever else `heed` does, and then everything is as it was.
        """
        async with self._turn:
            before = self._changes
            self._changes = await asyncio.to_thread(_stored, self._path)
            try:
                heed()
            except Exception:
                self._changes = before
                raise

    async def _change(
        self, provider: str, change: Change, heed: Callable[[], None]
    ) -> Exception | None:
        """Returned, not raised: a task that raises is reported as one that died."""
        try:
            async with self._turn, self._alone():
                await self._put(provider, change, heed)
        except Exception as refusal:  # noqa: BLE001 - any, for whoever asked
            return refusal
        if self._tell is not None:
            self._tell(provider, bool(change.given().get("enabled")))
        return None

    async def _put(self, provider: str, change: Change, heed: Callable[[], None]) -> None:
        before = self._changes
        self._changes = before | {provider: change.over(self.of(provider))}
        try:
            heed()
        except Exception:
            self._changes = before  # what stayed, the next change would keep
            raise
        try:
            await asyncio.to_thread(_write, self._path, _encoded(self._changes))
        except OSError:
            self._changes = before
            heed()
            raise

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Where others share the file: know what is in it, and keep them from changing it."""
        if self._tell is None:
            yield
            return
        lock = await asyncio.to_thread(_locked, self._path)
        try:
            self._changes = await asyncio.to_thread(_stored, self._path)
            yield
        finally:
            lock.close()


_NOTHING: Final = Change()


def _stored(path: Path) -> dict[str, Change]:
    """What the file holds; raises SettingsError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as failure:
        raise SettingsError(f"{path}: cannot be read: {failure.strerror}") from failure
    try:
        return _parsed(content)
    except ChangeError as failure:
        raise SettingsError(
            f"{path}: {failure}; mend the file, or delete it to undo what the admin API changed"
        ) from None


def _parsed(content: bytes) -> dict[str, Change]:
    """Raises ChangeError, with the provider's name in it."""
    try:
        entries = orjson.loads(content)
    except orjson.JSONDecodeError as failure:
        raise ChangeError(None, f"not JSON: {failure}") from None
    if not isinstance(entries, dict):
        raise ChangeError(None, "it holds no object of providers")
    changes = {}
    for name, entry in entries.items():
        try:
            changes[name] = Change.of(entry)
        except ChangeError as failure:
            raise ChangeError(name, str(failure)) from None
    return changes


def _encoded(changes: dict[str, Change]) -> bytes:
    entries = {name: change.given() for name, change in changes.items()}
    return orjson.dumps(entries, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _locked(path: Path) -> IO[bytes]:
    """Wait for the lock of a file that is replaced whole; closing what is returned lets go of it.

    It is held for as long as a sync takes.
    """
    lock = path.with_name(f".{path.name}.lock").open("ab")
    files.lock(lock)
    return lock


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole, so that it is on the disk when this returns."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        files.sync(file)
    beside.replace(path)
    files.sync_folder(path.parent)
