import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { StreamEvent } from './events.ts';
import { Route, type Taken } from './route.ts';
import { took } from './took.ts';

const CANDIDATES = [
  { provider: 'groq', model: 'a', cost_usd: '0.25' },
  { provider: 'openai', model: 'b', cost_usd: '0.5' },
];

/** A first one that fails at a cost of 0.125, and a second one that says 400 characters in a second. */
const EVENTS = [
  [0, { type: 'stream.start' }],
  [0, { type: 'route.plan', candidates: CANDIDATES }],
  [0, { type: 'attempt.start', attempt: 1, provider: 'groq', model: 'a', role: 'primary' }],
  [100, { type: 'attempt.commit', attempt: 1, ttft_ms: 100 }],
  [200, { type: 'attempt.end', attempt: 1, outcome: 'failed', usage: { cost_usd: '0.125' } }],
  [200, { type: 'attempt.start', attempt: 2, provider: 'openai', model: 'b', role: 'fallback' }],
  [300, { type: 'attempt.commit', attempt: 2, ttft_ms: 100 }],
  [310, { type: 'text.delta', block: 'b1', delta: 'x'.repeat(100) }],
  [1300, { type: 'text.delta', block: 'b1', delta: 'x'.repeat(300) }],
] as const;

function after(count: number): Taken {
  const route = new Route();
  EVENTS.slice(0, count).forEach(([ts, event], seq) =>
    route.add({ stream: 'st_1', seq, ts, ...event } as unknown as StreamEvent),
  );
  return route.view();
}

test('before anybody has said anything nothing is told', () => {
  const { first, speed, cost, total } = took(after(3));
  assert.deepEqual([first, speed, cost, total], [undefined, undefined, undefined, undefined]);
});

test('the cost so far is that of who is over, and what was expected of who answers', () => {
  assert.equal(took(after(4)).cost, 0.25);
  assert.equal(took(after(5)).cost, 0.125);
  assert.equal(took(after(EVENTS.length)).cost, 0.625);
});

test('the speed so far is told from what was said, once there is enough of it', () => {
  assert.equal(took(after(8)).speed, undefined);
  assert.equal(took(after(EVENTS.length)).speed, 100);
});

test('the first token is the first that was shown, whoever answers now', () => {
  assert.equal(took(after(EVENTS.length)).first, 100);
});

test('at the end the figures are the service’s', () => {
  const timing = { queued_ms: 0, ttft_ms: 90, total_ms: 1400, tokens_per_s: 77 };
  const end = { timing, usage_total: { cost_usd: '0.7' } } as unknown as NonNullable<Taken['end']>;
  assert.deepEqual(took({ ...after(EVENTS.length), end }), {
    first: 90,
    speed: 77,
    cost: '0.7',
    total: 1400,
    estimated: false,
  });
});
