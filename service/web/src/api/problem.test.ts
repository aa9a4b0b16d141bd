import assert from 'node:assert/strict';
import { test } from 'node:test';

import { refused, type Problem } from './problem.ts';
import { passing } from './retry.ts';

const GATEWAY = { status: 502, statusText: 'Bad Gateway' };

async function problemOf(body: string, init: ResponseInit): Promise<Problem> {
  return (await refused(new Response(body, init))).problem;
}

test('what the service refuses is told as it said it', async () => {
  const said = { code: 'rate_limited', message: 'its limit is reached', retryable: true, retry_after_ms: 900 };
  assert.deepEqual(await problemOf(JSON.stringify({ error: said }), { status: 503 }), said);
});

test('an error in words is the service’s where it says that there was no success', async () => {
  const said = { success: false, error: 'Groq is not configured' };
  assert.deepEqual(await problemOf(JSON.stringify(said), { status: 400 }), {
    code: 'refused',
    message: 'Groq is not configured',
    retryable: false,
  });
});

test('a proxy that is busy is waited out, and what it forbids is not', async () => {
  for (const [status, retryable] of [[408, true], [429, true], [403, false], [404, false]] as const) {
    assert.equal((await problemOf('', { status })).retryable, retryable, String(status));
  }
});

test('what somebody else says in the service’s place is not its word, and is waited out', async () => {
  const bodies: unknown[] = [
    { error: 'Bad Gateway' },
    { error: { message: 'no healthy upstream' } },
    { error: { code: 502, message: 'no healthy upstream', retryable: true } },
    { error: { code: 'upstream', message: 'no healthy upstream' } },
    { error: null },
    ['Bad Gateway'],
    null,
  ];
  for (const body of [...bodies.map((one) => JSON.stringify(one)), '', '<h1>Bad Gateway</h1>']) {
    const failure = await refused(new Response(body, GATEWAY));
    assert.deepEqual(failure.problem, { code: 'http', message: 'HTTP 502 Bad Gateway', retryable: true }, body);
    assert.equal(passing(failure, true) && passing(failure, false), true, body);
  }
});
