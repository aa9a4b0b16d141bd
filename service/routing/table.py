"""Who is preferred for what, what each tier may cost, and the presets: the settings, checked.

The rows come from the packaged `defaults.toml`, field by field replaced by `tailrace.toml`
(`service.settings`). What only the registry can tell, whether the names in a row exist, is checked
here, so that a misspelt provider stops the start instead of never being asked. Packaged rows are
not checked: where an operator's own list of models leaves out what such a row names, the decision
takes that provider's best-fitting model instead.

One table serves until the configuration changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from adapters.request import Complexity, Strategy, Tier, UseCase
from service.routing.roster import Known, Roster
from service.settings import Row, Settings, SettingsError

QUALITY: Mapping[Complexity, int] = {
    Complexity.SIMPLE: 1,
    Complexity.MODERATE: 2,
    Complexity.COMPLEX: 3,
    Complexity.EXPERT: 4,
}
"""The class of answers (`Model.quality`) that a task asks for."""

DEFAULT = "default"
"""The origin of what no operator said (`Settings.origin`)."""


@dataclass(frozen=True, slots=True)
class Preference:
    """One name of a row; without a model the provider's best for the request."""

    provider: str
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCaseRow:
    """What one use case wants."""

    complexity: Complexity
    output_tokens: int
    """Expected of an answer."""
    latency: Strategy | None
    prefer: Mapping[Tier, tuple[Preference, ...]]
    """Best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What one name stands for."""

    use_case: UseCase
    tier: Tier
    latency: Strategy | None
    """None: as the use case has it."""
    system: str
    """Empty: none."""


@dataclass(slots=True, eq=False)
class Table:
    """The configuration of routing."""

    use_cases: Mapping[UseCase, UseCaseRow]
    caps: Mapping[Tier, float]
    """The most that a request may be estimated to cost, US dollars."""
    presets: Mapping[str, Preset]
    _roster: Roster | None = field(default=None, init=False, repr=False)

    def roster(self, known: Known) -> Roster:
        """Everybody who could be asked, sorted again only when the deployment was replaced."""
        if self._roster is None or self._roster.known is not known:
            self._roster = Roster(known)
        return self._roster


def build(settings: Settings, known: Known) -> Table:
    """Read the settings; while nobody is known yet, no name is checked.

    Raises SettingsError, in one line, for a name in an operator's `prefer` that does not exist.
    """
    return Table(
        use_cases={
            use_case: UseCaseRow(
                complexity=own.complexity,
                output_tokens=own.expected_output_tokens,
                latency=own.latency,
                prefer={
                    tier: tuple(_preferences(settings, use_case, tier, known)) for tier in Tier
                },
            )
            for use_case, own in settings.use_cases.items()
        },
        caps={tier: getattr(settings.tiers, tier.value) for tier in Tier},
        presets={
            name: Preset(
                use_case=own.use_case, tier=own.tier, latency=own.latency, system=own.system
            )
            for name, own in settings.presets.items()
        },
    )


def _preferences(
    settings: Settings, use_case: UseCase, tier: Tier, known: Known
) -> Iterator[Preference]:
    key, names = _row(settings, use_case, tier)
    origin = settings.origin(key)
    for name in names:
        provider, _, model = name.partition("/")
        preference = Preference(provider, model if model not in {"", "auto"} else None)
        if known and origin != DEFAULT:
            _check(preference, known, f"{key} in {origin}: {name[:64]!r} is not allowed")
        yield preference


def _row(settings: Settings, use_case: UseCase, tier: Tier) -> tuple[str, tuple[str, ...]]:
    """The key and the names that hold for a tier: its own, else the use case's.

    A packaged row of a tier does not outlive an operator's word on the whole use case: who writes
    `prefer` once means every tier.
    """
    own = settings.use_cases[use_case]
    whole = f"use_cases.{use_case}.prefer"
    of_tier = f"use_cases.{use_case}.{tier}.prefer"
    row: Row | None = getattr(own, tier.value)
    packaged = settings.origin(of_tier) == DEFAULT
    if row is None or (packaged and settings.origin(whole) != DEFAULT):
        return whole, own.prefer
    return of_tier, row.prefer


def _check(preference: Preference, known: Known, complaint: str) -> None:
    entry = known.get(preference.provider)
    if entry is None:
        raise SettingsError(
            f"{complaint}; must be <provider> or <provider>/<model> of {', '.join(known)}"
        )
    listed = entry.provider.models
    if preference.model is None or any(preference.model in (m.id, m.alias) for m in listed):
        return
    names = ", ".join(f"{preference.provider}/{m.alias or m.id}" for m in listed)
    raise SettingsError(f"{complaint}; must be {preference.provider} or one of {names}")
