import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { Refused } from './problem.ts';
import { passing, Pause } from './retry.ts';

const CROWDED = { code: 'overloaded', message: 'busy', retryable: true, retry_after_ms: 5_000 };

/** How long a pause lasts, in milliseconds of a clock that a test moves. */
async function lasts(t: TestContext, pause: Pause, failure?: unknown): Promise<number> {
  let over = false;
  void pause.rest(new AbortController().signal, failure).then(() => (over = true));
  for (let milliseconds = 0; ; milliseconds += 50) {
    await Promise.resolve();
    if (over) return milliseconds;
    t.mock.timers.tick(50);
  }
}

test('pauses double from a quarter of a second to five seconds, until something comes of it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const pause = new Pause();
  const lasted = [];
  for (let number = 0; number < 7; number++) lasted.push(await lasts(t, pause));
  assert.deepEqual(lasted, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  pause.reset();
  assert.equal(await lasts(t, pause), 250);
});

test('a pause is no shorter than the service asks for', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  assert.equal(await lasts(t, new Pause(), new Refused(503, CROWDED)), 5_000);
});

test('a question that nobody can answer now is not put again, a stream that there is is taken up', () => {
  assert.equal(passing(new Refused(503, CROWDED), false), false);
  assert.equal(passing(new Refused(503, CROWDED), true), true);
});

test('what is no word on the question is waited out, and what is refused for good is not', () => {
  for (const begun of [false, true]) {
    assert.equal(passing(new TypeError('failed to fetch'), begun), true);
    assert.equal(passing(new Refused(502, { ...CROWDED, code: 'http' }), begun), true);
    assert.equal(passing(new Refused(503, { ...CROWDED, code: 'draining' }), begun), true);
    assert.equal(passing(new Refused(404, { ...CROWDED, retryable: false }), begun), false);
  }
});
