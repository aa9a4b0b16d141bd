"""The usage event: one form for every way an attempt ends, word for word."""

from dataclasses import replace
from pathlib import Path

import msgspec
import orjson
import pytest

from adapters.contract import CancelBilling
from adapters.errors import make
from adapters.events import ErrorCode, Outcome, Role, UsageSource
from adapters.tokens import UNKNOWN
from service.telemetry.attempts import AttemptFacts
from service.usage import cost
from service.usage.cost import cost_of
from service.usage.record import (
    MAJOR,
    VERDICT_OF_OUTCOME,
    Billable,
    Origin,
    Progress,
    Reply,
    Sent,
    UsageEvent,
    Verdict,
    encode,
    finished,
    interrupted,
)
from tests.service.telemetry.facts import completed, failed, overtaken
from tests.service.usage.events import OPENED_NS, ORIGIN, REPLY, SENT, USED, priced

GOLDEN = Path(__file__).parent / "golden"

ESTIMATED = msgspec.structs.replace(
    UNKNOWN, input=4_800, output=20, total=4_820, source=UsageSource.ESTIMATED
)
STATED = msgspec.structs.replace(USED, cost_usd="0.0216235")
ANONYMOUS = Origin(
    request_id="req_02", requested_model="demo/demo", use_case="conversation", tier="standard"
)
BARE = Sent(
    id=SENT.id, attempt=1, provider="groq", model="m", role=Role.PRIMARY, opened_ns=OPENED_NS
)


def told(facts: AttemptFacts, **changes: object) -> UsageEvent:
    arguments = {"reply": REPLY, "cost": priced(facts.usage), **changes}
    return finished(ORIGIN, SENT, facts, **arguments)


EVENTS = {
    "winner": told(completed(usage=USED, hedged=True)),
    "loser": told(overtaken(usage=ESTIMATED), reply=Reply(bytes_out=20_480)),
    "refused": told(failed(ErrorCode.OVERLOADED), reply=Reply(http_status=529)),
    "cancelled": told(
        completed(
            outcome=Outcome.CANCELLED,
            usage=ESTIMATED,
            error=make(ErrorCode.CANCELLED, "the reader left"),
        )
    ),
    "stated_cost": told(completed(usage=STATED), cost=cost_of(STATED, None, target="openrouter/m")),
    "unknown": finished(
        ANONYMOUS,
        BARE,
        completed(usage=UNKNOWN, ttft=None),
        reply=Reply(http_status=200),
        cost=cost.UNKNOWN,
    ),
    "interrupted": interrupted(
        ORIGIN,
        SENT,
        Progress(
            reply=replace(REPLY, finish_reasons=()),
            usage=ESTIMATED,
            cost=priced(ESTIMATED),
            first_token_ns=OPENED_NS + 500_000_000,
            committed=True,
            hedged=True,
        ),
        OPENED_NS + 4_000_000_000,
    ),
}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_word_for_word_its_golden_file(name: str) -> None:
    golden = (GOLDEN / f"{name}.json").read_bytes()
    assert orjson.loads(encode(EVENTS[name])) == orjson.loads(golden)


def test_every_golden_file_is_that_of_an_event() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(EVENTS)


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_read_back_as_it_was_and_what_a_later_minor_adds_is_passed_over(
    name: str,
) -> None:
    content = orjson.loads(encode(EVENTS[name]))
    content["added"] = content["data"]["added"] = content["data"]["usage"]["added"] = "later"
    assert msgspec.json.decode(orjson.dumps(content), type=UsageEvent) == EVENTS[name]


@pytest.mark.parametrize("name", EVENTS)
def test_every_field_is_always_there_so_that_null_is_told_from_left_out(name: str) -> None:
    fields = {key: set(value) for key, value in _objects(EVENTS[name]).items()}
    assert fields == {key: set(value) for key, value in _objects(EVENTS["winner"]).items()}


def _objects(event: UsageEvent) -> dict[str, dict[str, object]]:
    content = orjson.loads(encode(event))
    return {"event": content, "data": content["data"], "usage": content["data"]["usage"]}


def test_the_type_ends_in_the_major_version() -> None:
    assert EVENTS["winner"].type == f"llm.attempt.v{MAJOR}"
    assert EVENTS["winner"].dataschema.endswith(f":v{MAJOR}")


def test_every_end_of_an_attempt_has_its_word() -> None:
    assert set(VERDICT_OF_OUTCOME) == set(Outcome)
    assert {told(completed(outcome=Outcome.SUPERSEDED)).data.outcome} == {Verdict.FAILED}


def test_the_finished_event_takes_the_interrupted_one_s_place_under_the_same_id() -> None:
    first, last = EVENTS["interrupted"], EVENTS["winner"]
    assert (first.id, first.source, first.subject) == (last.id, last.source, last.subject)


def test_an_interrupted_attempt_is_an_estimate_whoever_counted() -> None:
    progress = Progress(reply=REPLY, usage=USED, cost=priced())
    event = interrupted(ORIGIN, SENT, progress, OPENED_NS)
    assert (event.data.usage_source, event.data.estimated) == (UsageSource.PROVIDER, True)
    assert (event.data.committed, event.data.t_first_token_ns) == (False, None)


@pytest.mark.parametrize(
    ("facts", "billing", "billable"),
    [
        (failed(), "stops", Billable.NO),
        (completed(usage=UNKNOWN), "unknown", Billable.YES),
        (completed(outcome=Outcome.FAILED, usage=USED), "unknown", Billable.YES),
        (completed(outcome=Outcome.FAILED, usage=ESTIMATED), "full", Billable.UNKNOWN),
        (overtaken(usage=ESTIMATED), "stops", Billable.YES),
        (overtaken(usage=ESTIMATED), "full", Billable.YES),
        (overtaken(usage=ESTIMATED), "unknown", Billable.UNKNOWN),
        (completed(outcome=Outcome.CANCELLED, usage=ESTIMATED), "unknown", Billable.UNKNOWN),
    ],
)
def test_whether_it_is_charged_is_said_where_somebody_knows(
    facts: AttemptFacts, billing: CancelBilling, billable: Billable
) -> None:
    sent = replace(SENT, cancel_billing=billing)
    event = finished(ORIGIN, sent, facts, reply=REPLY, cost=cost.UNKNOWN)
    assert event.data.billable is billable


def test_times_are_the_opening_and_what_was_measured_from_it() -> None:
    data = EVENTS["winner"].data
    assert data.t_first_token_ns == OPENED_NS + 500_000_000
    assert data.t_close_ns == OPENED_NS + 1_500_000_000
    assert EVENTS["winner"].time == "2026-11-23T00:15:07.623000Z"


def test_a_deployment_with_a_name_of_its_own_is_the_source() -> None:
    sent = replace(SENT, deployment="azure-eu")
    event = finished(ORIGIN, sent, completed(), reply=REPLY, cost=cost.UNKNOWN)
    assert event.source == "tailrace/azure-eu"
