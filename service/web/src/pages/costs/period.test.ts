import assert from 'node:assert/strict';
import { test } from 'node:test';

import { beginning, steps } from './period.ts';

const NOW = new Date('2026-03-01T23:59:59.999+14:00'); // nearly 10:00 of that day in UTC

test('a period begins with a whole UTC day, wherever one looks from', () => {
  assert.equal(beginning('today', NOW).toISOString(), '2026-03-01T00:00:00.000Z');
  assert.equal(beginning('week', NOW).toISOString(), '2026-02-23T00:00:00.000Z');
  assert.equal(beginning('month', NOW).toISOString(), '2026-01-31T00:00:00.000Z');
});

test('today has all of its hours, and a week and a month all of their days', () => {
  const iso = (seconds: number | undefined): string => new Date((seconds ?? NaN) * 1000).toISOString();
  const hours = steps('today', NOW);
  assert.equal(hours.length, 24);
  assert.equal(iso(hours.at(-1)), '2026-03-01T23:00:00.000Z');
  const days = steps('month', NOW);
  assert.equal(days.length, 30);
  assert.equal(iso(days.at(-1)), '2026-03-01T00:00:00.000Z');
  assert.equal(steps('week', NOW).length, 7);
});
