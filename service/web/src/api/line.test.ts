import assert from 'node:assert/strict';
import { test } from 'node:test';

import { rested } from './line.ts';

test('a pause that nobody waits for any more is over before it begins', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] }); // its time never comes
  const over = rested(5_000, AbortSignal.abort()).then(() => 'over');
  assert.equal(await Promise.race([over, tick()]), 'over');
});

/** A moment later: what can be over without any time is. */
function tick(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
