"""`tailrace`: the commands, each a thin layer over the part of the service that does the work.

Exit codes: 0 done, 1 it failed, 2 the command line or the configuration is at fault. An error is
one line on standard error.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlencode

import orjson
from dotenv import load_dotenv
from typing_extensions import override

from adapters.contract import Endpoint
from adapters.registry import COMPATIBLE, PROVIDERS
from adapters.request import AfterCommit, Complexity, Strategy, Tier, UseCase
from service import ask, clock, discovery, integrations, preview, remote
from service.endpoints import Inactive, resolve
from service.routing import table
from service.seat import Seat
from service.settings import Settings, SettingsError, load

DEFAULT_CONFIG = Path("tailrace.toml")

Row = tuple[str, str, str]
"""A provider's name, its status, and its models or why it is not active."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the process's exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except SettingsError as error:
        return _fail(2, str(error))
    except (remote.RemoteError, discovery.DiscoveryError) as error:
        return _fail(1, str(error))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # `tailrace ask ... | head`: nobody reads on. Python would complain again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


def _fail(code: int, message: str) -> int:
    print(f"tailrace: {message}", file=sys.stderr)
    return code


# --- Commands -------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    _read_env_file(options.env_file)
    try:
        settings = _settings(options)
        if settings.server.workers > 1 and options.worker is None:
            # Starts processes that import what is below, and needs none of it itself.
            from service import workers  # noqa: PLC0415 - see above

            return workers.serve(settings, reload=lambda: _settings(options))
        # Imports the service, a second of work that no other command and no refusal needs.
        from service.app import serve  # noqa: PLC0415 - see above

        return serve(settings, reload=lambda: _settings(options), seat=options.worker)
    except SettingsError as refusal:
        if options.worker is None:
            raise
        worker: Seat = options.worker
        return worker.refuse(refusal)


def _check_config(options: argparse.Namespace) -> int:
    _read_env_file(options.env_file)
    settings = _settings(options)
    _ = table.build(settings, resolve(PROVIDERS, COMPATIBLE, settings, os.environ))
    for line in settings.lines():
        print(line)
    for each in integrations.look(settings.integrations, os.environ):
        for part in each.found:
            print(f"# {part}")
        if each.warning is not None:
            print(f"tailrace: warning: {each.warning}", file=sys.stderr)
    return 0


def _providers(options: argparse.Namespace) -> int:
    _read_env_file(options.env_file)
    rows = _rows_of_service(options.url) if options.url else _rows_of_settings(_settings(options))
    for name, status, remark in rows:
        print(f"{name:12} {status:9} {remark}".rstrip())
    return 0


def _models(options: argparse.Namespace) -> int:
    _read_env_file(options.env_file)
    settings = _settings(options)
    endpoints = _chosen(options.provider, settings)
    # Imports the price list, 0.3 s of work that other commands do not need.
    from service import models  # noqa: PLC0415 - see above

    now = clock.now_ms() / 1000
    known = models.known(endpoints, discovery.load(settings.server.data / discovery.FILE), now)
    if options.json:
        print(models.as_json(known).decode())
        return 0
    for line in models.lines(known):
        print(line)
    return 0


def _refresh(options: argparse.Namespace) -> int:
    _read_env_file(options.env_file)
    settings = _settings(options)
    endpoints = _chosen(options.provider, settings)
    if options.provider is None:
        endpoints = {name: each for name, each in endpoints.items() if isinstance(each, Endpoint)}
    file = settings.server.data / discovery.FILE
    # Imports an HTTP client, 0.5 s of work that other commands do not need.
    from service import refresh  # noqa: PLC0415 - see above

    refreshed = refresh.run(endpoints, _discovered(file), now_ms=clock.now_ms())
    for line in refreshed.lines():
        print(line)
    if not refreshed.succeeded:
        return _fail(1, "no provider gave its list of models")
    discovery.save(file, refreshed.discovery)
    return 0


def _discovered(file: Path) -> discovery.Discovery:
    """What was found before; a file that is spoilt is one to be made anew."""
    try:
        return discovery.load(file)
    except discovery.DiscoveryError:
        return discovery.NOTHING


def _ask(options: argparse.Namespace) -> int:
    body = _question(options).body()
    messages = remote.stream(options.url, "/v1/streams", body)
    if options.json:
        return ask.show_raw(messages, sys.stdout)
    screen = ask.Screen(out=sys.stdout, notes=sys.stderr)
    return ask.show(messages, screen, explain=options.explain)


def _plan(options: argparse.Namespace) -> int:
    plan = remote.post(options.url, "/v1/plan", _question(options).body())
    if options.json:
        print(orjson.dumps(plan).decode())
        return 0
    for line in preview.lines(plan):
        print(line)
    return 0


def _usage_summary(options: argparse.Namespace) -> int:
    # Imports the price list, as `models` does.
    from service.usage import shown  # noqa: PLC0415 - see above

    asked = {"from": options.since, "to": options.to, "group_by": options.group_by}
    asked |= {"format": "csv"} if options.format == "csv" else {}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    answer = b"".join(remote.pieces(options.url, f"/v1/usage?{query}"))
    if options.format is not None:
        print(answer.decode().rstrip("\r\n"))
        return 0
    for line in shown.lines(orjson.loads(answer)):
        print(line)
    return 0


def _usage_tail(options: argparse.Namespace) -> int:
    # As above.
    from service.usage import shown  # noqa: PLC0415 - see above

    query = "" if options.after is None else f"?{urlencode({'after': options.after})}"
    reached = ""
    try:
        for block in shown.blocks(remote.pieces(options.url, f"/v1/usage/events{query}")):
            if block.event == "usage":
                print(block.data.decode() if options.json else shown.line(block.data), flush=True)
            elif block.data:
                print(f"tailrace: {shown.remark(block.data)}", file=sys.stderr)
            reached = block.id or reached
    except remote.RemoteError as failure:
        return _fail(1, f"{failure}{_go_on(reached)}")
    return _fail(1, f"the service ended the stream{_go_on(reached)}")


def _go_on(reached: str) -> str:
    return f"; `tailrace usage tail --after {reached}` goes on from there" if reached else ""


def _usage_aggregate(options: argparse.Namespace) -> int:
    _read_env_file(options.env_file)
    settings = _settings(options)
    # Imports a Redis client, 0.2 s of work that other commands do not need.
    from service.usage import consumer  # noqa: PLC0415 - see above

    return consumer.run(settings, os.environ, consumer=options.consumer, group=options.group)


def _usage_replay(options: argparse.Namespace) -> int:
    _read_env_file(options.env_file)
    settings = _settings(options)
    # As above.
    from service.usage import archive  # noqa: PLC0415 - see above

    try:
        events = archive.replayed(settings, options.since, now_ns=clock.now_ns())
    except archive.FAILURES as failure:
        return _fail(1, str(failure))
    print(f"events counted again: {events}")
    return 0


def _demo_load(options: argparse.Namespace) -> int:
    _read_env_file(options.env_file)
    settings = _settings(options)
    # Imports the price list and the routing, 0.5 s of work that other commands do not need.
    from service.demo import load as demo  # noqa: PLC0415 - see above

    try:
        loaded = demo.load(
            settings,
            os.environ,
            days=options.days,
            seed=options.seed,
            force=options.force,
            now_ns=clock.now_ns(),
        )
    except demo.LoadError as refusal:
        return _fail(1, str(refusal))
    for line in loaded.lines():
        print(line)
    return 0


def _question(options: argparse.Namespace) -> ask.Question:
    return ask.Question(
        text=sys.stdin.read() if options.text == "-" else options.text,
        model=options.model,
        use_case=options.use_case,
        tier=options.tier,
        complexity=options.complexity,
        latency=options.latency,
        max_tokens=options.max_tokens,
        providers=tuple(options.provider),
        after_commit=options.after_commit,
        explain=options.explain,
    )


# --- Configuration --------------------------------------------------------------------------


def _settings(options: argparse.Namespace) -> Settings:
    path = options.config
    if path is None and DEFAULT_CONFIG.exists():
        path = DEFAULT_CONFIG
    flags = {
        f"server.{name}": value
        for name in ("host", "port", "data", "workers", "insecure")
        if (value := getattr(options, name, None)) is not None
    }
    return load(path, os.environ, flags)


def _read_env_file(path: Path | None) -> None:
    """Add a file's variables to the environment, which outranks them."""
    if path is None:
        return
    if not path.is_file():
        raise SettingsError(f"--env-file: {path} is not a file")
    load_dotenv(path, override=False, interpolate=False)


def _chosen(name: str | None, settings: Settings) -> dict[str, Endpoint | Inactive]:
    """All providers as configured, or the one of that name."""
    endpoints = resolve(PROVIDERS, COMPATIBLE, settings, os.environ)
    if name is None:
        return endpoints
    if name not in endpoints:
        raise SettingsError(
            f"--provider: {name!r} is not a provider; must be one of {', '.join(endpoints)}"
        )
    return {name: endpoints[name]}


def _rows_of_settings(settings: Settings) -> list[Row]:
    endpoints = resolve(PROVIDERS, COMPATIBLE, settings, os.environ)
    return [(name, *_status(endpoint)) for name, endpoint in endpoints.items()]


def _status(endpoint: Endpoint | Inactive) -> tuple[str, str]:
    provider = endpoint.provider
    if isinstance(endpoint, Endpoint):
        return "active", ", ".join(model.alias or model.id for model in provider.models)
    remarks = {
        "no_key": ("inactive", f"no key: set {' or '.join(provider.key_vars)}"),
        "no_address": ("inactive", f"no address: set {provider.address_var}"),
        "retired": ("retired", provider.retired or ""),
        "disabled": ("disabled", ""),
    }
    return remarks[endpoint.reason]


def _rows_of_service(url: str) -> list[Row]:
    answer = remote.get(url, "/api/coordination/llm/providers")
    return [
        (row["name"], row["status"], row.get("reason") or ", ".join(row.get("models", ())))
        for row in answer["providers"]
    ]


# --- The command line -----------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, where argparse prints the whole usage before it."""

    @override
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tailrace", description="Streams LLM answers.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"tailrace {version('tailrace')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service", description="Run the service.")
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", help="TCP port, 0 for a free one (default 8180)")
    serve.add_argument("--data", metavar="DIR", help="the folder to write to (default ./data)")
    serve.add_argument("--workers", metavar="N", help="processes sharing the port (default 1)")
    serve.add_argument(
        "--insecure",
        action="store_const",
        const=True,
        help="serve beyond loopback although no client keys are configured",
    )
    # How a parent of several tells a worker its place; nobody else's business.
    serve.add_argument("--worker", type=Seat.parse, help=argparse.SUPPRESS)
    _add_configuration(serve)

    question = commands.add_parser(
        "ask", help="ask a running service", description="Stream an answer in the terminal."
    )
    question.set_defaults(run=_ask)
    _add_question(question)
    question.add_argument(
        "--after-commit",
        choices=_names(AfterCommit),
        metavar="NAME",
        help=f"when an answer breaks off: {_one_of(AfterCommit)}",
    )
    question.add_argument("--explain", action="store_true", help="show the plan and every attempt")
    question.add_argument("--json", action="store_true", help="print the events as they come")

    plan = commands.add_parser(
        "plan",
        help="whom a running service would ask, and why",
        description="Print the routing decision for a question, without asking anybody.",
    )
    plan.set_defaults(run=_plan, after_commit=None, explain=False)
    _add_question(plan)
    plan.add_argument("--json", action="store_true", help="print the decision as the API gives it")

    providers = commands.add_parser("providers", help="which providers can be asked, and why not")
    providers.set_defaults(run=_providers)
    providers.add_argument("--url", help="ask the service there, not the configuration here")
    _add_configuration(providers)

    models = commands.add_parser("models", help="every known model, what it can do and costs")
    models.set_defaults(run=_models)
    models.add_argument("--json", action="store_true", help="print a JSON array")
    _add_catalog(models)

    catalog = commands.add_parser("catalog", help="keep the list of models up to date")
    actions = catalog.add_subparsers(required=True, metavar="ACTION")
    refresh = actions.add_parser(
        "refresh",
        help="ask the providers which models they serve",
        description="Ask every provider with a key which models it serves, and keep the answers.",
    )
    refresh.set_defaults(run=_refresh)
    _add_catalog(refresh)

    _add_usage(commands.add_parser("usage", help="what was used and spent"))

    _add_demo(
        commands.add_parser(
            "demo-load",
            help="fill a data folder with a made-up week of usage",
            description="Fill a data folder with usage that is made up, and marked as such.",
        )
    )

    check = commands.add_parser("check-config", help="validate and print the effective settings")
    check.set_defaults(run=_check_config)
    _add_configuration(check)
    return parser


def _add_usage(parser: argparse.ArgumentParser) -> None:
    _add_summary(parser)
    # What a command is given for itself counts, and what it is not, may stand before it.
    parser.set_defaults(since=None, to=None, group_by="provider,model", format=None)
    parser.set_defaults(run=_usage_summary, url=remote.DEFAULT_URL)
    actions = parser.add_subparsers(metavar="[ACTION]")

    summary = actions.add_parser("summary", help="sums of a running service; the default")
    summary.set_defaults(run=_usage_summary)
    _add_summary(summary)

    tail = actions.add_parser(
        "tail",
        help="every attempt of a running service, as it ends",
        description="Print every usage event of a running service, one a line, until interrupted.",
    )
    tail.set_defaults(run=_usage_tail)
    tail.add_argument("--after", metavar="ID", help="go on after this event; 0: all that is kept")
    tail.add_argument("--json", action="store_true", help="print the events as they are")
    tail.add_argument("--url", default=argparse.SUPPRESS, help=f"default {remote.DEFAULT_URL}")

    aggregate = actions.add_parser(
        "aggregate",
        help="count the usage stream, apart from the service",
        description="Count what is in the usage stream into the sums, until SIGTERM.",
    )
    aggregate.set_defaults(run=_usage_aggregate)
    aggregate.add_argument(
        "--consumer", metavar="NAME", help="the same after a restart, and nobody else's"
    )
    aggregate.add_argument(
        "--group",
        default="cost",
        metavar="NAME",
        help="consumers that share the work (%(default)s)",
    )
    aggregate.add_argument("--data", metavar="DIR", help="the data folder (default ./data)")
    _add_configuration(aggregate)

    again = actions.add_parser(
        "replay",
        help="make the sums anew from the journals",
        description="Wipe the sums, and count again what the data folder's journals hold.",
    )
    again.set_defaults(run=_usage_replay)
    again.add_argument("--since", metavar="DATE", help="from this day on only (default all)")
    again.add_argument("--data", metavar="DIR", help="the data folder (default ./data)")
    _add_configuration(again)


def _add_summary(parser: argparse.ArgumentParser) -> None:
    unset = argparse.SUPPRESS
    parser.add_argument(
        "--from", dest="since", default=unset, metavar="TIME", help="a date or a time, in UTC"
    )
    parser.add_argument("--to", default=unset, metavar="TIME", help="the same, not included")
    parser.add_argument(
        "--group-by", default=unset, metavar="NAMES", help="default provider,model; '' for none"
    )
    form = parser.add_mutually_exclusive_group()
    for name, what in (("json", "the answer of the API"), ("csv", "a table to be kept")):
        form.add_argument(
            f"--{name}",
            dest="format",
            default=unset,
            action="store_const",
            const=name,
            help=f"print {what}",
        )
    parser.add_argument("--url", default=unset, help=f"default {remote.DEFAULT_URL}")


def _add_question(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="the question; - reads it from standard input")
    parser.add_argument("--model", default="auto", help="as in the API (default auto)")
    parser.add_argument(
        "--use-case", choices=_names(UseCase), metavar="NAME", help=_one_of(UseCase)
    )
    parser.add_argument("--tier", choices=_names(Tier), metavar="NAME", help=_one_of(Tier))
    parser.add_argument(
        "--complexity", choices=_names(Complexity), metavar="NAME", help=_one_of(Complexity)
    )
    parser.add_argument(
        "--latency",
        type=_latency,
        metavar="NAME|JSON",
        help=f"{_one_of(Strategy)}, or the object of the API",
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="the longest answer")
    parser.add_argument(
        "--provider",
        action="append",
        default=[],
        metavar="NAME",
        help="only this one may answer; may be given again",
    )
    parser.add_argument("--url", default=remote.DEFAULT_URL, help="default %(default)s")


def _latency(text: str) -> str | dict[str, object]:
    """A strategy's name, or the object form; what is in the object is the service's to judge."""
    if not text.startswith("{"):
        if text not in set(Strategy):
            raise argparse.ArgumentTypeError(f"{text!r} is not {_one_of(Strategy)}, or an object")
        return text
    try:
        parsed: dict[str, object] = orjson.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from None
    return parsed


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_demo_load)
    parser.add_argument("--data", metavar="DIR", help="the data folder (default ./data)")
    parser.add_argument(
        "--days", type=_days, default=7, metavar="N", help="how many, up to now (default 7)"
    )
    parser.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="another one makes other days (default 0)",
    )
    parser.add_argument(
        "--force", action="store_true", help="add it to usage of your own, or with REDIS_URL set"
    )
    _add_configuration(parser)


_MOST_DAYS = 31
"""Of a made-up past: more than any page shows."""

_LAST_SEED = 2**63 - 1
"""The folder is marked with it, in JSON of 64 bits."""


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_DAYS}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {_LAST_SEED}")
    return int(text)


def _add_catalog(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--provider", metavar="NAME", help="only this one")
    parser.add_argument("--data", metavar="DIR", help="the data folder (default ./data)")
    _add_configuration(parser)


def _add_configuration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="default tailrace.toml where it exists"
    )
    parser.add_argument(
        "--env-file", type=Path, metavar="FILE", help="variables, for what the environment lacks"
    )


def _names(words: type[StrEnum]) -> list[str]:
    """Plain strings: argparse shows a member of an enum as Python would."""
    return [word.value for word in words]


def _one_of(words: type[StrEnum]) -> str:
    return f"one of {', '.join(words)}"
