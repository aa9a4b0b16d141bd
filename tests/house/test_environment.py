""".env.example is complete, true and harmless."""

import ast
import re

import pytest

from adapters.registry import COMPATIBLE, PROVIDERS
from service.endpoints import Inactive, resolve
from service.settings import PREFIX, ProviderSettings, Settings, load
from tests.house.tree import ROOT, modules, parsed

LINE = re.compile(r"^(?P<off># )?(?P<name>[A-Z][A-Z0-9_]+)=(?P<value>.*)$", re.MULTILINE)
SECTIONS = ("server", "streams", "websocket", "hedging")

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
VALUES = {found["name"]: found["value"] for found in LINE.finditer(EXAMPLE)}
SWITCHED_ON = {found["name"] for found in LINE.finditer(EXAMPLE) if not found["off"]}


def names_of_section(section: str) -> set[str]:
    model = Settings.model_fields[section].annotation
    return {f"{PREFIX}{section}__{field}".upper() for field in model.model_fields}


def test_it_names_every_variable_that_is_read_and_no_other() -> None:
    providers = {
        variable
        for provider in PROVIDERS.values()
        for variable in (*provider.key_vars, provider.address_var)
        if variable
    }
    sections = {name for section in SECTIONS for name in names_of_section(section)}
    added = {
        f"{PREFIX}PROVIDERS__OLLAMA__{field.upper()}" for field in ProviderSettings.model_fields
    }
    assert set(VALUES) == providers | sections | added


def test_its_settings_are_the_defaults() -> None:
    shown = {name: value for name, value in VALUES.items() if "__OLLAMA__" not in name}
    assert load(None, shown).model_dump() == load(None, {}).model_dump()


def test_its_new_provider_is_one_that_works() -> None:
    shown = {name: value for name, value in VALUES.items() if "__OLLAMA__" in name}
    found = resolve(PROVIDERS, COMPATIBLE, load(None, shown), shown)
    assert not isinstance(found["ollama"], Inactive)


def test_its_addresses_are_the_providers_own() -> None:
    for provider in PROVIDERS.values():
        if provider.base_url is not None and provider.address_var:
            assert VALUES[provider.address_var] == provider.base_url


def test_copied_as_it_is_it_activates_nobody() -> None:
    environ = {name: VALUES[name] for name in SWITCHED_ON}
    found = resolve(PROVIDERS, COMPATIBLE, load(None, environ), environ)
    assert [name for name, entry in found.items() if not isinstance(entry, Inactive)] == ["demo"]


@pytest.mark.parametrize("name", [name for name in VALUES if "KEY" in name or "TOKEN" in name])
def test_it_holds_no_key(name: str) -> None:
    assert re.fullmatch(r"|\d+|your-[a-z]+-key-here", VALUES[name])


def test_every_setting_is_read_by_the_service() -> None:
    read = {
        node.attr
        for path in modules("service")
        if path.name != "settings.py"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute)
    }
    fields = {
        f"{section}.{field}"
        for section in SECTIONS
        for field in Settings.model_fields[section].annotation.model_fields
    }
    assert {name for name in fields if name.partition(".")[2] not in read} == set()
