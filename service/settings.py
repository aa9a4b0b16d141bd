"""What an operator can set: one frozen tree of sections, read once and handed around whole.

Four layers, the later ones winning: the defaults (those below, and the routing table in
`defaults.toml` beside this module), `tailrace.toml`, the environment
(`TAILRACE_<SECTION>__<FIELD>`, so `TAILRACE_SERVER__PORT`), command-line flags. `load` merges them
field by field, remembers where each value came from and validates the result once, so that a bad
value can be answered with one line: the key, where it was set, the value, what is allowed. Nothing
here reads the process's environment or the clock: `load` is a function of its arguments, and
SIGHUP calls it again. An unknown key is refused by name, in the file and in the environment.

Not pydantic-settings: its errors cannot say which layer a value came from, it reads os.environ
itself, and it passes over a misspelt section (`TAILRACE_SEVER__PORT`) in silence.

Keys and addresses in the variables that the SDKs use (`OPENAI_API_KEY`, ...) are not settings of
this module: which variable belongs to which provider is the registry's knowledge, and
`service.endpoints` joins the two.
"""

import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from adapters.dialects.prefill import GO_ON
from adapters.request import Complexity, Strategy, Tier, UseCase
from service import complaints
from service.complaints import LONGEST

PREFIX = "TAILRACE_"

COST = "cost"
"""The consumer group that counts usage into the sums."""

KIB = 1024
MIB = 1024 * KIB


class SettingsError(Exception):
    """A setting that cannot stand; the text is the one line an operator sees."""


# --- Sections -------------------------------------------------------------------------------


def _split(value: object) -> object:
    """A list given as text, as a variable must: `a, b`."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=KIB)]
DollarsPerMillion = Annotated[Decimal, Field(ge=0, le=100_000, allow_inf_nan=False)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_split)]
Preferences = Annotated[Texts, Field(min_length=1, max_length=64)]
Dollars = Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]
ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")]


class Section(BaseModel):
    """One table of `tailrace.toml`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


class Server(Section):
    """The listening socket and what every request meets first."""

    insecure: bool = False
    """Serve on an address that others can reach although no client keys are configured: whoever
    reaches the port spends the provider keys. Default false: loopback only."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs `insecure`."""

    port: int = Field(default=8180, ge=0, le=65_535)
    """TCP port; 0 takes a free one, which the start-up line names."""

    workers: int = Field(default=1, ge=1, le=64)
    """Processes that share the port, one for each core; more than 1 needs an engine."""

    data: Path = Path("./data")
    """The one folder that is written to; made at the start where it is missing."""

    max_body_bytes: Bytes = MIB
    """Largest request body, bytes; a larger one is a 413 before it is parsed."""

    drain_s: float = Field(default=30, ge=0, le=3_600, allow_inf_nan=False)
    """Seconds that running streams get to finish after SIGTERM; what still runs is cut off."""

    allowed_origins: Texts = ()
    """Web origins (`https://chat.example.com`) whose pages may call this service; `*` is any.
    Same-origin pages and programs that are not browsers need no entry. Default none."""

    @field_validator("data", mode="before")
    @classmethod
    def _names_a_folder(cls, data: object) -> object:
        if data == "":  # pathlib takes it for the present folder
            raise ValueError("the name of a folder")
        return data

    @field_validator("host")
    @classmethod
    def _loopback_unless_insecure(cls, host: str, info: ValidationInfo) -> str:
        if info.data.get("insecure") or is_loopback(host):
            return host
        raise ValueError("a loopback address unless server.insecure is true")

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s?#@]+", origin):
                raise ValueError("origins such as https://chat.example.com, without a path, or *")
        return origins


class Streams(Section):
    """The stream log: what is kept of an answer, for how long, and what a slow reader gets."""

    ttl_s: Seconds = 600
    """Seconds that a stream can be read and resumed after its end; then it is a 410."""

    max_bytes: Bytes = 8 * MIB
    """Most bytes of encoded events kept for one stream; beyond them the oldest become a
    snapshot."""

    max_events: Count = 50_000
    """Most events kept for one stream; beyond them the oldest become a snapshot."""

    shared: bool = True
    """Whether the processes on one Redis serve each other's streams: then what is kept of an answer
    and its question lies there, too, for as long. Without it, a stream is known where it was
    started."""

    keepalive_s: Seconds = 10
    """Seconds of silence after which an SSE reader is sent a comment. Proxies give up on a silent
    connection after 30 s (Google's load balancer) or 60 s (nginx, AWS)."""

    slow_reader_bytes: Bytes = 256 * KIB
    """Bytes that a stream on a WebSocket may have unacknowledged, where the client names no
    window."""

    slow_reader_s: Seconds = 10
    """Seconds a reader may stay slow; then it is detached. The stream goes on, to be resumed."""

    stalled_socket_s: Seconds = 30
    """Seconds a WebSocket may take nothing; then it is closed, all its readers with it."""


class Websocket(Section):
    """Limits of one WebSocket connection, told to the client in `ready.limits`."""

    max_frame_bytes: Bytes = MIB
    """Largest frame a client may send, bytes; a larger one closes the socket with 1009."""

    max_streams: Count = 32
    """Streams open at once on one socket."""

    max_generating: Count = 16
    """Of those, how many may be generating."""

    max_sockets: Count = 1_024
    """Open sockets of this process; the next one is refused with 4429."""

    starts_per_s: float = Field(default=5, gt=0, allow_inf_nan=False)
    """Sustained rate of `start` messages on one socket, a second."""

    init_s: Seconds = 5
    """Seconds until the first message must be `init`; then the socket closes with 4408."""

    heartbeat_s: Seconds = 20
    """Seconds of silence before a ping; a socket that has not answered after half as many more is
    dropped."""

    idle_s: Seconds = 300
    """Seconds a socket may stay without any stream."""

    max_age_s: Seconds = 3_600
    """Seconds a socket may live, spread by 10 % so that not all reconnect at once; then 4499."""


class ModelSettings(Section):
    """One model of a provider, where its id alone does not say enough."""

    id: str = Field(min_length=1)
    """The provider's own id, as it goes on the wire; on Azure the deployment's name."""

    alias: str | None = None
    """Short name, for `<provider>/<alias>`."""

    context: int | None = Field(default=None, ge=1)
    """Window, tokens. Default unknown: nothing is refused for its length."""

    max_output: int | None = Field(default=None, ge=1)
    """Most output tokens it may be asked for."""

    images: bool | None = None
    """Takes images in."""

    tools: bool | None = None
    """Takes tools."""

    reasoning: Literal["none", "optional", "always"] | None = None
    """Whether it reasons before it answers."""

    price_input: DollarsPerMillion | None = None
    """US dollars per million input tokens, where you pay others than the catalog's, or it knows
    none; stated together with `price_output`."""

    price_output: DollarsPerMillion | None = Field(default=None, validate_default=True)
    """US dollars per million output tokens."""

    @field_validator("price_output")
    @classmethod
    def _beside_price_input(cls, price: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if (price is None) != (info.data.get("price_input") is None):
            raise ValueError("a number where price_input is one, and only there")
        return price


def _model(value: object) -> object:
    return {"id": value} if isinstance(value, str) else value


class ProviderSettings(Section):
    """`[providers.<name>]`: changes to a known provider, or a whole new one.

    A name that Tailrace does not know is a new provider and needs `base_url`; it speaks OpenAI's
    chat completions (Ollama, vLLM, llama.cpp) unless `like` names a known provider, of which it is
    then another deployment.
    """

    enabled: bool = True
    """False: never asked, and listed as disabled."""

    key: SecretStr | None = None
    """API key. Set in `tailrace.toml` it comes after the provider's own variables; set as a
    variable, before them."""

    key_file: Path | None = None
    """File that holds the key, as secret stores mount one; read at the start and on SIGHUP."""

    base_url: str | None = None
    """Address instead of the provider's own, with or without the path its documents give."""

    region: str | None = None
    """One of the provider's regions. Keys are bound to theirs: the wrong one is a 401."""

    models: tuple[Annotated[ModelSettings, BeforeValidator(_model)], ...] | None = Field(
        default=None, min_length=1
    )
    """The models to offer, best first, by id or listed alias. Default: those Tailrace lists."""

    requests_per_minute: int | None = Field(default=None, ge=1)
    """Requests a minute that may be sent to it; what is beyond goes elsewhere. Default no limit."""

    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Input and output tokens a minute. Default no limit."""

    concurrent_streams: int | None = Field(default=None, ge=1)
    """Answers it may be giving at once. Default no limit."""

    cancel_billing: Literal["stops", "full", "unknown"] | None = None
    """What it charges for an answer that is cancelled: what was generated so far, all of it, or
    nobody knows. Default what Tailrace knows of it."""

    like: str | None = None
    """For a new name: the known provider whose wire format and quirks it shares."""

    @field_validator("models", mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return _split(value)


class Row(Section):
    """`[use_cases.<name>.<tier>]`: another preference for one budget tier."""

    prefer: Preferences
    """Who answers, best first: `<provider>` or `<provider>/<alias or id>`."""


class UseCaseSettings(Section):
    """`[use_cases.<name>]`: who answers such requests, and what they are like."""

    complexity: Complexity
    """Class of answers it wants."""

    expected_output_tokens: Count
    """What an answer takes, tokens; a request's `max_tokens` bounds it."""

    prefer: Preferences
    """Who answers, best first: `<provider>` or `<provider>/<alias or id>`. It ranks and never
    restricts."""

    latency: Strategy | None = None
    """Strategy of requests that name none. Default normal."""

    ultra_economy: Row | None = None
    economy: Row | None = None
    standard: Row | None = None
    premium: Row | None = None
    enterprise: Row | None = None


class Tiers(Section):
    """`[tiers]`: the most that a request may be estimated to cost, US dollars.

    Each is at least the one before.
    """

    ultra_economy: Dollars
    economy: Dollars
    standard: Dollars
    premium: Dollars
    enterprise: Dollars

    @field_validator("economy", "standard", "premium", "enterprise")
    @classmethod
    def _not_below_the_one_before(cls, cap: float, info: ValidationInfo) -> float:
        # What is wrong itself is told already, and not in `data`.
        before, least = next(reversed(info.data.items()), ("", 0.0))
        if cap < least:
            raise ValueError(f"at least tiers.{before}, {least:g}")
        return cap


class Hedging(Section):
    """`[hedging]`: what a hedged request may wait and cost. Read at the start only."""

    request_share: float = Field(default=0.05, gt=0, le=1, allow_inf_nan=False)
    """Extra requests that hedging may send, of those that may be hedged."""

    cost_share: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    """Extra cost that it may cause, of what those requests cost. Default 0.05 where a provider
    stops its bill with the connection, 0.06 where it does not."""

    least_delay_s: Seconds = 0.15
    """Least silence after which anybody is hedged, seconds."""

    most_delay_s: Seconds = 8
    """Most, for short prompts; up to four times as much for long ones."""

    cold_delay_s: Seconds = 2
    """The same while too little is known of a model."""

    most_input_tokens: Count = 32_000
    """Longer prompts are not hedged."""

    continue_prompt: Annotated[str, StringConstraints(min_length=1, max_length=2_000)] = GO_ON
    """What a model is told that is to go on with another one's answer and cannot be given its
    beginning."""

    @field_validator("most_delay_s")
    @classmethod
    def _not_below_the_least(cls, most: float, info: ValidationInfo) -> float:
        least = info.data.get("least_delay_s", 0.0)
        if most < least:
            raise ValueError(f"at least hedging.least_delay_s, {least:g}")
        return most


class Usage(Section):
    """`[usage]`: where what was used and spent is kept. Read at the start only."""

    engine: Literal["auto", "in-process"] = "auto"
    """What carries the usage stream and shared state. `auto`: the Redis at REDIS_URL, else an
    embedded server, else this process alone; `in-process`: this process alone whatever there is."""

    durability: Literal["power", "process"] = "power"
    """What an attempt that was written down survives: a loss of power, or only the process' end,
    which spares a sync of the disk."""

    open_record: Literal["async", "sync", "off"] = "async"
    """An attempt is written down when it is sent, so that a crash cannot hide it. `async`: while
    the request goes out, its first content waits for it; `sync`: before; `off`: not at all, and a
    crash hides what was running."""

    on_journal_error: Literal["reject", "allow"] = "reject"
    """What becomes of new requests while nothing can be written down: a 503, or they are served and
    what they cost is lost."""

    ballast_bytes: int = Field(default=64 * MIB, ge=0, le=1024 * MIB)
    """Space put by on the disk, bytes: when it is full, what runs can still be written down in it.
    64 MiB hold some 40,000 attempts."""

    database: str = ""
    """`postgresql://...` to keep the sums there. Default `usage.db` in the data folder."""

    aggregate: bool = True
    """False: the sums are another process' business, `tailrace usage aggregate`."""

    groups: Texts = (COST,)
    """Consumer groups that must have acknowledged an entry before it is deleted from the stream.
    `cost`, the aggregator's own, is one of them whatever is listed."""

    stream_kept_s: int = Field(default=3_600, ge=0)
    """Seconds that entries stay in the stream, from when they came: longer until all groups have
    acknowledged them, shorter once they have and it is more than half full."""

    stream_entries: int = Field(default=400_000, ge=1_000, le=1_000_000_000)
    """Most entries in a stream, some 1.7 kB of memory each; beyond them events wait in the
    journal. On a cluster of each of its streams."""

    journal_retention_s: int = Field(default=7 * 86_400, ge=3_600)
    """Seconds that events stay in the journal after they are in the sums."""

    dedupe_retention_s: int = Field(default=30 * 86_400, validate_default=True)
    """Seconds for which an event that comes again is known: at least twice the journal's."""

    @field_validator("database")
    @classmethod
    def _is_postgresql(cls, url: str) -> str:
        if url and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("an address that begins with postgresql://, or nothing")
        return url

    @field_validator("groups")
    @classmethod
    def _with_our_own(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(is_group, groups)):
            raise ValueError("names of at most 64 letters, digits and . _ : -")
        return (COST, *(group for group in groups if group != COST))

    @field_validator("dedupe_retention_s")
    @classmethod
    def _outlasts_the_journal(cls, seconds: int, info: ValidationInfo) -> int:
        least = 2 * info.data.get("journal_retention_s", 0)
        if seconds < least:
            raise ValueError(f"at least twice usage.journal_retention_s, {least}")
        return seconds


class PresetSettings(Section):
    """`[presets.<name>]`: what a request may ask for under one name, `preset:<name>`."""

    use_case: UseCase = UseCase.CONVERSATION
    tier: Tier = Tier.STANDARD
    latency: Strategy | None = None
    """Default: the use case's."""

    system: Annotated[str, StringConstraints(strip_whitespace=True)] = ""
    """System prompt of requests that bring none."""


class IntegrationSettings(Section):
    """`[integrations.<name>]`: somebody's tool that is to be on this machine.

    It is looked for and never run. A missing one is a warning.
    """

    enabled: bool = True
    """False: it is not looked for."""

    command: Annotated[str, StringConstraints(min_length=1)] | None = None
    """A command-line tool: a name that is in PATH, or the path of a file."""

    folder: Annotated[str, StringConstraints(min_length=1)] | None = None
    """A folder. Relative paths, here and above, begin where the service was started."""

    @model_validator(mode="after")
    def _names_what_to_look_for(self) -> Self:
        if self.command is None and self.folder is None:
            raise ValueError("a table with command, folder or both")
        return self


class Settings(Section):
    """Everything. `load` builds it."""

    server: Server = Server()
    streams: Streams = Streams()
    websocket: Websocket = Websocket()
    providers: dict[ProviderName, ProviderSettings] = Field(default_factory=dict)
    hedging: Hedging = Hedging()
    usage: Usage = Usage()
    tiers: Tiers = Field(default_factory=lambda: _packaged("tiers"), validate_default=True)
    use_cases: dict[UseCase, UseCaseSettings] = Field(
        default_factory=lambda: _packaged("use_cases"), validate_default=True
    )
    presets: dict[ProviderName, PresetSettings] = Field(
        default_factory=lambda: _packaged("presets"), validate_default=True
    )
    integrations: dict[ProviderName, IntegrationSettings] = Field(default_factory=dict)

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def remember(self, origins: Mapping[str, str]) -> None:
        """Note where the values came from; `load` does, once."""
        self._origins.update(origins)

    def origin(self, key: str) -> str:
        """Where a value came from: a file, a variable, a flag, or `default`."""
        return self._origins.get(key, "default")

    def lines(self) -> Iterator[str]:
        """The effective settings as lines of `tailrace.toml`, each with its origin; keys masked."""
        for key, value in _leaves(self.model_dump(mode="json", exclude_none=True)):
            shown = orjson.dumps(value).decode()
            yield f"{key} = {shown}  # {self.origin(key)}"


def is_group(name: str) -> bool:
    """Whether a consumer group may be called so."""
    return re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", name, re.ASCII) is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on that address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


# --- Layers ---------------------------------------------------------------------------------

Leaf = tuple[str, object, str]
"""A dotted key, its value, where it was set."""


def load(
    path: Path | None, environ: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> Settings:
    """Merge the layers and validate the result.

    Args:
        path: The TOML file; None for none. Where given it must exist.
        environ: The environment, whole; variables that are not settings are left alone.
        flags: Dotted key -> value, for the flags that were given.

    Raises:
        SettingsError: A file that cannot be read, an unknown key or a bad value, in one line.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value in _leaves(_defaults()):
        _put(values, key.split("."), value)
    in_file = _from_file(path) if path else ()
    for key, value, origin in (*in_file, *_from_environ(environ), *_from_flags(flags or {})):
        _put(values, key.split("."), value)
        origins[key] = origin
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error.errors(include_url=False), origins)) from None
    settings.remember(origins)
    return settings


@cache
def _defaults() -> dict[str, Any]:
    """The packaged `defaults.toml`; not to be changed."""
    packaged = Path(__file__).with_name("defaults.toml")
    return tomllib.loads(packaged.read_text(encoding="utf-8"))


def _packaged(section: str) -> Any:  # noqa: ANN401 - pydantic validates it
    """A section of the packaged defaults, for settings that are made without `load`."""
    return _defaults()[section]


def _from_file(path: Path) -> Iterator[Leaf]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    for key, value in _leaves(content):
        yield key, value, str(path)


def _from_environ(environ: Mapping[str, str]) -> Iterator[Leaf]:
    """Only names with `__` are settings; an empty value is one that a template left blank."""
    for name, value in environ.items():
        if name.startswith(PREFIX) and "__" in name and value:
            yield name.removeprefix(PREFIX).lower().replace("__", "."), value, name


def _from_flags(flags: Mapping[str, object]) -> Iterator[Leaf]:
    for key, value in flags.items():
        yield key, value, "--" + key.rpartition(".")[2].replace("_", "-")


def _leaves(table: Mapping[str, Any], parents: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{parents}{name}.")
        else:
            yield parents + name, value


def _put(table: dict[str, Any], path: list[str], value: object) -> None:
    for name in path[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            return  # `server = 5` in the file: stays, to be refused
    table[path[-1]] = value


# --- One line for the operator --------------------------------------------------------------


def _explain(errors: list[ErrorDetails], origins: Mapping[str, str]) -> str:
    """The first error in one line, and how many more there are."""
    told = complaints.innermost(error["loc"] for error in errors)
    first, *others = (error for error in errors if error["loc"] in told)
    path = [part for part in first["loc"] if part != _KEY]
    origin = _origin(".".join(map(str, path)), origins)
    key = ".".join(str(part)[:LONGEST] for part in path)
    more = f" (and {len(others)} more)" if others else ""
    return f"{key} in {origin}: {_complaint(first, path)}{more}"


_KEY = "[key]"
"""pydantic's mark on the path of a name that is no good itself."""


def _origin(key: str, origins: Mapping[str, str]) -> str:
    """The origin of a key, of something inside it, or of what it is inside of."""
    related = (
        origin
        for known, origin in origins.items()
        if f"{known}.".startswith(f"{key}.") or f"{key}.".startswith(f"{known}.")
    )
    return next(related, "default")


def _complaint(error: ErrorDetails, path: list[int | str]) -> str:
    hidden = error["loc"][-1] != _KEY and _is_private(path)
    value = complaints.shown(error["input"], hidden=hidden, table="table")
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key; known are {', '.join(_section(path[:-1]).model_fields)}"
        case "missing":
            return "missing"
        case "string_pattern_mismatch":
            return f"{value} is not a name; small letters, digits and single underscores are"
        case _:
            return f"{value} is not allowed; must be {complaints.allowed(error, table='a table')}"


def _is_private(path: list[int | str]) -> bool:
    """Whether a value may not be printed: a key, or what stands where a table should be."""
    while isinstance(path[-1], int):
        path = path[:-1]
    if path[-1] in _SECRETS:
        return True
    return path[-1] not in _section(path[:-1]).model_fields


_SECRETS = frozenset({"key", "database"})
"""Settings that are a secret or may hold one: an address with a password."""


def _section(path: list[int | str]) -> type[Section]:
    """The model of the table at a path."""
    return _SECTIONS.get((str(path[0]), len(path)), Section) if path else Settings


_SECTIONS: Mapping[tuple[str, int], type[Section]] = {
    ("server", 1): Server,
    ("streams", 1): Streams,
    ("websocket", 1): Websocket,
    ("hedging", 1): Hedging,
    ("usage", 1): Usage,
    ("tiers", 1): Tiers,
    ("use_cases", 2): UseCaseSettings,
    ("use_cases", 3): Row,
    ("presets", 2): PresetSettings,
    ("integrations", 2): IntegrationSettings,
    ("providers", 2): ProviderSettings,
    ("providers", 4): ModelSettings,
}
"""By the name of the table at the top, and how deep the path goes."""
