import assert from 'node:assert/strict';
import { test } from 'node:test';

import { beginning, left, steps, turned } from './period.ts';

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

test('a day turns at midnight UTC, and so does what is drawn of it', () => {
  const before = new Date('2026-02-28T23:59:59.999Z');
  const after = new Date('2026-03-01T00:00:00.000Z');
  assert.equal(left(before), 1);
  assert.equal(left(after), 86_400_000);
  assert.equal(turned(before, after), true);
  assert.equal(turned(after, new Date('2026-03-01T23:59:59.999Z')), false);
  assert.notDeepEqual(steps('today', before), steps('today', after));
});

test('a clock that was set back has turned the day, too', () => {
  assert.equal(turned(NOW, new Date('2026-02-27T10:00:00Z')), true);
});
