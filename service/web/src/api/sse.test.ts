import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Reading, type Sent } from './sse.ts';

const TEXT = 'retry: 10\nid: 7\n\n: alive\n\nid: 8\r\nevent: usage\r\ndata: {"a":\r\ndata:1}\r\n\r\ndata\n\ndata: é\n\n';

const EVENTS: Sent[] = [
  { id: '8', event: 'usage', data: '{"a":\n1}' },
  { id: '8', event: 'message', data: 'é' },
];

test('events do not depend on how the text is cut', () => {
  for (let size = 1; size <= TEXT.length; size++) {
    const reading = new Reading();
    const found: Sent[] = [];
    for (let at = 0; at < TEXT.length; at += size) found.push(...reading.feed(TEXT.slice(at, at + size)));
    assert.deepEqual(found, EVENTS, `in pieces of ${size}`);
  }
});

test('an event without its end is none', () => {
  assert.deepEqual([...new Reading().feed('data: half\n')], []);
});

test('where to go on is the last whole block, with or without data', () => {
  const reading = new Reading();
  const ids = ['id: 7\n\n', 'id: 8\ndata: a\n\n', ':\n\n', 'id: 9\ndata: cut'].map((text) => {
    Array.from(reading.feed(text));
    return reading.id;
  });
  assert.deepEqual(ids, ['7', '8', '8', '8']);
});
