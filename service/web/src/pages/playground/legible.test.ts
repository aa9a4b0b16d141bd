import assert from 'node:assert/strict';
import { test } from 'node:test';

import { legible } from './legible.ts';

const TURN = {
  question: 'How high?',
  key: 'k',
  stream: 'st_1',
  carrier: 'sse',
  said: {
    blocks: [{ block: 'b1.0', kind: 'text', text: 'A metre.', over: true, failed: false, bytes: 0 }],
    citations: [{ id: 'c1', kind: 'web', url: 'https://example.com' }],
    warnings: [{ type: 'warning', code: 'dropped', message: 'seed is not known' }],
    flags: [],
    end: { type: 'stream.end', status: 'completed', finish: 'stop' },
  },
};

/** Every turn that lacks one thing somewhere, or has something else in its place. */
function* spoilt(value: object): Generator<object> {
  for (const [name, inside] of Object.entries(value)) {
    for (const other of [undefined, null, 5, 'x', [null]]) yield { ...value, [name]: other };
    if (typeof inside !== 'object' || inside === null) continue;
    for (const one of spoilt(inside)) {
      yield { ...value, [name]: Array.isArray(inside) ? Object.values(one) : one };
    }
  }
}

test('a turn as it is kept is legible, before there is a stream and after it', () => {
  assert.equal(legible(TURN), true);
  const { end: _, ...said } = TURN.said;
  assert.equal(legible({ ...TURN, stream: undefined, request: {}, said }), true);
});

test('what has another shape is not, or has all that is drawn', () => {
  for (const turn of [null, 5, 'turn', [], {}, ...spoilt(TURN)]) {
    if (!legible(turn)) continue;
    for (const { text, kind } of turn.said.blocks) assert.equal(typeof (text + kind), 'string');
    for (const { message } of turn.said.warnings) assert.equal(typeof message, 'string');
    for (const { id } of turn.said.citations) assert.equal(typeof id, 'string');
    assert.ok(Array.isArray(turn.said.flags));
    if (turn.said.end !== undefined) assert.equal(typeof turn.said.end.status, 'string');
  }
});

test('what there is no way to follow is not, and what was refused needs none', () => {
  const { stream: _, ...unnamed } = TURN;
  const { end: __, ...unended } = TURN.said;
  const problem = { code: 'ws_1009', message: 'too long' };
  for (const [turn, expected] of [
    [{ ...TURN, carrier: 'pigeon' }, false],
    [{ ...TURN, carrier: 'websocket' }, true],
    [{ ...unnamed, said: unended }, false],
    [{ ...unnamed, said: unended, request: null }, false],
    [{ ...unnamed, said: unended, problem }, true],
  ] as const) {
    assert.equal(legible(turn), expected, JSON.stringify(turn));
  }
});
