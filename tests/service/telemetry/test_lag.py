"""The process's own pauses are noticed, on a real event loop that really pauses."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.events import Role
from service.clock import monotonic
from service.hedging.delay import Key
from service.hedging.hedger import Contender, Hedger, Watched
from service.routing.health import Health, Target
from service.telemetry.lag import INTERVAL, LagWatch

PAUSE = 0.2  # seconds


def pause() -> None:
    """Keep the event loop from everything else."""
    until = monotonic() + PAUSE
    while monotonic() < until:
        pass


class Ear:
    """Hears what a watch tells, and can be waited for."""

    def __init__(self) -> None:
        self.told: list[tuple[float, float]] = []
        self._again = asyncio.Event()

    def __call__(self, seconds: float, now: float) -> None:
        self.told.append((seconds, now))
        self._again.set()

    async def hears(self) -> tuple[float, float]:
        """The next that is told."""
        self._again.clear()
        await self._again.wait()
        return self.told[-1]


@pytest.fixture
async def ear() -> Ear:
    return Ear()


@pytest.fixture
async def watch(ear: Ear) -> AsyncIterator[LagWatch]:
    watch = LagWatch(ear)
    watch.start()
    yield watch
    watch.stop()


async def test_a_pause_is_told_less_at_most_one_interval(watch: LagWatch, ear: Ear) -> None:
    assert watch
    before = monotonic()
    pause()
    seconds, now = await ear.hears()
    assert PAUSE - INTERVAL <= seconds <= now - before


async def test_it_goes_on_telling_and_never_less_than_nothing(watch: LagWatch, ear: Ear) -> None:
    assert watch
    for _ in range(4):
        await ear.hears()
    assert min(seconds for seconds, _ in ear.told) >= 0


async def test_a_look_after_a_pause_tells_of_it_before_anything_else_runs(
    watch: LagWatch, ear: Ear
) -> None:
    pause()
    watch.look()
    ((seconds, _),) = ear.told
    assert seconds >= PAUSE - INTERVAL


async def test_no_part_of_a_pause_is_told_twice(watch: LagWatch, ear: Ear) -> None:
    before = monotonic()
    pause()
    watch.look()
    watch.look()
    _, now = await ear.hears()
    assert sum(seconds for seconds, _ in ear.told) <= now - before


async def test_a_look_in_time_tells_nothing(ear: Ear) -> None:
    watch = LagWatch(ear)
    watch.start()
    watch.look()
    watch.stop()
    assert ear.told == []


async def test_every_listener_is_told_the_same() -> None:
    one, other = Ear(), Ear()
    watch = LagWatch(one, other)
    watch.start()
    pause()
    watch.look()
    watch.stop()
    assert one.told == other.told != []


async def test_nothing_is_told_and_nothing_is_left_after_the_end(watch: LagWatch, ear: Ear) -> None:
    watch.stop()
    pause()
    watch.look()
    reference = Ear()
    other = LagWatch(reference)
    other.start()
    await reference.hears()
    other.stop()
    watch.stop()
    assert ear.told == []


async def test_one_that_was_never_started_has_nothing_to_say(ear: Ear) -> None:
    watch = LagWatch(ear)
    watch.look()
    watch.stop()
    assert ear.told == []


@pytest.mark.parametrize("paused", [True, False])
async def test_hedging_learns_a_time_unless_there_was_a_pause(*, paused: bool) -> None:
    hedger = Hedger(Health())
    contender = Contender(
        target=Target("a", "m"), key=Key("a", "m", 0, reasoning=False), domain="a"
    )
    watch = LagWatch(hedger.lag)
    watch.start()
    request = hedger.watch(Watched(), [contender], monotonic())
    request.started(1, 0, Role.PRIMARY, monotonic())
    if paused:
        pause()
    # What the shell does with a first token, which may have piled up meanwhile.
    watch.look()
    request.content(1, monotonic())
    watch.stop()
    assert hedger.overload.lagging(monotonic()) is paused
    assert (contender.key in hedger.delays._waits) is not paused
