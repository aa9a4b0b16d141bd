"""What hedging buys and what it costs: the service's own scheduler on a virtual clock.

The goals are docs/hedging.md's, printed with what was measured, the missed ones first; a missed
gate ends the command with 1. Three scenarios (`hedge_world`) are played through the service's own
classes (`hedge_run`) and compared with the best that a fixed policy could have done in hindsight
(`hedge_offline`); the published case checks the race, the clock and the account (`hedge_tail`);
providers that feel the load check that hedging does not keep an overload alive (`hedge_overload`).
A run without censoring must miss its goal, or the goals prove nothing. All luck is seeded and the
same for every policy.

A quantile is given with its 95 % interval from order statistics. `--share 0.1` plays a tenth of the
requests, for a look; the goals are meant for all of them.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from multiprocessing import Pool
from pathlib import Path
from statistics import median
from time import perf_counter

from adapters.request import Strategy
from bench import hedge_overload, hedge_tail
from bench.hedge_offline import optimum
from bench.hedge_overload import Recovery
from bench.hedge_picture import Curve, Panel, draw
from bench.hedge_run import Run
from bench.hedge_world import DEADLINE, ONE_SIZE, THREE_SIZES, Size, World, draw_world

BUDGET = 0.05
PICTURE = Path(__file__).parent.parent / "docs" / "hedging.svg"
PROCESSES = 2
READS = 200_000
QUANTILES = (0.5, 0.99, 0.999)


@dataclass(frozen=True)
class Scenario:
    """What is played."""

    name: str
    seed: int
    requests: int = 120_000
    rate: float = 20.0
    sizes: tuple[Size, ...] = ONE_SIZE
    episodes: bool = False

    def world(self) -> World:
        """Draw it."""
        return draw_world(
            seed=self.seed,
            requests=self.requests,
            rate=self.rate,
            sizes=self.sizes,
            episodes=self.episodes,
        )


S1 = [Scenario("S1", seed) for seed in (20260418, 101, 102)]
S1_SLOW = [Scenario("S1 1/s", seed, 15_000, 1.0) for seed in (20260418, 101, 102)]
S2 = [Scenario("S2", seed, sizes=THREE_SIZES) for seed in (20260419, 101, 102)]
S3 = [
    Scenario("S3", seed, 150_000, sizes=THREE_SIZES, episodes=True)
    for seed in (20260420, 101, 102, 103, 104)
]


class Times:
    """Times to the first token, sorted."""

    def __init__(self, times: Sequence[float]) -> None:
        """In seconds, in any order."""
        self.sorted = sorted(times)

    def at(self, share: float) -> float:
        """The quantile."""
        return self.sorted[min(len(self.sorted) - 1, int(share * len(self.sorted)))]

    def interval(self, share: float) -> tuple[float, float]:
        """Where the quantile lies with 95 % confidence."""
        count = len(self.sorted)
        spread = 1.96 * sqrt(count * share * (1 - share))
        low = max(0, int(count * share - spread))
        high = min(count - 1, int(count * share + spread))
        return self.sorted[low], self.sorted[high]

    def curve(self) -> list[tuple[float, float]]:
        """(seconds, share still silent), evenly spaced in the logarithm of the share."""
        shares = (10 ** (-step / 50) for step in range(15, 50 * 4))
        return [(self.at(1 - share), share) for share in shares]


@dataclass
class Result:
    """What came of one scenario."""

    scenario: Scenario
    alone: Times
    hedged: Times
    both: Times
    """Both providers asked at once: what no policy can better."""
    best: dict[float, float]
    """Seconds by quantile under the best fixed policy for it."""
    extra: float
    cost: float
    """Extra cost where cancelling stops the bill."""
    full_cost: float
    """The same where it does not."""
    burst: float
    abandoned: int
    denials: dict[str, int]

    def ratio(self, share: float) -> float:
        """How far from the best fixed policy."""
        return self.hedged.at(share) / self.best[share]


def play(scenario: Scenario) -> Result:
    """Play one scenario under every policy."""
    world = scenario.world()
    account = Run(world).run()
    billed = Run(world, billing="full").run()
    arrivals = list(enumerate(world.arrivals))
    alone = [min(DEADLINE, world.first_token(r, 0, at)) for r, at in arrivals]
    other = (world.first_token(r, 1, at) for r, at in arrivals)
    return Result(
        scenario=scenario,
        alone=Times(alone),
        hedged=Times(account.first_tokens),
        both=Times([min(pair) for pair in zip(alone, other, strict=True)]),
        best={share: optimum(world, BUDGET, share) for share in (0.99, 0.999)},
        extra=account.extra,
        cost=account.extra_cost,
        full_cost=billed.extra_cost,
        burst=account.burst(),
        abandoned=account.abandoned,
        denials=account.denials,
    )


def play_uncensored(scenario: Scenario) -> Times:
    """Play one without learning from what was given up."""
    return Times(Run(scenario.world(), censoring=False).run().first_tokens)


def play_reads(count: int, seed: int) -> tuple[list[float], list[float], float]:
    """Play the published case."""
    return hedge_tail.reads(count, seed)


def play_overload(seed: int, strategy: Strategy, frees: bool) -> Recovery:  # noqa: FBT001 - starmap
    """Play the overload."""
    return hedge_overload.recovery(seed, strategy, frees=frees)


# --- Goals ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Goal:
    """What was to be reached, and whether it was."""

    what: str
    measured: str
    met: bool
    gate: bool = True
    """Whether the command fails without it."""

    def line(self) -> str:
        """One line of the report."""
        return f"{'met   ' if self.met else 'MISSED'}  {self.what:<68}  {self.measured}"


def _within(name: str, values: Sequence[float], limit: float, form: str = "{:.3f}") -> Goal:
    """All of the values are at most `limit`."""
    shown = " ".join(form.format(value) for value in values)
    return Goal(f"{name} <= {form.format(limit)}", shown, all(value <= limit for value in values))


def _near(name: str, value: float, goal: float, by: float, form: str) -> Goal:
    shown = form.format(value)
    what = f"{name} {form.format(goal)} +-{form.format(by)}"
    return Goal(what, shown, abs(value - goal) <= by)


_PERCENT = "{:.2%}"


def goals_of_tail(alone: Times, hedged: Times, extra: float) -> Iterator[Goal]:
    """The published figures."""
    name = "Tail at Scale, p99.9"
    yield _near(f"{name} alone (s)", alone.at(0.999), 1.8, 0.216, "{:.3f}")
    yield _near(f"{name} hedged (s)", hedged.at(0.999), 0.074, 0.00592, "{:.4f}")
    yield _near("Tail at Scale, extra requests", extra, 0.02, 0.0015, _PERCENT)


def goals_of_steady(name: str, results: Sequence[Result], headline: float) -> Iterator[Goal]:
    """S1 and S2."""
    yield _within(f"{name} p99 / best fixed", [r.ratio(0.99) for r in results], 1.05)
    yield _within(f"{name} p99.9 / best fixed", [r.ratio(0.999) for r in results], 1.08)
    yield _within(f"{name} p99 (s)", [r.hedged.at(0.99) for r in results], headline)
    medians = [r.hedged.at(0.5) / r.alone.at(0.5) for r in results]
    yield _within(f"{name} p50 / not hedged", medians, 1.01)
    yield from goals_of_spend(name, results)


def goals_of_slow_traffic(results: Sequence[Result]) -> Iterator[Goal]:
    """S1 at one request a second: pooled, because one run's p99.9 rests on 15 requests."""
    name = "S1 at 1/s, pooled,"
    times = Times([time for r in results for time in r.hedged.sorted])
    for share, limit in ((0.99, 1.05), (0.999, 1.08)):
        best = sum(r.best[share] for r in results) / len(results)
        yield _within(f"{name} p{share:.1%} / best fixed", [times.at(share) / best], limit)
    yield from goals_of_spend(name, results)


def goals_of_episodes(results: Sequence[Result]) -> Iterator[Goal]:
    """S3."""
    p99 = [r.ratio(0.99) for r in results]
    yield _within("S3 median p99 / best fixed", [median(p99)], 1.10)
    yield _within("S3 worst p99 / best fixed", p99, 1.25)
    yield _within("S3 worst p99.9 / best fixed", [r.ratio(0.999) for r in results], 1.15)
    yield _within("S3 extra requests in any 10 s", [r.burst for r in results], 0.25, _PERCENT)
    lost = [float(r.abandoned) for r in results]
    yield _within("S3 requests at their deadline while a provider answers", lost, 0, "{:.0f}")
    yield from goals_of_spend("S3", results)


def goals_of_spend(name: str, results: Sequence[Result]) -> Iterator[Goal]:
    """What every scenario may cost."""
    yield _within(f"{name} extra requests", [r.extra for r in results], 0.05, _PERCENT)
    stops, full = [r.cost for r in results], [r.full_cost for r in results]
    yield _within(f"{name} extra cost, cancelling stops the bill", stops, 0.05, _PERCENT)
    yield _within(f"{name} extra cost, it does not", full, 0.06, _PERCENT)


def goals_of_control(results: Sequence[Result], blind: Sequence[Times]) -> Iterator[Goal]:
    """Without censoring S1's goal must be missed."""
    pairs = zip(results, blind, strict=True)
    ratios = [times.at(0.999) / result.best[0.999] for result, times in pairs]
    shown = " ".join(f"{ratio:.2f}" for ratio in ratios)
    missed = all(ratio > 1.08 for ratio in ratios)
    yield Goal("control: without censoring, S1 p99.9 / best fixed > 1.08", shown, missed)


def goals_of_overload(played: dict[tuple[Strategy, bool], list[Recovery]]) -> Iterator[Goal]:
    """Load and recovery with hedging against without."""

    def seconds(key: tuple[Strategy, bool]) -> float:
        return median(recovery.seconds for recovery in played[key])

    without = seconds((Strategy.NORMAL, True))
    for frees, kind in ((True, "cancelling frees a place"), (False, "it does not")):
        key = (Strategy.HEDGE, frees)
        load = max(recovery.load for recovery in played[key])
        yield _within(f"overload, upstream load / offered in any 10 s, {kind}", [load], 1.25)
        yield replace(
            _within(f"overload, recovery / not hedged, {kind}", [seconds(key) / without], 1.2),
            gate=False,
        )
    race = seconds((Strategy.RACE, True)) / without
    yield Goal("control: racing two at 80 % load recovers later still", f"{race:.1f}", race > 1.2)


# --- Report ---------------------------------------------------------------------------------

_HEADER = (
    f"{'scenario':<16}{'alone p50':>10}{'p99':>7}{'p99.9':>7}{'hedged p50':>12}"
    f"{'p99 [95 %]':>21}{'p99.9 [95 %]':>23}{'both p99':>10}{'p99.9':>7}"
    f"{'best p99':>10}{'p99.9':>7}{'extra':>8}{'cost':>7}{'full':>7}{'10 s':>7}{'lost':>6}"
)


def row(result: Result) -> str:
    """One line of the table; times in seconds."""
    alone, hedged, both = result.alone, result.hedged, result.both
    scenario = f"{result.scenario.name} {result.scenario.seed}"
    return (
        f"{scenario:<16}{alone.at(0.5):10.3f}{alone.at(0.99):7.2f}{alone.at(0.999):7.2f}"
        f"{hedged.at(0.5):12.3f}{_ranged(hedged, 0.99):>21}{_ranged(hedged, 0.999):>23}"
        f"{both.at(0.99):10.2f}{both.at(0.999):7.2f}"
        f"{result.best[0.99]:10.3f}{result.best[0.999]:7.2f}"
        f"{result.extra:8.2%}{result.cost:7.2%}{result.full_cost:7.2%}{result.burst:7.1%}"
        f"{result.abandoned:6d}"
    )


def _ranged(times: Times, share: float) -> str:
    low, high = times.interval(share)
    return f"{times.at(share):.3f} [{low:.2f} {high:.2f}]"


def picture(steady: Result, episodes: Result) -> str:
    """The first seeds of S1 and S3."""
    panels = [
        Panel(
            title,
            [
                Curve("none", "one provider", result.alone.curve()),
                Curve("hedged", "hedged", result.hedged.curve()),
                Curve("both", "always both", result.both.curve()),
            ],
            [(seconds, 1 - share) for share, seconds in result.best.items()],
        )
        for title, result in (
            (f"Stragglers only: {steady.extra:.1%} extra requests", steady),
            (f"Slow episodes and outages: {episodes.extra:.1%} extra requests", episodes),
        )
    ]
    return draw(
        panels, "Time to the first token by quantile: alone, hedged, and always asking both"
    )


OVERLOADS = [
    (Strategy.NORMAL, True),
    (Strategy.HEDGE, True),
    (Strategy.HEDGE, False),
    (Strategy.RACE, True),
]
OVERLOAD_SEEDS = (1, 2, 3, 4, 5, 6)


def main() -> int:
    """Play everything, print the report, draw the picture; 1 if a gate is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the requests to play")
    share = parser.parse_args().share
    began = perf_counter()

    def scaled(scenarios: list[Scenario]) -> list[Scenario]:
        return [replace(s, requests=int(s.requests * share)) for s in scenarios]

    with Pool(PROCESSES) as pool:
        # The longest first, so that no process is left alone with one at the end.
        read = pool.starmap_async(
            play_reads,
            [(int(READS * share / 4), hedge_tail.SEED + part) for part in range(4)],
            chunksize=1,
        )
        scenarios = [*scaled(S3), *scaled(S2), *scaled(S1), *scaled(S1_SLOW)]
        played = pool.map_async(play, scenarios, chunksize=1)
        blind = pool.map_async(play_uncensored, scaled(S1), chunksize=1)
        loads = [
            (seed, strategy, frees) for strategy, frees in OVERLOADS for seed in OVERLOAD_SEEDS
        ]
        overload = pool.starmap_async(play_overload, loads, chunksize=1)
        parts, results, censored = read.get(), played.get(), blind.get()
        recoveries = dict(zip(loads, overload.get(), strict=True))

    def of(name: str) -> list[Result]:
        return [result for result in results if result.scenario.name == name]

    alone = Times([time for part in parts for time in part[0]])
    hedged = Times([time for part in parts for time in part[1]])
    by_policy = {key: [recoveries[seed, *key] for seed in OVERLOAD_SEEDS] for key in OVERLOADS}
    goals = [
        *goals_of_tail(alone, hedged, sum(part[2] for part in parts) / len(parts)),
        *goals_of_steady("S1", of("S1"), 2.05),
        *goals_of_steady("S2", of("S2"), 3.95),
        *goals_of_slow_traffic(of("S1 1/s")),
        *goals_of_episodes(of("S3")),
        *goals_of_control(of("S1"), censored),
        *goals_of_overload(by_policy),
    ]
    print(_HEADER)
    for name in ("S1", "S1 1/s", "S2", "S3"):
        print(*map(row, of(name)), sep="\n")
    for (strategy, frees), runs in by_policy.items():
        print(
            f"overload {strategy:<7} {'frees its place' if frees else 'runs on':<16}"
            f"recovery (s) {' '.join(f'{run.seconds:.0f}' for run in runs)}, "
            f"largest load {max(run.load for run in runs):.2f}"
        )
    print()
    print(*(goal.line() for goal in sorted(goals, key=lambda goal: goal.met)), sep="\n")
    PICTURE.write_text(picture(of("S1")[0], of("S3")[0]))
    print(
        f"\n{perf_counter() - began:.0f} s; curves in {PICTURE.relative_to(PICTURE.parent.parent)}"
    )
    return int(any(goal.gate and not goal.met for goal in goals))


if __name__ == "__main__":
    raise SystemExit(main())
