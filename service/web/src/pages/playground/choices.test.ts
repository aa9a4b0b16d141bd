import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DEFAULTS, request, restored } from './choices.ts';

const ASKED = [{ role: 'user' as const, content: 'Hello' }];

test('the route is told from the first moment on, and only what was chosen is asked for', () => {
  assert.deepEqual(request(ASKED, DEFAULTS), {
    messages: ASKED,
    use_case: 'conversation',
    budget_tier: 'standard',
    latency: 'normal',
    open_early_ms: 0,
  });
});

test('a complexity that was chosen goes along', () => {
  assert.equal(request(ASKED, { ...DEFAULTS, complexity: 'complex' })['complexity'], 'complex');
});

test('a model that is pinned takes the place of the tier', () => {
  const body = request(ASKED, { ...DEFAULTS, model: 'groq/auto' });
  assert.equal(body['model'], 'groq/auto');
  assert.equal('budget_tier' in body, false);
});

test('what was kept and is no choice any more is as it was at first', () => {
  const kept = { tier: 'golden', strategy: 'race', model: 7, carrier: null };
  assert.deepEqual(restored(kept), { ...DEFAULTS, strategy: 'race' });
  assert.deepEqual(restored('nothing'), DEFAULTS);
});
