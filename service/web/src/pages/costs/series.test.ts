import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Row } from '../../api/usage.ts';
import { NAMED, piled, stacks } from './series.ts';

function row(provider: string | null, day: string, cost: string | null): Row {
  return {
    provider,
    day,
    attempts: 1,
    input_tokens: 1,
    output_tokens: 1,
    cost_usd: cost,
    unknown_cost_attempts: 0,
    estimated_attempts: 0,
    hedge_attempts: 0,
    hedge_cost_usd: null,
    saved_ms: null,
  };
}

test('every group has a line, the largest first, and every day a place', () => {
  const { times, names, costs } = stacks(
    [row('groq', '2026-11-22', '1'), row('claude', '2026-11-23', '5'), row('groq', '2026-11-23', '2')],
    'provider',
    'day',
  );
  assert.deepEqual(names, ['claude', 'groq']);
  assert.deepEqual(times, [Date.UTC(2026, 10, 22) / 1000, Date.UTC(2026, 10, 23) / 1000]);
  assert.deepEqual(costs, [
    [0, 5],
    [1, 2],
  ]);
});

test('the smallest groups are one line together, and nothing of them is lost', () => {
  const rows = Array.from({ length: NAMED + 3 }, (_, i) => row(`p${i}`, '2026-11-23', `${10 - i}`));
  const { names, costs } = stacks(rows, 'provider', 'day');
  assert.equal(names.length, NAMED + 1);
  assert.equal(names.at(-1), null);
  assert.equal(costs.flat().reduce((a, b) => a + b), 10 + 9 + 8 + 7 + 6 + 5 + 4 + 3 + 2);
});

test('a cost that nobody knows adds nothing, and a group without a name has a place', () => {
  const { names, costs } = stacks([row(null, '2026-11-23', null)], 'provider', 'day');
  assert.deepEqual([names, costs], [['–'], [[0]]]);
});

test('lines are piled each on those before it', () => {
  assert.deepEqual(piled([[1, 2], [3, 4]]), [[1, 2], [4, 6]]);
});
