import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Kind, StreamEvent } from '../stream/events.ts';
import { Transcript } from '../stream/transcript.ts';
import { silent } from './silence.ts';

/** Whether an answer is silent that has these blocks and ends, if it does, like this. */
function heard(blocks: [Kind, string][], status?: string): boolean {
  const transcript = new Transcript();
  let seq = 0;
  const add = (event: object): unknown => transcript.add({ ...event, seq: seq++ } as StreamEvent);
  blocks.forEach(([kind, delta], index) => {
    add({ type: 'block.start', block: `b${index}`, kind });
    add({ type: 'text.delta', block: `b${index}`, delta });
  });
  if (status !== undefined) add({ type: 'stream.end', status });
  return silent(transcript.view());
}

test('an answer that ended well and said nothing but thoughts and blanks is silent', () => {
  assert.ok(heard([], 'completed'));
  assert.ok(heard([['text', ' \n']], 'completed'));
  assert.ok(heard([['reasoning', 'Hm.']], 'completed'));
});

test('words, refusals, tools and files are something', () => {
  const something: [Kind, string][] = [['text', 'a'], ['refusal', 'No.'], ['tool_call', ''], ['file', '']];
  for (const block of something) assert.ok(!heard([block], 'completed'));
});

test('of what has not ended, or not well, something else is said', () => {
  assert.ok(!heard([]));
  assert.ok(!heard([], 'failed'));
  assert.ok(!heard([], 'cancelled'));
});
