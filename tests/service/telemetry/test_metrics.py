"""What Prometheus is told is what happened, in its own format, and nothing that anybody wrote."""

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from adapters.events import ErrorCode, Outcome, Role, UsageSource
from adapters.tokens import UNKNOWN
from service.routing.health import State
from service.telemetry.attempts import AttemptFacts
from service.telemetry.metrics import BREAKER_STATES, Metrics, OfAllWorkers, Readings, Snapshot
from tests.service.telemetry.facts import USAGE, completed, failed, overtaken

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(tailrace_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
LISTED = {"gpt-4.1-nano", "gpt-5"}


def metrics(*attempts: AttemptFacts, readings: Readings | None = None) -> Metrics:
    counted = Metrics(listed=lambda _, model: model in LISTED, readings=readings)
    for facts in attempts:
        counted.attempt_over(facts)
    return counted


def told(counted: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The figures of one name by their label values, in the labels' alphabetical order."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for sample in samples(counted)
        if sample.name == name
    }


def samples(counted: Metrics) -> Iterable[Sample]:
    return exposed_by(counted.snapshot())


def exposed_by(snapshot: Snapshot) -> Iterable[Sample]:
    body, _ = snapshot.exposition("")
    for family in text_string_to_metric_families(body.decode()):
        yield from family.samples


def test_attempts_are_counted_by_provider_model_role_and_outcome() -> None:
    counted = metrics(completed(), completed(), overtaken(role=Role.RACE))
    assert told(counted, "tailrace_attempts_total") == {
        ("gpt-4.1-nano", "completed", "openai", "primary"): 2,
        ("gpt-4.1-nano", "lost_race", "openai", "race"): 1,
    }


def test_errors_are_counted_by_provider_and_code() -> None:
    counted = metrics(failed(), failed(ErrorCode.RATE_LIMIT_PROVIDER), failed(), completed())
    assert told(counted, "tailrace_errors_total") == {
        ("overloaded", "openai"): 2,
        ("rate_limit_provider", "openai"): 1,
    }


def test_a_histogram_counts_up_to_each_edge_the_edge_included() -> None:
    counted = metrics(completed(ttft=0.02), completed(ttft=0.04), completed(ttft=90.0), failed())
    buckets = told(counted, "tailrace_attempt_first_token_seconds_bucket")
    of_model = {labels[0]: count for labels, count in buckets.items()}
    assert (of_model["0.02"], of_model["0.05"], of_model["60.0"], of_model["+Inf"]) == (1, 2, 2, 3)
    target = ("gpt-4.1-nano", "openai")
    assert told(counted, "tailrace_attempt_first_token_seconds_count") == {target: 3}
    assert told(counted, "tailrace_attempt_first_token_seconds_sum") == {target: 90.06}
    assert told(counted, "tailrace_attempt_duration_seconds_count") == {("openai",): 4}


def test_tokens_are_counted_by_who_says_so_and_unknown_ones_not_at_all() -> None:
    guessed = msgspec.structs.replace(UNKNOWN, output=7, source=UsageSource.ESTIMATED)
    counted = metrics(completed(), completed(), overtaken(usage=guessed), failed())
    assert told(counted, "tailrace_tokens_total") == {
        ("input", "gpt-4.1-nano", "openai", "provider"): 200,
        ("output", "gpt-4.1-nano", "openai", "provider"): 22,
        ("output", "gpt-4.1-nano", "openai", "estimated"): 7,
    }


def test_known_cost_is_added_up_and_unknown_cost_is_counted_and_never_0() -> None:
    priced = msgspec.structs.replace(USAGE, cost_usd="0.25")
    counted = metrics(completed(usage=priced), overtaken(usage=priced), completed(), failed())
    target = ("gpt-4.1-nano", "openai")
    assert told(counted, "tailrace_cost_usd_total") == {target: 0.5}
    assert told(counted, "tailrace_overtaken_cost_usd_total") == {target: 0.25}
    assert told(counted, "tailrace_unknown_cost_attempts_total") == {target: 1}


def test_an_attempt_that_was_refused_has_no_cost_that_could_be_unknown() -> None:
    assert told(metrics(failed()), "tailrace_unknown_cost_attempts_total") == {}


def test_a_model_without_any_known_cost_has_no_cost_rather_than_none_spent() -> None:
    assert told(metrics(completed()), "tailrace_cost_usd_total") == {}


@pytest.mark.parametrize(
    ("facts", "fate"),
    [
        (completed(role=Role.HEDGE), "won"),
        (failed(role=Role.HEDGE, committed=True), "won"),
        (overtaken(role=Role.HEDGE), "lost"),
        (failed(role=Role.HEDGE), "failed"),
        (failed(role=Role.HEDGE, outcome=Outcome.TIMEOUT), "failed"),
        (failed(role=Role.HEDGE, outcome=Outcome.CANCELLED), "cancelled"),
    ],
)
def test_a_hedge_is_counted_by_what_became_of_it(facts: AttemptFacts, fate: str) -> None:
    hedges = told(metrics(facts), "tailrace_hedges_total")
    assert hedges == {("won",): 0, ("lost",): 0, ("failed",): 0, ("cancelled",): 0} | {(fate,): 1}


def test_only_hedges_count_as_hedges() -> None:
    counted = metrics(completed(hedged=True), overtaken(), overtaken(role=Role.RACE))
    assert sum(told(counted, "tailrace_hedges_total").values()) == 0


def test_models_that_the_deployment_does_not_list_share_one_label() -> None:
    counted = metrics(*(completed(model=f"made-up-{number}") for number in range(100)))
    assert told(counted, "tailrace_attempts_total") == {
        ("unlisted", "completed", "openai", "primary"): 100
    }


def test_the_event_loops_lag_is_a_histogram() -> None:
    counted = metrics()
    counted.lag(0.002, 1.0)
    counted.lag(0.3, 2.0)
    buckets = told(counted, "tailrace_event_loop_lag_seconds_bucket")
    assert (buckets["0.0025",], buckets["0.25",], buckets["1.0",]) == (1, 1, 2)


def test_what_others_keep_is_asked_for_at_each_scrape() -> None:
    streams = [3]
    readings = Readings(
        streams=lambda: streams[0],
        breakers=lambda: [("openai", "gpt-5", "open"), ("groq", "gpt-5", "closed")],
        denials={"burst": 2}.items,
        budgets=lambda: [("preset:writer", 4.5)],
        limits=lambda: [("openai", "requests_per_minute", 12)],
        extra={Role.HEDGE: 0.04}.items,
        usage={"written": 3, "published": 2}.items,
        usage_backlog=lambda: 7,
        usage_troubles={"journal": 1}.items,
    )
    counted = metrics(readings=readings)
    assert told(counted, "tailrace_usage_events_total") == {("written",): 3, ("published",): 2}
    assert told(counted, "tailrace_usage_backlog_events") == {(): 7}
    assert told(metrics(readings=Readings(usage_backlog=lambda: None)), "tailrace_usage") == {}
    assert told(counted, "tailrace_usage_trouble") == {("journal",): 1}
    assert told(counted, "tailrace_streams") == {(): 3}
    streams[0] = 0
    assert told(counted, "tailrace_streams") == {(): 0}
    assert told(counted, "tailrace_breaker_state") == {
        ("gpt-5", "openai"): 2,
        ("gpt-5", "groq"): 0,
    }
    assert told(counted, "tailrace_hedge_denials_total") == {("burst",): 2}
    assert told(counted, "tailrace_hedge_budget_requests") == {("preset:writer",): 4.5}
    assert told(counted, "tailrace_limit_left") == {("requests_per_minute", "openai"): 12}
    assert told(counted, "tailrace_extra_request_ratio") == {("hedge",): 0.04}


def test_what_nobody_can_tell_is_left_out() -> None:
    names = {sample.name for sample in samples(metrics())}
    assert not any(name.startswith(("tailrace_streams", "tailrace_breaker")) for name in names)


def test_every_state_of_a_target_has_its_figure() -> None:
    assert set(BREAKER_STATES) == set(State)


def test_of_several_unlisted_models_the_one_that_is_worst_off_is_told() -> None:
    standings = [("openai", "a", "slow"), ("openai", "b", "cooling"), ("openai", "c", "closed")]
    counted = metrics(readings=Readings(breakers=lambda: standings))
    assert told(counted, "tailrace_breaker_state") == {("unlisted", "openai"): 3}


def test_two_services_in_one_process_do_not_add_up() -> None:
    one, other = metrics(completed()), metrics()
    assert told(one, "tailrace_attempts_total")
    assert told(other, "tailrace_attempts_total") == {}


def test_a_snapshot_stays_as_it_was() -> None:
    counted = metrics(completed())
    snapshot = counted.snapshot()
    before = snapshot.exposition("")
    counted.attempt_over(completed())
    assert snapshot.exposition("") == before


def test_the_process_and_its_collector_are_told_too() -> None:
    names = {sample.name for sample in samples(metrics())}
    assert {"process_cpu_seconds_total", "python_gc_collections_total", "python_info"} <= names


def test_the_same_figures_come_as_openmetrics_where_that_is_asked_for() -> None:
    counted = metrics(completed(), failed())
    counted.lag(0.002, 1.0)
    body, content_type = counted.snapshot().exposition(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    families = {family.name: family for family in openmetrics_families(body.decode())}
    assert [sample.value for sample in families["tailrace_attempts"].samples] == [1, 1]
    assert families["tailrace_attempt_first_token_seconds"].type == "histogram"


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=x", "application/json", ",;=,"])
def test_whatever_else_is_asked_for_gets_the_plain_format(accept: str) -> None:
    _, content_type = metrics().snapshot().exposition(accept)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"


def test_the_document_explains_every_figure_with_its_type_and_labels() -> None:
    everything = Readings(
        streams=lambda: 1,
        breakers=lambda: [("openai", "gpt-5", "open")],
        denials={"burst": 2}.items,
        budgets=lambda: [("analysis", 4.5)],
        limits=lambda: [("openai", "streams", 12)],
        extra={Role.HEDGE: 0.04}.items,
        usage={"written": 3}.items,
        usage_backlog=lambda: 0,
        usage_troubles={"journal": 0}.items,
    )
    priced = msgspec.structs.replace(USAGE, cost_usd="0.25")
    counted = metrics(completed(), failed(), overtaken(usage=priced), readings=everything)
    counted.lag(0.0, 1.0)
    exposed = {}
    for family in counted.snapshot().collect():
        if family.name.startswith("tailrace_"):
            suffix = "_total" if family.type == "counter" else ""
            labels = set(family.samples[0].labels) - {"le"}
            exposed[family.name + suffix] = (family.type, labels)
    explained = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    }
    assert explained == exposed


def test_nothing_that_a_client_or_a_provider_wrote_is_told() -> None:
    wrote = "CANARY"
    facts = failed()
    assert facts.error is not None
    error = msgspec.structs.replace(
        facts.error,
        message=f"{wrote} message",
        param=f"{wrote} param",
        provider_code=f"{wrote} code",
        provider=f"{wrote} provider",
    )
    usage = msgspec.structs.replace(USAGE, raw={f"{wrote} key": f"{wrote} value"})
    words = {
        "stream": f"{wrote} stream",
        "model": f"{wrote} model",
        "use_case": f"{wrote} use case",
        "tier": f"{wrote} tier",
        "usage": usage,
    }
    standings = [("openai", f"{wrote} model", "open")]
    counted = metrics(
        failed(**{**words, "error": error}),
        completed(**words),
        overtaken(**{**words, "role": Role.HEDGE}),
        readings=Readings(breakers=lambda: standings),
    )
    for accept in ("", OPENMETRICS):
        body, content_type = counted.snapshot().exposition(accept)
        assert wrote.encode() not in body
        assert wrote not in content_type


# --- Several workers ---


def joined(own: Metrics, *others: Metrics, missing: int = 0) -> Snapshot:
    """As the first of them tells it."""
    packed = {number: other.snapshot().packed() for number, other in enumerate(others, start=1)}
    return OfAllWorkers((0, own.snapshot()), packed, missing=missing, restarts={0: 0, 1: 2})


def test_the_series_of_all_workers_are_told_apart_and_nothing_else_is_changed() -> None:
    one = metrics(completed(), readings=Readings(streams=lambda: 3))
    other = metrics(completed(), failed(), readings=Readings(streams=lambda: 0))
    alone = {
        (sample.name, *sorted(sample.labels.items()), ("worker", worker)): sample.value
        for worker, counted in (("0", one), ("1", other))
        for sample in samples(counted)
        if sample.name.startswith("tailrace_")
    }
    together = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for sample in exposed_by(joined(one, other))
        if sample.name.startswith("tailrace_") and "_worker" not in sample.name
    }
    sort = {(name, *sorted(labels)): value for (name, *labels), value in alone.items()}
    assert together == sort


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_a_family_of_all_workers_is_told_once(accept: str) -> None:
    body, _ = joined(metrics(completed()), metrics(completed())).exposition(accept)
    types = [line for line in body.decode().splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    if accept:
        assert list(openmetrics_families(body.decode()))


def test_who_is_missing_and_who_was_replaced_is_told() -> None:
    told_of = {
        (sample.name, sample.labels.get("worker")): sample.value
        for sample in exposed_by(joined(metrics(), missing=1))
        if "_worker" in sample.name
    }
    assert told_of == {
        ("tailrace_workers_missing", None): 1,
        ("tailrace_worker_restarts_total", "0"): 0,
        ("tailrace_worker_restarts_total", "1"): 2,
    }
