import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { StreamEvent } from './events.ts';
import { Route } from './route.ts';
import { broken, spoken, Transcript } from './transcript.ts';

const USAGE = {
  input: 1,
  input_cached: null,
  output: 2,
  output_reasoning: null,
  total: 3,
  source: 'provider',
} as const;

/** Events of one stream, numbered from 0, a tenth of a second apart. */
function stream(...events: object[]): StreamEvent[] {
  return events.map(
    (event, seq) => ({ stream: 'st_1', seq, ts: 1_000 + 100 * seq, ...event }) as StreamEvent,
  );
}

const RESTARTED = stream(
  { type: 'stream.start' },
  { type: 'attempt.start', attempt: 1, provider: 'groq', model: 'a', role: 'primary', after_ms: 0 },
  { type: 'attempt.commit', attempt: 1, reason: 'first_content', ttft_ms: 50 },
  { type: 'block.start', block: 'b1', index: 0, attempt: 1, kind: 'text' },
  { type: 'text.delta', block: 'b1', delta: 'The cap' },
  { type: 'attempt.end', attempt: 1, outcome: 'failed', error: { code: 'stream_interrupted' } },
  { type: 'attempt.start', attempt: 2, provider: 'openai', model: 'b', role: 'fallback', after_ms: 5 },
  { type: 'failover', from: 1, to: 2, mode: 'restart', drop: ['b1'], error: {} },
  { type: 'attempt.commit', attempt: 2, reason: 'failover', ttft_ms: 30 },
  { type: 'block.start', block: 'b2', index: 0, attempt: 2, kind: 'text' },
  { type: 'text.delta', block: 'b2', delta: 'Paris' },
  { type: 'block.end', block: 'b2', status: 'complete' },
  {
    type: 'stream.end',
    status: 'completed',
    finish: 'stop',
    usage: USAGE,
    usage_total: USAGE,
    timing: { queued_ms: 0, ttft_ms: 230, total_ms: 1200 },
    attempts: [
      { attempt: 1, outcome: 'failed' },
      { attempt: 2, outcome: 'completed' },
    ],
  },
);

test('what was taken back is gone, and what came instead is there', () => {
  const transcript = new Transcript();
  for (const event of RESTARTED) transcript.add(event);
  assert.equal(spoken(transcript.view(), 'text'), 'Paris');
});

test('events that come again change nothing', () => {
  const transcript = new Transcript();
  for (const event of [...RESTARTED.slice(0, 6), ...RESTARTED.slice(2)]) transcript.add(event);
  assert.equal(spoken(transcript.view(), 'text'), 'Paris');
  assert.equal(transcript.add(RESTARTED[4]!), false);
});

test('a snapshot stands for everything before it, and the rest follows', () => {
  const transcript = new Transcript();
  const blocks = [{ block: 'b2', kind: 'text', text: 'Par' }];
  transcript.add({ stream: 'st_1', type: 'stream.snapshot', as_of: 9, blocks } as StreamEvent);
  transcript.add({ ...RESTARTED[10], delta: 'is' } as StreamEvent);
  assert.equal(spoken(transcript.view(), 'text'), 'Paris');
});

test('a view does not change when more is said', () => {
  const transcript = new Transcript();
  for (const event of RESTARTED.slice(0, 5)) transcript.add(event);
  const before = transcript.view();
  transcript.add({ ...RESTARTED[4], seq: 5, delta: 'ital' } as StreamEvent);
  assert.equal(spoken(before, 'text'), 'The cap');
});

test('what is broken off is over where it was not, and whole where it was', () => {
  const transcript = new Transcript();
  for (const event of RESTARTED.slice(0, 5)) transcript.add(event);
  const [cut] = broken(transcript.view()).blocks;
  assert.deepEqual([cut!.text, cut!.over, cut!.complete], ['The cap', true, false]);
  const whole = new Transcript();
  for (const event of RESTARTED) whole.add(event);
  assert.deepEqual(broken(whole.view()).blocks, whole.view().blocks);
});

test('of a file it is known what it is and how much of it came', () => {
  const transcript = new Transcript();
  const events = stream(
    { type: 'block.start', block: 'b1', index: 0, attempt: 1, kind: 'file', media_type: 'image/png' },
    { type: 'file.delta', block: 'b1', data: 'aGVsbG8=', offset: 0 },
    { type: 'file.delta', block: 'b1', data: 'IQ==', offset: 5 },
  );
  for (const event of events) transcript.add(event);
  const [file] = transcript.view().blocks;
  assert.deepEqual([file!.media, file!.bytes], ['image/png', 6]);
});

test('each attempt is where it happened, by the service’s clock', () => {
  const route = new Route();
  for (const event of RESTARTED) route.add(event);
  const { attempts, latest } = route.view();
  assert.deepEqual(
    attempts.map(({ provider, start, first, end, outcome }) => [provider, start, first, end, outcome]),
    [
      ['groq', 100, 150, 500, 'failed'],
      ['openai', 600, 630, 1200, 'completed'],
    ],
  );
  assert.equal(latest, 1200);
});
