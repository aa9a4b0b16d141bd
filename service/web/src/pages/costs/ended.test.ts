import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { UsageEvent } from '../../api/usage.ts';
import { added, SHOWN, type Entry } from './ended.ts';

function attempt(id: string): UsageEvent {
  const data = {
    provider: 'groq',
    model: 'gpt-oss-120b',
    role: 'primary',
    outcome: 'winner',
    use_case: null,
    usage: { input_tokens: 1, output_tokens: 1 },
    cost_nano_usd: null,
    estimated: false,
  };
  return { id, time: '2026-11-23T12:00:00Z', data };
}

function ids(entries: Entry[]): string[] {
  return entries.map(({ id }) => id);
}

test('the newest come first, and the oldest go', () => {
  const told = Array.from({ length: SHOWN + 2 }, (_, i) => attempt(`${i}`));
  const entries = told.reduce<Entry[]>(added, []);
  assert.equal(entries.length, SHOWN);
  assert.deepEqual([entries[0]?.id, entries.at(-1)?.id], [`${SHOWN + 1}`, '2']);
});

test('what is told twice is shown once, attempts and gaps', () => {
  const gap: Entry = { id: 'after 7-0', gap: true };
  const entries = [attempt('a'), gap, attempt('a'), gap, attempt('b')].reduce<Entry[]>(added, []);
  assert.deepEqual(ids(entries), ['b', 'after 7-0', 'a']);
});
