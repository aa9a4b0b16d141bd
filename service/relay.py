"""One request's whole story: plan, stream, race, log, end.

`open` does everything that can still be refused as an HTTP error (routing, an Idempotency-Key used
twice) and returns a live `Stream`; the generation then runs in its attempts' tasks, whatever
becomes of the connection that asked for it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from adapters.contract import Client
from adapters.errors import RequestError, make
from adapters.events import Caps, ErrorCode, Phase, RoutePlan, StreamStart
from adapters.request import ChatRequest, Strategy
from service import clock, ids
from service.hedging.runner import Runner
from service.hedging.shared import Learned, Shared
from service.routing import policy, shown
from service.routing.plan import Plan
from service.routing.roster import Known
from service.routing.table import Table
from service.routing.view import View
from service.streams.log import MAX_BYTES, MAX_EVENTS, StreamLog
from service.streams.question import Question
from service.streams.shared import SharedStreams
from service.streams.store import Store
from service.streams.stream import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A validated request and how it came."""

    request: ChatRequest
    dialect: str
    """The client's: `native`, `coordination`, or a borrowed one."""
    cancel_after: float | None
    """Seconds without a reader after which it is cancelled; None: never."""
    idempotency_key: str | None = None
    arrived: float
    """Monotonic seconds."""
    question: Question | None = None
    """What is kept of it beside the stream, where its dialect comes back to it."""
    whole: bool = False
    """Whether who asked gets the answer when it is whole, and never sees what was taken back."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Who can be asked: replaced whole when the configuration changes."""

    known: Known
    clients: Mapping[str, Client]
    """By provider name; one for every active provider."""
    table: Table
    """What routing goes by; built for those who are known."""


class Relay:
    """Opens streams; holds what every request needs."""

    def __init__(
        self,
        store: Store,
        deployment: Deployment,
        shared: Shared | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        max_events: int = MAX_EVENTS,
        processes: SharedStreams | None = None,
    ) -> None:
        """The bounds are those of one stream's log, in bytes and events."""
        self.store = store
        self.deployment = deployment
        """May be replaced at any time: a stream keeps the one it started with."""
        self.shared = shared or Shared.fresh()
        self.draining = False
        self.processes = processes
        """Those that serve the same streams; None: this one is alone."""
        self._view = View(
            prices=self.shared.prices,
            health=self.shared.health,
            speeds=Learned(self.shared.hedger),
            limits=self.shared.limits,
        )
        self._max_bytes = max_bytes
        self._max_events = max_events

    def plan(self, request: ChatRequest) -> Plan:
        """Who would answer this request now, and why not others; nothing is changed by it.

        Raises RequestError where nobody would.
        """
        return self._decide(request, self.deployment, shift=False)

    async def start(self, ask: Ask) -> tuple[Stream, Plan | None]:
        """As `open`, but where its Idempotency-Key may have started it in any process.

        Raises what `open` does, and what `SharedStreams.claim` does.
        """
        key, processes = ask.idempotency_key, self.processes
        if key is None or processes is None:
            return self.open(ask)
        fingerprint = _fingerprint(ask)
        stream_id = ids.new("st", clock.now_ms())
        running = self.store.find(key, fingerprint)
        if running is None:
            running = await processes.claim(key, fingerprint, stream_id)
        if running is not None:
            return running, None
        try:
            stream, plan = self.open(ask, stream_id)
        except RequestError:
            await processes.release(key, fingerprint, stream_id)
            raise
        if stream.id != stream_id:
            # Of two with one key that Redis left to themselves, the other one was first.
            await processes.release(key, fingerprint, stream_id)
        return stream, plan

    async def find(self, stream_id: str, after: int = -1) -> Stream:
        """The stream of that name, of this process or of another one.

        `after`: what its reader has had of it. Raises what `Store.get` and `SharedStreams.get` do.
        """
        if self.processes is None:
            return self.store.get(stream_id)
        return await self.processes.get(stream_id, after)

    async def question(self, stream: Stream) -> Question | None:
        """What a stream was asked, in whichever process; None where that is not known.

        Raises RequestError where the others cannot be asked.
        """
        if stream.question is None and self.processes is not None:
            stream.question = await self.processes.question(stream.id)
        return stream.question

    async def caught_up(self, stream: Stream) -> None:
        """Wait, but not long, for an end that another process may have told its readers already."""
        if self.processes is not None:
            await self.processes.caught_up(stream)

    def open(self, ask: Ask, stream_id: str | None = None) -> tuple[Stream, Plan | None]:
        """Start a stream, or attach to the one that its Idempotency-Key started (no plan then).

        `stream_id`: what the new one is to be called; by default it gets a name here.
        Raises RequestError: nobody can serve it, the key belongs to another request, draining.
        """
        fingerprint = b""
        if ask.idempotency_key is not None:
            fingerprint = _fingerprint(ask)
            running = self.store.find(ask.idempotency_key, fingerprint)
            if running is not None:
                return running, None
        if self.draining:
            raise RequestError(
                make(
                    ErrorCode.DRAINING,
                    "the service is shutting down: send the request again",
                    retry_after_ms=1_000,
                    phase=Phase.BEFORE_STREAM,
                )
            )
        self.shared.meter.check()
        deployment = self.deployment
        decided = self._decide(ask.request, deployment, shift=True)
        plan = self.shared.explored(decided, clock.monotonic())
        stream, request_id = self._stream(ask, plan, stream_id), ids.new("rq", clock.now_ms())
        retracts = ask.dialect in _RETRACTING
        runner = Runner(
            stream,
            plan,
            deployment.clients,
            self.shared,
            request_id=request_id,
            retracts=retracts or ask.whole,
            arrived=ask.arrived,
            on_end=lambda: self.store.ended(stream, clock.monotonic()),
        )
        # From here on nothing fails without an end in the log.
        self.store.add(stream, key=ask.idempotency_key, fingerprint=fingerprint)
        if self.processes is not None:
            self.processes.share(stream)
        prologue = self._prologue(ask, plan, request_id, retracts=retracts)
        stream.log.append(prologue, clock.now_ms())
        runner.begin()
        # As decided: that somebody else was asked first, to get to know them, is no substitution.
        return stream, decided

    def _decide(self, request: ChatRequest, deployment: Deployment, *, shift: bool) -> Plan:
        now = clock.monotonic()
        table, known, at = deployment.table, deployment.known, clock.now_ms() / 1000
        plan = policy.plan(request, table, known, self._view, now, at, shift=shift)
        if plan.latency.strategy is not Strategy.HEDGE:
            return plan
        return replace(plan, hedge_after_s=self.shared.delay(plan, now))

    def _stream(self, ask: Ask, plan: Plan, stream_id: str | None) -> Stream:
        log = StreamLog(
            stream_id or ids.new("st", clock.now_ms()),
            max_bytes=self._max_bytes,
            max_events=self._max_events,
        )
        return Stream(log, plan.request, cancel_after=ask.cancel_after, question=ask.question)

    def _prologue(
        self, ask: Ask, plan: Plan, request_id: str, *, retracts: bool
    ) -> list[StreamStart | RoutePlan]:
        now = clock.now_ms()
        return [
            StreamStart(
                request_id=request_id,
                created_at=now,
                model_requested=ask.request.model,
                dialect=ask.dialect,
                caps=Caps(resume=True, retract=retracts, ttl_s=round(self.store.ttl)),
                metadata=ask.request.metadata or None,
            ),
            shown.route_plan(plan),
        ]


def _fingerprint(ask: Ask) -> bytes:
    """A digest of what was asked: the request, and what its answer repeats or is kept by.

    A response that is not to be stored is not the one that is, though both are asked alike.
    """
    digest = hashlib.sha256(ask.request.model_dump_json().encode())
    digest.update(ask.dialect.encode())
    if ask.question is not None:
        digest.update(msgspec.json.encode(ask.question.body, order="sorted"))
    return digest.digest()


_RETRACTING = frozenset({"native", "ui"})
"""Dialects whose readers can be told to forget what they were shown."""
