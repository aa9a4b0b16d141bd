"""docs/consuming-usage.md: what it says of an event is the code's, and its consumer is run.

The consumer is a process of its own before a real server, as its reader would start it. What other
people's meters take is written down here as JSON schemas, from their documents as they were in
November 2026: docs.stripe.com/api/billing/meter-event, getlago.com/docs/api-reference/events,
docs.withorb.com (event ingestion), openmeter.io/docs/metering/events and Kong's published schema of
the same endpoint.
"""

import ast
import asyncio
import importlib
import importlib.util
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import msgspec
import orjson
import pytest
from jsonschema import Draft202012Validator, ValidationError
from typing_extensions import override

from service.settings import Usage as UsageSettings
from service.usage import scripts
from service.usage.client import close
from service.usage.record import UsageEvent
from tests.service.usage.attempts import body, oracle
from tests.service.usage.proxy import Proxy
from tests.service.usage.servers import Server, until

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = (ROOT / "docs" / "consuming-usage.md").read_text(encoding="utf-8")
EXAMPLE: Final = ROOT / "docs" / "examples" / "consume_usage.py"
GOLDEN: Final = sorted((Path(__file__).parent / "golden").glob("*.json"))

KEYS: Final = scripts.UNSHARDED.all[0]
GROUP: Final = "billing"


# --- What an event is -----------------------------------------------------------------------

FIELD: Final = re.compile(r"^\| `((?:\w+)(?:\.\w+)*)` \| [^|]+ \|$", re.MULTILINE)


def fields(struct: type[msgspec.Struct], before: str = "") -> Iterator[str]:
    """Every field of an event, by its path."""
    hints = get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        path = before + field.encode_name
        yield path
        for kind in get_args(hints[field.name]) or (hints[field.name],):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                yield from fields(kind, f"{path}.")


def test_every_field_of_an_event_is_explained_and_no_other_in_the_order_of_the_event() -> None:
    section = PAGE.partition("## The event")[2].partition("\n## ")[0]
    assert FIELD.findall(section) == list(fields(UsageEvent))


def test_the_fields_of_an_entry_are_those_that_are_published() -> None:
    section = PAGE.partition("## Where they are")[2].partition("\n## ")[0]
    assert sorted(FIELD.findall(section)) == sorted(re.findall(r"'(\w)',", scripts.PUBLISH.text))


def test_the_figures_are_those_of_the_settings() -> None:
    usage, day = UsageSettings(), 86_400
    assert f"`usage.journal_retention_s` ({usage.journal_retention_s // day} days)" in PAGE
    assert f"`usage.dedupe_retention_s` ({usage.dedupe_retention_s // day} days)" in PAGE
    assert f"which is {2 * usage.journal_retention_s // day} days by default" in PAGE
    assert usage.stream_kept_s == 3_600
    assert "`usage.stream_kept_s`, an hour," in PAGE
    assert usage.groups == ("cost",)
    assert scripts.SHARDS == 16
    assert "sixteen" in PAGE


# --- The consumer ---------------------------------------------------------------------------


def test_the_consumer_on_the_page_is_the_one_that_is_run() -> None:
    assert f"```python\n{EXAMPLE.read_text(encoding='utf-8')}```" in PAGE


def test_the_consumer_is_twenty_lines_beside_its_imports() -> None:
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    lines = {
        node.lineno
        for statement in tree.body[1:]
        if not isinstance(statement, ast.Import | ast.ImportFrom)
        for node in ast.walk(statement)
        if isinstance(node, ast.stmt | ast.expr)
    }
    assert len(lines) <= 20


class Gate(Proxy):
    """Lets everything through up to the first acknowledgement, which it holds for good."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reached = asyncio.Event()

    @override
    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 16):
            if b"XACK" in data:
                self.reached.set()
                await asyncio.Event().wait()
            writer.write(data)

    @property
    def url(self) -> str:
        ((host, port),) = self.address.hosts
        return f"redis://{host}:{port}"


@asynccontextmanager
async def consumer(
    url: str, database: Path, name: str = "billing-0"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The example; killed as by kill -9 at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, EXAMPLE, url, KEYS.stream, GROUP, name, database),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def publish(
    server: Server, bodies: Sequence[bytes], *, first: int = 1, major: int = 1
) -> None:
    client = server.client()
    try:
        arguments = ["p", first - 1, first, major, 1_000_000, *bodies]
        await scripts.PUBLISH.run(client, [KEYS.stream, KEYS.marks], arguments)
    finally:
        await close(client)


async def owed(server: Server) -> tuple[int, int]:
    """Entries that the group was given and did not acknowledge, and entries that it was not."""
    for group in await server.ask("XINFO", "GROUPS", KEYS.stream):
        facts = dict(zip(group[::2], group[1::2], strict=True))
        return facts[b"pending"], facts[b"lag"]
    return 0, await server.ask("XLEN", KEYS.stream)


async def all_read(server: Server) -> None:
    async def holds() -> bool:
        return await owed(server) == (0, 0)

    await until(holds)


def path_of(server: Server) -> Path:
    assert server.address.path is not None
    return Path(server.address.path)


def url_of(server: Server) -> str:
    return f"unix://{path_of(server)}"


def sums(database: Path) -> dict[str, tuple[int, int]]:
    """Client -> nano-USD, attempts of unknown cost."""
    with closing(sqlite3.connect(database)) as db:
        rows = db.execute("SELECT client, nano, unknown FROM cost").fetchall()
    return {client: (nano, unknown) for client, nano, unknown in rows}


def expected(bodies: Sequence[bytes]) -> dict[str, tuple[int, int]]:
    found = oracle(bodies, "client_key")
    return {key: (nano, many - known) for (key,), (many, known, nano, _) in found.items()}


BODIES: Final = [body(number) for number in range(700)]


async def test_killed_between_the_commit_and_the_acknowledgement_it_counts_nothing_twice(
    server: Server, tmp_path: Path
) -> None:
    database = tmp_path / "costs.db"
    await publish(server, BODIES)
    async with Gate(path_of(server)) as gate, consumer(gate.url, database) as first:
        await asyncio.wait_for(gate.reached.wait(), 20)
        first.kill()
        await first.wait()
    assert sums(database) == expected(BODIES[:500])
    assert await owed(server) == (500, 200)
    async with consumer(url_of(server), database):
        await all_read(server)
    assert sums(database) == expected(BODIES)


async def test_what_a_dead_consumer_was_given_another_one_claims(
    server: Server, tmp_path: Path
) -> None:
    database = tmp_path / "costs.db"
    await publish(server, BODIES)
    async with Gate(path_of(server)) as gate, consumer(gate.url, database):
        await asyncio.wait_for(gate.reached.wait(), 20)
    given = await server.ask("XRANGE", KEYS.stream, "-", "+", "COUNT", 500)
    ids = [key for key, _ in given]
    # A minute passes.
    await server.ask("XCLAIM", KEYS.stream, GROUP, "billing-0", 0, *ids, "IDLE", 60_000)
    async with consumer(url_of(server), database, name="billing-1"):
        await all_read(server)
    assert sums(database) == expected(BODIES)


async def test_after_redis_has_lost_its_data_it_counts_what_is_published_anew_once(
    server: Server, tmp_path: Path
) -> None:
    database = tmp_path / "costs.db"
    await publish(server, BODIES[:400])
    async with consumer(url_of(server), database) as first:
        await all_read(server)
        await server.ask("FLUSHALL")
        _, told = await asyncio.wait_for(first.communicate(), 20)
        assert b"NOGROUP" in told or b"UNBLOCKED" in told
    await publish(server, BODIES)
    async with consumer(url_of(server), database):
        await all_read(server)
    assert sums(database) == expected(BODIES)


async def test_another_major_version_it_leaves_to_a_newer_reader_and_goes_on(
    server: Server, tmp_path: Path
) -> None:
    database = tmp_path / "costs.db"
    await publish(server, BODIES[:1], major=2)
    await publish(server, BODIES[1:2], first=2)

    async def only_one_is_owed() -> bool:
        return await owed(server) == (1, 0)

    async with consumer(url_of(server), database):
        await until(only_one_is_owed)
    assert sums(database) == expected(BODIES[1:2])


# --- Forwarding -----------------------------------------------------------------------------

ROW: Final = re.compile(
    r"^\| (Stripe|Lago|Orb)[^|]* \| `([\w.]+)` \| `([\w.]+)` \| ([^|]+) \|$", re.MULTILINE
)
CONFIGURATION: Final = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)

NAMES: Final = {
    "Stripe": {"event_name": "llm_cost"},
    "Lago": {"code": "llm_cost"},
    "Orb": {"event_name": "llm_attempt"},
}

SECONDS: Final = {"type": "integer", "minimum": 1_700_000_000, "maximum": 4_000_000_000}
SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    # `timestamp`: whole seconds. `value`: a number as text, of 15 digits since 2026-04-22.
    "Stripe": {
        "type": "object",
        "required": ["event_name", "payload"],
        "additionalProperties": False,
        "properties": {
            "event_name": {"type": "string", "maxLength": 100},
            "identifier": {"type": "string", "minLength": 1, "maxLength": 100},
            "timestamp": SECONDS,
            "payload": {
                "type": "object",
                "required": ["stripe_customer_id", "value"],
                "additionalProperties": {"type": "string"},
                "properties": {"value": {"type": "string", "pattern": r"^\d{1,15}$"}},
            },
        },
    },
    "Lago": {
        "type": "object",
        "required": ["transaction_id", "external_subscription_id", "code"],
        "additionalProperties": False,
        "properties": {
            "transaction_id": {"type": "string", "minLength": 1},
            "external_subscription_id": {"type": "string", "minLength": 1},
            "code": {"type": "string", "minLength": 1},
            "timestamp": SECONDS,
            "precise_total_amount_cents": {"type": "string", "pattern": r"^\d+(\.\d+)?$"},
            "properties": {
                "type": "object",
                "additionalProperties": {"type": ["string", "integer", "number"]},
            },
        },
    },
    # Properties are numbers, booleans or text, and nothing inside them.
    "Orb": {
        "type": "object",
        "required": ["event_name", "idempotency_key", "properties", "timestamp"],
        "additionalProperties": False,
        "properties": {
            "event_name": {"type": "string", "minLength": 1},
            "idempotency_key": {"type": "string", "minLength": 1},
            "external_customer_id": {"type": "string", "minLength": 1},
            "timestamp": {"type": "string", "format": "date-time", "pattern": "Z$"},
            "properties": {
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
        },
    },
    "OpenMeter": {
        "type": "object",
        "required": ["id", "source", "specversion", "type", "subject"],
        "properties": {
            "id": {"type": "string", "minLength": 1},
            "source": {"type": "string", "minLength": 1, "pattern": r"^[^\s]+$"},
            "specversion": {"const": "1.0"},
            "type": {"type": "string", "minLength": 1},
            "datacontenttype": {"const": "application/json"},
            "dataschema": {"type": "string", "minLength": 1, "pattern": r"^\w+:"},
            "subject": {"type": "string", "minLength": 1},
            "time": {"type": "string", "format": "date-time", "pattern": "Z$"},
            "data": {"type": "object"},
        },
    },
}


def at(event: object, path: str) -> Any:  # noqa: ANN401 - any field's type
    for name in path.split("."):
        assert isinstance(event, dict)
        event = event[name]
    return event


AS: Final[dict[str, Callable[[Any], object]]] = {
    "number": lambda value: value,
    "text": str,
    "text, with `:cost` behind it": lambda value: f"{value}:cost",
    "Unix seconds": lambda value: int(datetime.fromisoformat(value).timestamp()),
    "cents": lambda value: f"{Decimal(value).scaleb(-7):f}",
}


def forwarded(event: dict[str, Any], to: str) -> dict[str, Any]:
    """By the page's table; what is null is left out."""
    payload: dict[str, Any] = dict(NAMES[to])
    for receiver, field, path, how in ROW.findall(PAGE):
        value = at(event, path)
        if receiver == to and value is not None:
            *outer, name = field.split(".")
            place = payload
            for key in outer:
                place = place.setdefault(key, {})
            place[name] = AS[how](value)
    return payload


EVENTS: Final = {path.stem: orjson.loads(path.read_bytes()) for path in GOLDEN}
BILLED: Final = {
    name: event
    for name, event in EVENTS.items()
    if event["subject"] is not None and event["data"]["cost_nano_usd"] is not None
}


def check(payload: dict[str, Any], to: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[to])
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(SCHEMAS[to], format_checker=checker).validate(payload)


@pytest.mark.parametrize("to", NAMES)
@pytest.mark.parametrize("name", BILLED)
def test_an_event_becomes_what_the_receiver_documents(name: str, to: str) -> None:
    check(forwarded(BILLED[name], to), to)


@pytest.mark.parametrize("name", EVENTS)
def test_openmeter_gets_every_event_as_it_is_but_for_a_subject(name: str) -> None:
    event = EVENTS[name]
    check(event | {"subject": event["subject"] or "anonymous"}, "OpenMeter")


def test_what_has_no_customer_or_no_cost_is_no_meter_event() -> None:
    assert set(EVENTS) - set(BILLED)
    for name in set(EVENTS) - set(BILLED):
        with pytest.raises(ValidationError):
            check(forwarded(EVENTS[name], "Stripe"), "Stripe")


def test_an_amount_in_cents_is_exact() -> None:
    assert forwarded(EVENTS["winner"], "Lago")["precise_total_amount_cents"] == "2.1596250"
    assert forwarded(EVENTS["winner"], "Stripe")["payload"]["value"] == "21596250"


def test_a_duplicate_has_the_same_key_everywhere_and_another_attempt_another() -> None:
    for to, key in (
        ("Stripe", "identifier"),
        ("Lago", "transaction_id"),
        ("Orb", "idempotency_key"),
    ):
        ours, again, other = (orjson.loads(body(number)) for number in (1, 1, 2))
        assert forwarded(ours, to)[key] == forwarded(again, to)[key] != forwarded(other, to)[key]


def test_each_configuration_of_a_connector_is_yaml_that_reads_the_stream() -> None:
    configurations = CONFIGURATION.findall(PAGE)
    assert len(configurations) == 4
    if importlib.util.find_spec("yaml") is None:
        pytest.skip("no YAML parser here: the connectors' configurations are not parsed")
    yaml = importlib.import_module("yaml")
    for configuration in configurations:
        read = yaml.safe_load(configuration)["input"]["redis_streams"]
        assert read["streams"] == [KEYS.stream]
        assert read["body_key"] == "e"
