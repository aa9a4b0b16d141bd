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
  /** US dollars, by name and time; not added up. */
  costs: number[][];
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
    totals.set(name, (totals.get(name) ?? 0) + cost(row));
  }
  const ranked = [...totals].sort((one, other) => other[1] - one[1]).map(([name]) => name);
  const own = ranked.slice(0, NAMED);
  const names = ranked.length > NAMED ? [...own, null] : own;
  const costs = names.map(() => times.map(() => 0));
  const columns = new Map(times.map((time, column) => [time, column]));
  for (const row of rows) {
    const column = columns.get(time(row, step));
    if (column === undefined) continue; // of an hour that has begun since the times were drawn up
    const place = own.indexOf(named(row, group));
    const line = costs[place < 0 ? own.length : place]!;
    line[column]! += cost(row);
  }
  return { times, names, costs };
}

/** Each line on top of those before it. */
export function piled(costs: number[][]): number[][] {
  const sofar = costs[0]?.map(() => 0) ?? [];
  return costs.map((line) => line.map((cost, i) => (sofar[i]! += cost)));
}

function cost(row: Row): number {
  return Number(row.cost_usd ?? 0);
}

/** Where a row's hour or day begins, which the service names in UTC. */
function time(row: Row, step: Step): number {
  const named = row[step] ?? '';
  const whole = /^\d{4}-\d\d-\d\d$/.test(named) ? `${named}T00:00:00Z` : named;
  return Math.floor(Date.parse(whole) / 1000);
}
