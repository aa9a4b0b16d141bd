"""Settings and environment -> for each provider, where it is and with which key, or why it is not.

Which variables hold a provider's key and address is the provider's own data; which of the
operator's words wins is decided here, by the layers of `service.settings`: first
`TAILRACE_PROVIDERS__<NAME>__KEY`, then the provider's variables in their order (each before its
`_FILE`), last `key` and `key_file` of `tailrace.toml`; for the address likewise, then the region's,
then the provider's own. A value that a template left in place (empty, or `your-...-here`) counts as
missing wherever it stands.

A name in the settings that no provider has is a new provider: another deployment of the one it is
`like`, or any server that speaks OpenAI's chat completions. It gets no other provider's key.

Nothing is remembered and the environment is an argument, so SIGHUP resolves anew. The only I/O is
reading key files.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from adapters.clients import addresses
from adapters.contract import Endpoint, Model, Provider
from service.settings import PREFIX, ModelSettings, ProviderSettings, Settings, SettingsError

_UNSET = ProviderSettings()
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Inactive:
    """A provider that cannot be asked, and why."""

    provider: Provider
    reason: Literal["no_key", "no_address", "disabled", "retired"]


def resolve(
    providers: Mapping[str, Provider],
    compatible: Provider,
    settings: Settings,
    environ: Mapping[str, str],
) -> dict[str, Endpoint | Inactive]:
    """Say of every provider, known or configured, whether it can be asked.

    Args:
        providers: The known ones; the result keeps their order, new ones follow.
        compatible: What a new provider is like unless it says otherwise.
        settings: As loaded.
        environ: The environment, whole.

    Raises:
        SettingsError: In one line, for a key file that cannot be read, a key that cannot be sent,
            a bad address, an unknown region, a new provider that says too little.
    """
    everyone = dict(providers)
    for name, own in settings.providers.items():
        if name not in providers:
            everyone[name] = _new(name, own, providers, compatible)
    return {name: _resolve(provider, settings, environ) for name, provider in everyone.items()}


def _new(
    name: str, own: ProviderSettings, providers: Mapping[str, Provider], compatible: Provider
) -> Provider:
    """A provider that only the settings know."""
    key = f"providers.{name}"
    if own.base_url is None and own.region is None:
        raise SettingsError(
            f"{key}: not a known provider ({', '.join(providers)}); a new one needs {key}.base_url"
        )
    if own.like is None and own.models is None:
        raise SettingsError(f"{key}.models: missing; name at least one model")
    if own.like is not None and own.like not in providers:
        raise SettingsError(
            f"{key}.like: {own.like!r} is not allowed; must be one of {', '.join(providers)}"
        )
    template = providers[own.like] if own.like else compatible
    variable = f"{PREFIX}PROVIDERS__{name}__".upper()
    return replace(
        template,
        name=name,
        title=name,
        # Never the template's variables: its key would go to another address.
        key_vars=(f"{variable}KEY",) if template.key_vars else (),
        address_var=f"{variable}BASE_URL",
        base_url=None,
        base_path=urlsplit(template.base_url or template.base_path).path,
        retired=None,
    )


def _resolve(
    provider: Provider, settings: Settings, environ: Mapping[str, str]
) -> Endpoint | Inactive:
    own = settings.providers.get(provider.name, _UNSET)
    if own.models is not None:
        models = tuple(_model(provider, wanted) for wanted in own.models)
        provider = replace(provider, models=models)
    if own.cancel_billing is not None:
        provider = replace(provider, cancel_billing=own.cancel_billing)
    if not own.enabled:
        return Inactive(provider, "disabled")
    key = _key(provider, settings, environ)
    address = _address(provider, settings, environ)
    if provider.retired and not (key and address):
        return Inactive(provider, "retired")
    if provider.key_vars and not key:
        return Inactive(provider, "no_key")
    base_url = address or _regional(provider, own.region) or provider.base_url
    if base_url is None:
        return Inactive(provider, "no_address")
    return Endpoint(provider=provider, base_url=base_url, key=key or "")


def _model(provider: Provider, wanted: ModelSettings) -> Model:
    changes = wanted.model_dump(exclude={"id"}, exclude_none=True)
    return replace(provider.model(wanted.id), **changes)


# --- What the operator said -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Word:
    """A value and where it stands; `in_file` where it is the path of a file that holds it."""

    value: str
    origin: str
    in_file: bool = False

    def read(self) -> str:
        if not self.in_file or not self.value.strip():
            return self.value.strip()
        try:
            return Path(self.value).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise SettingsError(f"{self.origin}: {self.value} cannot be read: {reason}") from error


def _key(provider: Provider, settings: Settings, environ: Mapping[str, str]) -> str | None:
    name = f"providers.{provider.name}"
    own = settings.providers.get(provider.name, _UNSET)
    words = []
    if own.key is not None:
        words.append(_Word(own.key.get_secret_value(), settings.origin(f"{name}.key")))
    if own.key_file is not None:
        words.append(_Word(str(own.key_file), settings.origin(f"{name}.key_file"), in_file=True))
    variables = [
        word
        for variable in provider.key_vars
        for word in (
            _Word(environ.get(variable, ""), variable),
            _Word(environ.get(f"{variable}_FILE", ""), f"{variable}_FILE", in_file=True),
        )
    ]
    for word in _ranked(words, variables):
        key = word.read()
        if _is_placeholder(key):
            continue
        if not _HEADER_SAFE.fullmatch(key):
            raise SettingsError(f"{name}.key in {word.origin}: holds what no header can carry")
        return key
    return None


def _address(provider: Provider, settings: Settings, environ: Mapping[str, str]) -> str | None:
    name = f"providers.{provider.name}.base_url"
    own = settings.providers.get(provider.name, _UNSET).base_url
    words = [_Word(own, settings.origin(name))] if own is not None else []
    variables = [_Word(environ.get(provider.address_var, ""), provider.address_var)]
    for word in _ranked(words, variables):
        address = word.read()
        if _is_placeholder(address):
            continue
        try:
            return addresses.normalise(provider, address)
        except ValueError as error:
            shown = "" if "@" in address else f"{address!r} is not allowed; "
            raise SettingsError(f"{name} in {word.origin}: {shown}{error}") from None
    return None


def _ranked(own: Iterable[_Word], variables: Iterable[_Word]) -> Iterator[_Word]:
    """The environment before the file, and in it what names Tailrace before what all SDKs read."""
    own = list(own)
    yield from (word for word in own if word.origin.startswith(PREFIX))
    yield from variables
    yield from (word for word in own if not word.origin.startswith(PREFIX))


def _regional(provider: Provider, region: str | None) -> str | None:
    if region is None:
        return None
    if region not in provider.regions:
        known = ", ".join(provider.regions) or "none: it has no regions"
        raise SettingsError(
            f"providers.{provider.name}.region: {region!r} is not allowed; must be one of {known}"
        )
    return provider.regions[region]


def _is_placeholder(value: str) -> bool:
    return not value or ("your-" in value and value.endswith("-here"))
