import assert from 'node:assert/strict';
import { test } from 'node:test';

import { en } from './en.ts';
import { fr } from './fr.ts';
import { form } from './plural.ts';

test('in English one is one, and nothing is many', () => {
  const said = [0, 1, 2, 1_000_000].map((count) => form(en.costs.attempts, count, 'en'));
  assert.deepEqual(said, [
    '{count} attempts',
    '{count} attempt',
    '{count} attempts',
    '{count} attempts',
  ]);
});

test('in French nothing is one, too, and millions are of something', () => {
  const said = [0, 1, 2, 1_000_000, 1_000_001].map((count) => form(fr.costs.attempts, count, 'fr'));
  assert.deepEqual(said, [
    '{count} tentative',
    '{count} tentative',
    '{count} tentatives',
    '{count} de tentatives',
    '{count} tentatives',
  ]);
});

test('of what nobody knows how many there are there are some', () => {
  assert.equal(form(en.costs.attempts, undefined, 'en'), '{count} attempts');
  assert.equal(form(en.costs.attempts, null, 'en'), '{count} attempts');
});
