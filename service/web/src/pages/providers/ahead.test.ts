import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ahead } from './ahead.ts';

test('a moment ahead is never said to be nearer than it is', () => {
  assert.equal(ahead(1, 'en'), 'in 1 second');
  assert.equal(ahead(11_001, 'en'), 'in 12 seconds');
  assert.equal(ahead(90_001, 'en'), 'in 2 minutes');
  assert.equal(ahead(91 * 60_000, 'en'), 'in 2 hours');
});

test('it is said as the language does', () => {
  assert.equal(ahead(1_000, 'fr'), 'dans 1 seconde');
  assert.equal(ahead(120_000, 'fr'), 'dans 2 minutes');
});

test('of what is unknown or over nothing is said', () => {
  assert.equal(ahead(null, 'en'), undefined);
  assert.equal(ahead(0, 'en'), undefined);
  assert.equal(ahead(-5, 'en'), undefined);
});
