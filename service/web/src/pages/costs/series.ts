/** Rows of sums as what a chart draws: a stack for each moment, the largest groups and the rest. */

import type { Group, Row } from '../../api/usage.ts';
import type { Step } from './period.ts';

/** How many groups get a colour of their own. */
export const NAMED = 6;

export interface Stacks {
  /** Where each hour or day begins, Unix seconds. */
  times: number[];
  /** The largest first; null is every other group together. */
  names: (string | null)[];
  /**
   * Nano-USD by name and time, not added up: whole numbers, whose sums are exact. Nothing was asked
   * where it is 0, or it was free; null is unknown.
   */
  costs: (number | null)[][];
}

/** The name of a row's group; what has none is told apart from what is called so. */
export function named(row: Row, group: Group): string {
  return row[group] ?? '–';
}

/** The costs of each group at each of these times; there need not be a row for every one. */
export function stacks(rows: Row[], group: Group, step: Step, times: number[]): Stacks {
  const totals = new Map<string, number>();
  for (const row of rows) {
    const name = named(row, group);
    totals.set(name, (totals.get(name) ?? 0) + (cost(row) ?? 0));
  }
  const ranked = [...totals].sort((one, other) => other[1] - one[1]).map(([name]) => name);
  const own = ranked.slice(0, NAMED);
  const names = ranked.length > NAMED ? [...own, null] : own;
  const found = names.map(() => times.map((): number | null | undefined => undefined));
  const columns = new Map(times.map((time, column) => [time, column]));
  for (const row of rows) {
    const column = columns.get(time(row, step));
    if (column === undefined) continue; // of an hour that has begun since the times were drawn up
    const place = own.indexOf(named(row, group));
    const line = found[place < 0 ? own.length : place]!;
    line[column] = plus(line[column], cost(row));
  }
  // Without a row there was no attempt, and what that cost is known.
  const costs = found.map((line) => line.map((sum) => (sum === undefined ? 0 : sum)));
  return { times, names, costs };
}

/** Each line on top of those before it; what is unknown has no height. */
export function piled(costs: (number | null)[][]): number[][] {
  const sofar = costs[0]?.map(() => 0) ?? [];
  return costs.map((line) => line.map((cost, i) => (sofar[i]! += cost ?? 0)));
}

/** What these cost together, as far as it is known; unknown only where nothing of them is. */
export function total(costs: (number | null)[]): number | null {
  return costs.reduce(plus, undefined) ?? (costs.length > 0 ? null : 0);
}

function plus(sum: number | null | undefined, cost: number | null): number | null {
  return cost === null ? (sum ?? null) : (sum ?? 0) + cost;
}

function cost(row: Row): number | null {
  return row.cost_nano_usd === null ? null : Number(row.cost_nano_usd);
}

/** Where a row's hour or day begins, which the service names in UTC. */
function time(row: Row, step: Step): number {
  const named = row[step] ?? '';
  const whole = /^\d{4}-\d\d-\d\d$/.test(named) ? `${named}T00:00:00Z` : named;
  return Math.floor(Date.parse(whole) / 1000);
}
