import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Row } from '../../api/usage.ts';
import { NAMED, piled, stacks, total } from './series.ts';

function row(provider: string | null, day: string, cost: string | null): Row {
  return {
    provider,
    day,
    attempts: 1,
    input_tokens: 1,
    output_tokens: 1,
    cost_nano_usd: cost,
    cost_usd: cost === null ? null : `${Number(cost) / 1e9}`,
    unknown_cost_attempts: 0,
    estimated_attempts: 0,
    hedge_attempts: 0,
    hedge_cost_usd: null,
    saved_ms: null,
  };
}

const DAYS = [21, 22, 23].map((day) => Date.UTC(2026, 10, day) / 1000);

test('every group has a line, the largest first, and every day a place, with or without a row', () => {
  const { times, names, costs } = stacks(
    [row('groq', '2026-11-21', '1'), row('claude', '2026-11-23', '5'), row('groq', '2026-11-23', '2')],
    'provider',
    'day',
    DAYS,
  );
  assert.deepEqual(names, ['claude', 'groq']);
  assert.deepEqual(times, DAYS);
  assert.deepEqual(costs, [
    [0, 0, 5],
    [1, 0, 2],
  ]);
});

test('hours are places, too, and a row of an hour that is not shown is left out', () => {
  const hours = [14, 15].map((hour) => Date.UTC(2026, 10, 23, hour) / 1000);
  const rows = ['14', '15', '16'].map((hour) => ({
    ...row('groq', '', '1'),
    hour: `2026-11-23T${hour}:00:00Z`,
  }));
  assert.deepEqual(stacks(rows, 'provider', 'hour', hours).costs, [[1, 1]]);
});

test('the smallest groups are one line together, and nothing of them is lost', () => {
  const rows = Array.from({ length: NAMED + 3 }, (_, i) => row(`p${i}`, '2026-11-23', `${10 - i}`));
  const { names, costs } = stacks(rows, 'provider', 'day', DAYS);
  assert.equal(names.length, NAMED + 1);
  assert.equal(names.at(-1), null);
  assert.equal(total(costs.flat()), 10 + 9 + 8 + 7 + 6 + 5 + 4 + 3 + 2);
});

test('a cost that nobody knows is not 0, and a group without a name has a place', () => {
  const { names, costs } = stacks([row(null, '2026-11-23', null)], 'provider', 'day', DAYS);
  assert.deepEqual([names, costs], [['–'], [[0, 0, null]]]);
});

test('others together cost what is known of them, and nobody knows what where nothing is', () => {
  const dear = Array.from({ length: NAMED }, (_, i) => row(`p${i}`, '2026-11-23', '9'));
  const others = [
    row('x', '2026-11-21', null),
    row('y', '2026-11-21', null),
    row('x', '2026-11-22', null),
    row('y', '2026-11-22', '1'),
  ];
  const { costs } = stacks([...dear, ...others], 'provider', 'day', DAYS);
  assert.deepEqual(costs.at(-1), [null, 1, 0]);
});

test('costs together are what is known of them, and nothing costs nothing', () => {
  assert.deepEqual([[], [null], [null, 0], [1, null, 2]].map(total), [0, null, 0, 3]);
});

test('lines are piled each on those before it', () => {
  assert.deepEqual(piled([[1, 2], [3, null]]), [[1, 2], [4, 2]]);
});
